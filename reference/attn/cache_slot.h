/// What references share that quantise rows and store them in a paged cache.
///
/// Every bit is specified by upstream's kernels: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/store.cuh (below, "line"
/// means a line of this file). Quantising consists of maxima, one division and products. Each of these is a single
/// float operation, which rounds once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "interface/kv_cache.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"

namespace dsv4::reference {

inline constexpr float kSmallestMaximum = 1e-4f;  ///< so that no scale is 0 (lines 55 and 107)
inline constexpr float kCodeMaximum = 448.0f;

/// Returns the scale with which the greatest magnitude of a group becomes 448.
inline float scale_of(const Eigen::ArrayXf& group) {
  return std::max(kSmallestMaximum, greatest_magnitude(group)) / kCodeMaximum;
}

/// Returns the codes of the values of a group after multiplication by `inverse`.
inline Eigen::ArrayX<std::uint8_t> codes_of(const Eigen::ArrayXf& group, float inverse) {
  return (group * inverse).unaryExpr([](float x) { return pack_e4m3(x).bits; });
}

/// One row of a page of the cache. `write` and `read` take offsets in bytes from the start of the page.
class Slot {
 public:
  Slot(const View<std::uint8_t, 2>& cache, std::int64_t page, std::int64_t row)
      : cache_(cache), page_(page), row_(row) {}

  [[nodiscard]] std::int64_t row() const { return row_; }
  [[nodiscard]] std::uint8_t read(std::int64_t offset) const { return cache_(page_, offset); }
  void write(std::int64_t offset, std::uint8_t byte) const { cache_(page_, offset) = byte; }
  void write(std::int64_t offset, const Eigen::ArrayX<std::uint8_t>& bytes) const {
    row_of(cache_, page_).segment(offset, bytes.size()) = bytes;
  }
  /// Writes the lowest `bytes` bytes of `word`, little endian.
  void write(std::int64_t offset, std::uint32_t word, int bytes) const {
    for (int i = 0; i < bytes; ++i) write(offset + i, static_cast<std::uint8_t>(word >> (8 * i)));
  }

 private:
  const View<std::uint8_t, 2>& cache_;
  std::int64_t page_;
  std::int64_t row_;
};

/// Returns the cache as pages, or refuses a cache whose pages are too short for `page_size` slots.
template <class Layout>
View<std::uint8_t, 2> pages_of(const char* op, const char* name, TensorView cache, std::int64_t page_size) {
  const View<std::uint8_t, 2> pages(op, name, cache);
  pages.expect_dense_rows();
  // The last scale row ends where the next scale row would begin.
  const std::int64_t used = Layout::scale_offset(page_size, page_size);
  if (pages.size(0) > 0 && pages.size(1) < used) {
    refuse(op, name,
           "expected at least " + std::to_string(used) + " bytes per page, got " + std::to_string(pages.size(1)));
  }
  return pages;
}

/// A row of a FlashMLA page: 7 groups of 64 codes with a scale byte each, and 64 values in bfloat16 (lines 52-73). Byte
/// 7 of the scale row is not written.
class FlashMlaRow {
 public:
  using Layout = layout::FlashMlaCache;
  FlashMlaRow(const Slot& slot, std::int64_t page_size)
      : slot_(slot), data_(Layout::data_offset(slot.row())), scales_(Layout::scale_offset(page_size, slot.row())) {}

  /// The elements of `row` in group `g`.
  static Eigen::ArrayXf group(const Eigen::ArrayXf& row, std::int64_t g) {
    return row.segment(g * Layout::kGroup, Layout::kGroup);
  }
  [[nodiscard]] std::uint8_t scale(std::int64_t g) const { return slot_.read(scales_ + g); }
  void set_scale(std::int64_t g, std::uint8_t exponent) const { slot_.write(scales_ + g, exponent); }
  void set_codes(std::int64_t g, const Eigen::ArrayX<std::uint8_t>& codes) const {
    slot_.write(data_ + g * Layout::kGroup, codes);
  }
  /// Stores element `d`, which is at least kQuantized.
  void set_tail(std::int64_t d, Bf16 value) const {
    slot_.write(data_ + Layout::kQuantized + 2 * (d - Layout::kQuantized), value.bits, 2);
  }
  /// Quantises the first 448 elements of `row`. The scale of each group is a power of two.
  void quantise(const Eigen::ArrayXf& row) const {
    for (std::int64_t g = 0; g < Layout::kGroups; ++g) {
      const std::uint8_t exponent = ue8m0_above(scale_of(group(row, g)));
      set_codes(g, codes_of(group(row, g), ue8m0_inverse(exponent)));
      set_scale(g, exponent);
    }
  }

 private:
  const Slot& slot_;
  std::int64_t data_;
  std::int64_t scales_;
};

}  // namespace dsv4::reference
