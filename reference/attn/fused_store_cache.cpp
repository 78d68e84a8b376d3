/// Reference of fused_store_cache: quantises the rows of new tokens to E4M3 and stores them in a paged KV cache.
///
/// Every bit of the result is specified, by upstream's kernel: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/store.cuh,
/// which is compiled without fast-math (below, "line" means a line of this file). cache_slot.h, in this folder,
/// quantises.
#include <cstdint>

#include "interface/entry.h"
#include "interface/kv_cache.h"
#include "reference/attn/cache_slot.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

using layout::FlashMlaCache;
using layout::IndexerCache;

constexpr const char* kOp = "fused_store_cache";

/// Conversions of an input element. widen() returns the float that is quantised. narrow() returns the bfloat16 for the
/// dims that are stored as bfloat16. It copies a bfloat16 element bit for bit, and rounds a float element.
float widen(float x) { return x; }
float widen(Bf16 x) { return to_float(x); }
Bf16 narrow(float x) { return to_bf16(x); }
Bf16 narrow(Bf16 x) { return x; }

template <class Element>
Eigen::ArrayXf widen_row(const View<const Element, 2>& input, std::int64_t token) {
  return row_of(input, token).unaryExpr([](Element x) { return widen(x); });
}

template <class Element>
void store_flashmla(const View<const Element, 2>& input, std::int64_t token, const Slot& slot, std::int64_t page_size) {
  const FlashMlaRow stored(slot, page_size);
  stored.quantise(widen_row(input, token));
  for (std::int64_t d = FlashMlaCache::kQuantized; d < FlashMlaCache::kDim; ++d)
    stored.set_tail(d, narrow(input(token, d)));
}

/// Stores a row as one group of 128 codes with a float scale (lines 101-118). Values are multiplied by the rounded
/// reciprocal of the scale.
template <class Element>
void store_indexer(const View<const Element, 2>& input, std::int64_t token, const Slot& slot, std::int64_t page_size) {
  const Eigen::ArrayXf group = widen_row(input, token);
  const float scale = scale_of(group);
  slot.write(IndexerCache::data_offset(slot.row()), codes_of(group, 1.0f / scale));
  slot.write(IndexerCache::scale_offset(page_size, slot.row()), bits_of(scale), 4);
}

template <class Layout, std::int64_t kPageSize, class Element, class Index>
void store(TensorView input, TensorView cache, TensorView indices) {
  const View<const Element, 2> rows(kOp, "input", input);
  const View<std::uint8_t, 2> pages = pages_of<Layout>(kOp, "cache", cache, kPageSize);
  const View<const Index, 1> slots(kOp, "indices", indices);
  rows.expect_size(1, Layout::kDim).expect_contiguous();
  slots.expect_size(0, rows.size(0)).expect_contiguous();
  for (std::int64_t token = 0; token < rows.size(0); ++token) {
    const std::int64_t index = slots(token);
    if (index < 0 || index >= pages.size(0) * kPageSize) continue;
    const Slot slot(pages, index / kPageSize, index % kPageSize);
    if constexpr (std::is_same_v<Layout, FlashMlaCache>) {
      store_flashmla(rows, token, slot, kPageSize);
    } else {
      store_indexer(rows, token, slot, kPageSize);
    }
  }
}

/// run: stores row t of `input` in slot `indices[t]` of `cache`.
///
/// A row is skipped if its slot is negative or outside the cache. Upstream's kernels do not check slots; they write out
/// of bounds (lines 59-65). If several rows have the same slot, this reference keeps the last of these rows. A kernel
/// may leave any mixture of these rows, so the content of that slot cannot be compared. Bytes of other slots, byte 7 of
/// a FlashMLA scale row and the padding of a page are never written.
///
/// @param input    bf16 or f32 [tokens, 512 (FlashMLA) or 128 (indexer)], contiguous
/// @param cache    u8 [pages, page bytes], in place; interface/kv_cache.h has the layout. A page may have more bytes
///                 than
///                 its slots need, and any stride
/// @param indices  i32 or i64 [tokens], contiguous: slots
template <class Layout, std::int64_t kPageSize>
void run(TensorView input, TensorView cache, TensorView indices) {
  const bool wide_index = holds<std::int64_t>(indices);
  if (holds<Bf16>(input)) {
    return wide_index ? store<Layout, kPageSize, Bf16, std::int64_t>(input, cache, indices)
                      : store<Layout, kPageSize, Bf16, std::int32_t>(input, cache, indices);
  }
  return wide_index ? store<Layout, kPageSize, float, std::int64_t>(input, cache, indices)
                    : store<Layout, kPageSize, float, std::int32_t>(input, cache, indices);
}

/// One function for each layout and page size, because these are template arguments of upstream's kernels (lines 123
/// and 164). Each function selects the code for the element types of its arguments.
#define DSV4_STORE(PAGE)                                                                           \
  constexpr auto run_flashmla_##PAGE = run<FlashMlaCache, PAGE>;                                   \
  constexpr auto run_indexer_##PAGE = run<IndexerCache, PAGE>;                                     \
  DSV4_ENTRY(run_flashmla_##PAGE, run_flashmla_##PAGE, "fused_store_cache", "fused_store_cache/1", \
             "layout=flashmla;page=" #PAGE);                                                       \
  DSV4_ENTRY(run_indexer_##PAGE, run_indexer_##PAGE, "fused_store_cache", "fused_store_cache/1",   \
             "layout=indexer;page=" #PAGE)

DSV4_STORE(1);
DSV4_STORE(2);
DSV4_STORE(4);
DSV4_STORE(8);
DSV4_STORE(16);
DSV4_STORE(32);
DSV4_STORE(64);
DSV4_STORE(128);
DSV4_STORE(256);

}  // namespace
}  // namespace dsv4::reference
