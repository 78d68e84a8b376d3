/// Reference of compress_norm_rope_store: normalises compressed entries, rotates their last 64 elements, and stores
/// them in a paged cache. A plan says where an entry belongs.
///
/// The order of roundings is that of upstream's kernels: sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/fused_norm_rope_v2.cuh (below, "line" means a line of this file). norm_factor.h and
/// flashmla_key.h, in this folder, say which results float arithmetic may give.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "interface/kv_cache.h"
#include "reference/attn/cache_slot.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/compress/plan_tensors.h"
#include "reference/elementwise/flashmla_key.h"
#include "reference/elementwise/indexer_key.h"
#include "reference/elementwise/norm_factor.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::FlashMlaCache;
using layout::Fp4IndexerCache;
using layout::IndexerCache;

constexpr const char* kOp = "compress_norm_rope_store";

/// Where an entry belongs.
struct Place {
  std::int64_t position;  ///< row of freqs_cis
  std::int64_t slot;
};

/// The arguments of a call.
class Entries {
 public:
  Entries(std::int64_t dim, TensorView input, TensorView plan, TensorView norm_weight, double eps, TensorView freqs_cis,
          TensorView out_loc, bool is_decode, std::int64_t ratio)
      : angles(kOp, freqs_cis),
        rows_(kOp, "input", input),
        weight_(kOp, "weight", norm_weight),
        slots_(kOp, "out_loc", out_loc),
        eps_(static_cast<float>(eps)),
        ratio_(ratio) {
    rows_.expect_size(1, dim).expect_contiguous();
    weight_.expect_size(0, dim).expect_contiguous();
    slots_.expect_contiguous();
    if (ratio < 1) refuse(kOp, "compress_ratio", "expected a positive number, got " + std::to_string(ratio));
    plan_bytes<DecodePlan, const std::uint8_t>(kOp, "plan", plan).expect_size(0, rows_.size(0));
    if (is_decode) {
      slots_.expect_size(0, rows_.size(0));
      place_decoded(read_plan<DecodePlan>(kOp, "plan", plan));
    } else {
      if (slots_.size(0) < rows_.size(0)) {
        refuse(kOp, "out_loc",
               "expected at least size " + std::to_string(rows_.size(0)) + " in dimension 0, got " +
                   std::to_string(slots_.size(0)));
      }
      place_extended(read_plan<CompressPlan>(kOp, "plan", plan));
    }
  }

  const AngleTable angles;

  [[nodiscard]] NormFactor factor(std::int64_t entry) const { return norm_factor(row_of(rows_, entry), eps_); }
  /// The row times the factor and then times the weight. Both products are rounded to float (lines 133, 286 and 446).
  [[nodiscard]] Eigen::ArrayXf normalised(std::int64_t entry, float factor) const {
    const Eigen::ArrayXf scaled = row_of(rows_, entry) * factor;
    return scaled * row_of(weight_);
  }
  /// Calls `store(entry, place, slot)` for each entry whose slot is in the cache.
  template <class Store>
  void for_each_slot(const View<std::uint8_t, 2>& pages, std::int64_t page_size, Store store) const {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      const std::int64_t slot = places_[i].slot;
      if (slot < 0 || slot >= pages.size(0) * page_size) continue;
      store(static_cast<std::int64_t>(i), places_[i], Slot(pages, slot / page_size, slot % page_size));
    }
  }

 private:
  static constexpr Place kNowhere{0, -1};

  /// Record b of a decode plan is for request b. It has an entry if the newest token completes a group (line 406).
  void place_decoded(const std::vector<DecodePlan>& plan) {
    for (std::size_t b = 0; b < plan.size(); ++b) {
      const std::int64_t length = plan[b].seq_len;
      const bool has_entry = length != 0 && length % ratio_ == 0;
      places_.push_back(has_entry ? Place{length - ratio_, slots_(b)} : kNowhere);
    }
  }
  /// Record i of a prefill plan is for row i of the input. Its slot is that of the entry's last token (lines 401-403).
  void place_extended(const std::vector<CompressPlan>& plan) {
    for (const CompressPlan& record : plan) {
      const bool has_entry = record.seq_len != layout::kNoEntry && record.ragged_id < slots_.size(0);
      places_.push_back(has_entry ? Place{record.seq_len - ratio_, slots_(record.ragged_id)} : kNowhere);
    }
  }

  View<const float, 2> rows_;
  View<const float, 1> weight_;
  View<const std::int32_t, 1> slots_;
  float eps_;
  std::int64_t ratio_;
  std::vector<Place> places_;
};

/// The nearest bfloat16 values, as floats.
Eigen::ArrayXf rounded_to_bf16(const Eigen::ArrayXf& x) {
  return x.unaryExpr([](float v) { return to_float(to_bf16(v)); });
}

/// One entry as it is stored in each layout.
template <class Layout>
struct Stored;

template <>
struct Stored<FlashMlaCache> {
  using Row = FlashMlaRow;
  static void store(const Row& row, const Eigen::ArrayXf& y, const AngleTable& angles, std::int64_t position) {
    row.quantise(rounded_to_bf16(y));
    store_tail(row, y, angles, position);
  }
  static void interval(const Row& given, const Row& low, const Row& high, const KeyEnds& ends, const AngleTable& angles,
                       std::int64_t position) {
    quantised_interval(given, low, high, {rounded_to_bf16(ends[0]), rounded_to_bf16(ends[1])});
    tail_interval(low, high, ends, angles, position);
  }
};

/// Both layouts of the indexer.
template <class IndexerLayoutRow>
struct StoredForTheIndexer {
  using Row = IndexerLayoutRow;
  static void store(const Row& row, const Eigen::ArrayXf& y, const AngleTable& angles, std::int64_t position) {
    row.quantise(transformed(y, angles, position));
  }
  static void interval(const Row& given, const Row& low, const Row& high, const KeyEnds& ends, const AngleTable& angles,
                       std::int64_t position) {
    given.interval(transformed(ends, angles, position), low, high);
  }
};
template <>
struct Stored<IndexerCache> : StoredForTheIndexer<IndexerRow> {};
template <>
struct Stored<Fp4IndexerCache> : StoredForTheIndexer<Fp4IndexerRow> {};

/// forward: stores row i of `input` in the slot that record i of the plan and `out_loc` give.
///
/// | plan                 | nothing is stored if               | slot               |
/// |----------------------|------------------------------------|--------------------|
/// | decode, DecodePlan   | seq_len is 0 or no multiple of r   | out_loc[i]         |
/// | extend, CompressPlan | seq_len has all bits 1             | out_loc[ragged_id] |
///
/// r is compress_ratio. The position is seq_len - r: that of the first token of the entry's group. Let
/// y = x / sqrt(mean(x^2) + eps) * weight. The last 64 elements of y are pairs of a real and an imaginary part. Pair i
/// is multiplied by cos_i + i sin_i in row `position` of freqs_cis. Nothing is rounded before.
///
/// - FlashMLA: the other elements are rounded to bfloat16 and then quantised as in fused_store_cache (lines 474-482).
///   The rotated elements are stored as bfloat16 (lines 458-467).
/// - Indexer: the row goes through the Hadamard transform and is quantised as in fused_store_cache (lines 154-218).
/// - Indexer with 4-bit codes: the same with E2M1 codes and a scale byte for each 32 of them (lines 300-362).
///
/// Upstream's kernel checks no value of the plan and of out_loc (lines 399-408). Here, an entry whose position is
/// outside freqs_cis is stored without a rotation. Nothing is stored for a record of length 0 in a decode plan. Nor
/// is it for a ragged_id outside out_loc, and for a slot that is negative or outside the cache. If several entries have
/// the same slot, this reference keeps the last of them, but a kernel may leave any mixture.
///
/// @param input    f32 [entries, D], contiguous; D is 512 (FlashMLA) or 128 (indexer)
/// @param plan     u8 [entries, 16], contiguous: DecodePlan or CompressPlan (interface/compress_plan.h)
/// @param weight   f32 [D], contiguous
/// @param eps      is rounded to float
/// @param freqs_cis  f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param out_loc  i32 [tokens], contiguous: slots. A decode plan has one token for each record, and a plan to extend
///                 has at least as many
/// @param kvcache  u8 [pages, page bytes], in place; interface/kv_cache.h has the layout. A page may have more bytes
///                 than its slots need, and any stride
/// @param is_decode       which kind of records the plan has
/// @param compress_ratio  number of tokens of a group, positive
template <class Layout, std::int64_t kPage>
void forward(TensorView input, TensorView plan, TensorView weight, double eps, TensorView freqs_cis, TensorView out_loc,
             TensorView kvcache, bool is_decode, std::int64_t compress_ratio) {
  const Entries entries(Layout::kDim, input, plan, weight, eps, freqs_cis, out_loc, is_decode, compress_ratio);
  const View<std::uint8_t, 2> pages = pages_of<Layout>(kOp, "kvcache", kvcache, kPage);
  entries.for_each_slot(pages, kPage, [&](std::int64_t i, const Place& place, const Slot& slot) {
    const typename Stored<Layout>::Row row(slot, kPage);
    Stored<Layout>::store(row, entries.normalised(i, entries.factor(i).value), entries.angles, place.position);
  });
}

/// Calls `each(given, low, high, ends, position)` for each entry: its rows in the three caches, and the row y for both
/// ends of its factor.
template <class Layout, std::int64_t kPage, class Each>
void for_each_interval(const Entries& entries, TensorView kvcache, TensorView kvcache_lo, TensorView kvcache_hi,
                       Each each) {
  using Row = typename Stored<Layout>::Row;
  const View<std::uint8_t, 2> pages = pages_of<Layout>(kOp, "kvcache", kvcache, kPage);
  const View<std::uint8_t, 2> low_pages = pages_of<Layout>(kOp, "kvcache_lo", kvcache_lo, kPage);
  const View<std::uint8_t, 2> high_pages = pages_of<Layout>(kOp, "kvcache_hi", kvcache_hi, kPage);
  entries.for_each_slot(pages, kPage, [&](std::int64_t i, const Place& place, const Slot& slot) {
    const std::int64_t page = place.slot / kPage;
    const Slot low_slot(low_pages, page, slot.row()), high_slot(high_pages, page, slot.row());
    const Row given(slot, kPage), low(low_slot, kPage), high(high_slot, kPage);
    const NormFactor factor = entries.factor(i);
    each(given, low, high, KeyEnds{entries.normalised(i, factor.low), entries.normalised(i, factor.high)},
         place.position);
  });
}

/// Computes the intervals of right bytes: the scales that a kernel may store, the codes that it may store with its own
/// scales, and the rotated elements.
///
/// An element y grows or shrinks with the factor, so the ends of the factor's interval (norm_factor.h) give its ends.
/// Rounding to bfloat16 keeps their order. flashmla_key.h and indexer_key.h derive the ends of the stored bytes.
///
/// @param kvcache  the cache after the call of the implementation under test, in
/// @param kvcache_lo, kvcache_hi  u8 like kvcache, out: the bytes of each entry's slot. Scales, codes and bfloat16
///                                values have their ends there, each as its own number
/// The other arguments are those of `forward`.
template <class Layout, std::int64_t kPage>
void interval(TensorView input, TensorView plan, TensorView weight, double eps, TensorView freqs_cis,
              TensorView out_loc, TensorView kvcache, bool is_decode, std::int64_t compress_ratio,
              TensorView kvcache_lo, TensorView kvcache_hi) {
  const Entries entries(Layout::kDim, input, plan, weight, eps, freqs_cis, out_loc, is_decode, compress_ratio);
  for_each_interval<Layout, kPage>(
      entries, kvcache, kvcache_lo, kvcache_hi,
      [&](const auto& given, const auto& low, const auto& high, const KeyEnds& ends, std::int64_t position) {
        Stored<Layout>::interval(given, low, high, ends, entries.angles, position);
      });
}

/// Computes the same intervals for a kernel of the FlashMLA layout that quantises y itself, without a rounding to
/// bfloat16, as sglang 0.5.12 does (line 310 of its file). It does not get the bytes of the kernel. So where a group
/// may have two scale bytes, the interval of a code contains its codes for both.
///
/// @param kvcache  in; only its shape is used
/// The other arguments are those of `interval`.
template <std::int64_t kPage>
void unrounded(TensorView input, TensorView plan, TensorView weight, double eps, TensorView freqs_cis,
               TensorView out_loc, TensorView kvcache, bool is_decode, std::int64_t compress_ratio,
               TensorView kvcache_lo, TensorView kvcache_hi) {
  const Entries entries(FlashMlaCache::kDim, input, plan, weight, eps, freqs_cis, out_loc, is_decode, compress_ratio);
  for_each_interval<FlashMlaCache, kPage>(
      entries, kvcache, kvcache_lo, kvcache_hi,
      [&](const FlashMlaRow&, const FlashMlaRow& low, const FlashMlaRow& high, const KeyEnds& ends,
          std::int64_t position) {
        quantised_interval(low, high, ends, [](std::int64_t, const std::array<std::uint8_t, 2>& bytes) {
          return std::array{ue8m0_inverse(bytes[0]), ue8m0_inverse(bytes[1])};
        });
        tail_interval(low, high, ends, entries.angles, position);
      });
}

/// Functions for each layout and page size, because these are template arguments of upstream's kernel.
#define DSV4_COMPRESS_NORM_ROPE(LAYOUT, CACHE, PAGE)                                                         \
  constexpr auto forward_##LAYOUT##_p##PAGE = forward<CACHE, PAGE>;                                          \
  constexpr auto interval_##LAYOUT##_p##PAGE = interval<CACHE, PAGE>;                                        \
  DSV4_ENTRY(forward_##LAYOUT##_p##PAGE, forward_##LAYOUT##_p##PAGE, "compress_norm_rope_store",             \
             "compress_norm_rope_store/1", "layout=" #LAYOUT ";page=" #PAGE);                                \
  DSV4_AUX(interval_##LAYOUT##_p##PAGE, interval_##LAYOUT##_p##PAGE, "compress_norm_rope_store", "interval", \
           "layout=" #LAYOUT ";page=" #PAGE)

#define DSV4_UNROUNDED(PAGE)                                                                                         \
  constexpr auto unrounded_flashmla_p##PAGE = unrounded<PAGE>;                                                       \
  DSV4_AUX(unrounded_flashmla_p##PAGE, unrounded_flashmla_p##PAGE, "compress_norm_rope_store", "unrounded_interval", \
           "layout=flashmla;page=" #PAGE)

DSV4_COMPRESS_NORM_ROPE(flashmla, FlashMlaCache, 2);
DSV4_COMPRESS_NORM_ROPE(flashmla, FlashMlaCache, 64);
DSV4_COMPRESS_NORM_ROPE(indexer, IndexerCache, 2);
DSV4_COMPRESS_NORM_ROPE(indexer, IndexerCache, 64);
DSV4_COMPRESS_NORM_ROPE(indexer_fp4, Fp4IndexerCache, 2);
DSV4_COMPRESS_NORM_ROPE(indexer_fp4, Fp4IndexerCache, 64);
DSV4_UNROUNDED(2);
DSV4_UNROUNDED(64);

}  // namespace
}  // namespace dsv4::reference
