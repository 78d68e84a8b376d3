/// The paged caches into which kernels store quantised rows: the place of a slot, and the codes of a row's elements.
/// interface/kv_cache.h has the same layouts, for the harness and the references.
#pragma once

#include <bit>
#include <cstdint>
#include <string>

#include "kernels/common/check.h"
#include "kernels/common/device.h"

namespace dsv4 {

inline constexpr int kQuantisedDims = 448;  ///< quantised dims of a flashmla row; the other 64 are stored as bfloat16
inline constexpr float kMinAmax = 1e-4f;    ///< the least amax from which a scale is computed

/// The place where a row is stored: the address of its page, and its row number in the page. `page` is null if the row
/// must be skipped.
struct Slot {
  std::uint8_t* page;
  std::int64_t place;
};

/// A cache u8 [pages, bytes] with slots in pages of a power of two.
struct PagedCache {
  std::uint8_t* data;
  std::int64_t slots;  ///< pages * page size
  std::int64_t page_bytes;
  int page_bits;

  /// The place of slot `index`. Indices are on the device, so the host cannot check them.
  DSV4_DEVICE Slot slot(std::int64_t index) const {
    if (index < 0 || index >= slots) return {nullptr, 0};
    return {data + (index >> page_bits) * page_bytes, index & ((std::int64_t{1} << page_bits) - 1)};
  }
};

/// Checks argument `name`, a cache whose slots take `slot_bytes` bytes each, and returns it. `page_bytes` is the number
/// of bytes of a page, with padding; pages may also be shorter or wider, if there is room for their slots.
inline PagedCache checked_cache(ArgumentCheck& check, const char* name, TensorView cache, int page,
                                std::int64_t slot_bytes, std::int64_t page_bytes) {
  Size pages("pages");
  check.tensor(name, cache).dtype({kUint8}).shape({pages, kAnySize}).on_cuda().unit_stride();
  const std::int64_t used = slot_bytes * page;
  check.require(pages.value() == 0 || cache.size(1) >= used, name, "size ", cache.size(1),
                " of dimension 1 must be at least ", used, ": a page of ", page, " slots takes ", used, " bytes");
  const std::int64_t stride = pages.value() > 1 ? stride_of(cache, 0) : page_bytes;
  check.require(stride >= used, name, "stride ", stride, " of dimension 0 must be at least ", used,
                ", the bytes of a page's slots");
  return {
      .data = data_of<std::uint8_t>(cache),
      .slots = pages.value() * page,
      .page_bytes = stride,
      .page_bits = std::countr_zero(static_cast<unsigned>(page)),
  };
}

inline constexpr std::int64_t kFlashmlaSlotBytes = 584;

/// The same for a cache of flashmla rows.
inline PagedCache checked_flashmla_cache(ArgumentCheck& check, const char* name, TensorView cache, int page) {
  return checked_cache(check, name, cache, page, kFlashmlaSlotBytes,
                       ceil_div<std::int64_t>(kFlashmlaSlotBytes * page, 576) * 576);
}

/// The addresses at which a slot's data and its scale bytes begin in a flashmla page.
struct FlashmlaSlot {
  std::uint8_t* data;
  std::uint8_t* scales;
};

DSV4_DEVICE FlashmlaSlot flashmla_slot(const PagedCache& cache, const Slot& slot) {
  return {slot.page + slot.place * 576, slot.page + (std::int64_t{576} << cache.page_bits) + slot.place * 8};
}

/// Returns the largest magnitude among a thread's own elements; NaN is ignored.
template <typename Element, int N, bool kWide>
DSV4_DEVICE float max_magnitude(const Pack<Element, N, kWide>& x) {
  float amax = 0.0f;
#pragma unroll
  for (int i = 0; i < N; ++i) amax = max_number(amax, fabsf(to_float(x.v[i])));
  return amax;
}

/// Returns the E4M3 codes of the elements times `inverse`. Each 16-bit value holds two codes.
template <typename Element, int N, bool kWide>
DSV4_DEVICE Pack<std::uint16_t, N / 2, kWide> codes_of(const Pack<Element, N, kWide>& x, float inverse) {
  Pack<std::uint16_t, N / 2, kWide> codes;
#pragma unroll
  for (int i = 0; i < N / 2; ++i) {
    codes.v[i] = e4m3_codes(__fmul_rn(to_float(x.v[2 * i]), inverse), __fmul_rn(to_float(x.v[2 * i + 1]), inverse));
  }
  return codes;
}

/// Stores a lane's eight elements of a flashmla row, dims `dim` ... `dim` + 7. Eight neighbouring lanes hold a group of
/// 64 dims, and `amax` is the largest magnitude of the group.
template <typename Element, bool kWide>
DSV4_DEVICE void store_flashmla_dims(const FlashmlaSlot& slot, int dim, const Pack<Element, 8, kWide>& x, float amax) {
  if (dim < kQuantisedDims) {
    const std::uint32_t byte = ue8m0_byte_of_amax(max_number(kMinAmax, amax));
    store_bytes<kWide>(slot.data + dim, codes_of(x, ue8m0_inverse(byte)));
    if (dim % 64 == 0) slot.scales[dim / 64] = static_cast<std::uint8_t>(byte);
  } else {
    Pack<std::uint32_t, 4, kWide> tail;
#pragma unroll
    for (int i = 0; i < 4; ++i) tail.v[i] = bf16_pair(x.v[2 * i], x.v[2 * i + 1]);
    store_bytes<kWide>(slot.data + kQuantisedDims + (dim - kQuantisedDims) * 2, tail);
  }
}

}  // namespace dsv4
