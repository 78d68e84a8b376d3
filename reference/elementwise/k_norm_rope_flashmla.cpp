/// Reference of k_norm_rope_flashmla: normalises the key of each token, rotates its last 64 elements, and stores it in
/// the paged FlashMLA cache.
///
/// The order of roundings is that of upstream's kernel: sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/main_norm_rope.cuh (below, "line" means a line of this file). norm_factor.h and
/// flashmla_key.h, in this folder, say which results float arithmetic may give. reference/attn/cache_slot.h quantises.
#include <cstdint>

#include "interface/entry.h"
#include "interface/kv_cache.h"
#include "reference/attn/cache_slot.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/elementwise/flashmla_key.h"
#include "reference/elementwise/norm_factor.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {
namespace {

using layout::FlashMlaCache;

constexpr const char* kOp = "k_norm_rope_flashmla";

/// The arguments of a call.
struct Keys {
  View<const Bf16, 2> kv;
  View<const Bf16, 1> weight;
  TokenAngles angles;
  View<const std::int32_t, 1> out_loc;
  float eps;

  Keys(TensorView keys, TensorView kv_weight, TensorView freqs_cis, TensorView positions, TensorView slots,
       double epsilon)
      : kv(kOp, "kv", keys),
        weight(kOp, "kv_weight", kv_weight),
        angles(kOp, freqs_cis, positions, kv.size(0)),
        out_loc(kOp, "out_loc", slots),
        eps(static_cast<float>(epsilon)) {
    kv.expect_size(1, FlashMlaCache::kDim).expect_dense_rows();
    weight.expect_size(0, FlashMlaCache::kDim).expect_contiguous();
    out_loc.expect_size(0, kv.size(0)).expect_contiguous();
  }

  [[nodiscard]] NormFactor factor(std::int64_t token) const { return norm_factor(row(token), eps); }
  /// The key times the factor and then times the weight. Both products are rounded to float (line 302).
  [[nodiscard]] Eigen::ArrayXf normalised(std::int64_t token, float factor) const {
    const Eigen::ArrayXf scaled = row(token) * factor;
    return scaled * row_of(weight).unaryExpr([](Bf16 w) { return to_float(w); });
  }
  /// Calls `store(token, slot)` for each token whose slot is in the cache.
  template <class Store>
  void for_each_slot(const View<std::uint8_t, 2>& pages, std::int64_t page_size, Store store) const {
    for (std::int64_t t = 0; t < kv.size(0); ++t) {
      const std::int64_t slot = out_loc(t);
      if (slot >= 0 && slot < pages.size(0) * page_size) store(t, Slot(pages, slot / page_size, slot % page_size));
    }
  }

 private:
  [[nodiscard]] Eigen::ArrayXf row(std::int64_t token) const {
    return row_of(kv, token).unaryExpr([](Bf16 x) { return to_float(x); });
  }
};

/// forward: stores the key of token t in slot out_loc[t] of `kvcache`.
///
/// With y = x / sqrt(mean(x^2) + eps) * weight, elements 0 ... 447 of y are quantised as in fused_store_cache (lines
/// 327-334). Elements (448 + 2i, 449 + 2i) are the real and the imaginary part of pair i. They are multiplied by
/// cos_i + i sin_i in row positions[t] of freqs_cis, and stored as bfloat16 (lines 314-323). Nothing is rounded to
/// bfloat16 before.
///
/// A token whose position is outside freqs_cis is stored without a rotation. A token whose slot is negative or outside
/// the cache is not stored. Upstream's kernel checks neither (lines 266-268 and 306-309). If several tokens have the
/// same slot, this reference keeps the last of them, but a kernel may leave any mixture.
///
/// @param kv         bf16 [tokens, 512], last stride 1
/// @param kv_weight  bf16 [512], contiguous
/// @param freqs_cis  f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param positions  i32 or i64 [tokens], contiguous
/// @param out_loc    i32 [tokens], contiguous: slots
/// @param kvcache    u8 [pages, page bytes], in place; interface/kv_cache.h has the layout. A page may have more bytes
///                   than its slots need, and any stride
/// @param eps        is rounded to float
template <std::int64_t kPage>
void forward(TensorView kv, TensorView kv_weight, TensorView freqs_cis, TensorView positions, TensorView out_loc,
             TensorView kvcache, double eps) {
  const Keys keys(kv, kv_weight, freqs_cis, positions, out_loc, eps);
  const View<std::uint8_t, 2> pages = pages_of<FlashMlaCache>(kOp, "kvcache", kvcache, kPage);
  keys.for_each_slot(pages, kPage, [&](std::int64_t t, const Slot& slot) {
    const FlashMlaRow stored(slot, kPage);
    const Eigen::ArrayXf y = keys.normalised(t, keys.factor(t).value);
    stored.quantise(y);
    store_tail(stored, y, keys.angles.table(), keys.angles.position(t));
  });
}

/// Computes the intervals of right bytes: the scale bytes that a kernel may store, the codes that it may store with its
/// own scale bytes, and the rotated elements.
///
/// An element y grows or shrinks with the factor, so the ends of the factor's interval (norm_factor.h) give its ends.
/// flashmla_key.h derives the ends of the stored bytes from them.
///
/// @param kvcache  the cache after the call of the implementation under test, in
/// @param kvcache_lo, kvcache_hi  u8 like kvcache, out: the bytes of each token's slot. Scale bytes, codes and bfloat16
///                                values have their ends there, each as its own number
/// The other arguments are those of `forward`.
template <std::int64_t kPage>
void interval(TensorView kv, TensorView kv_weight, TensorView freqs_cis, TensorView positions, TensorView out_loc,
              TensorView kvcache, double eps, TensorView kvcache_lo, TensorView kvcache_hi) {
  const Keys keys(kv, kv_weight, freqs_cis, positions, out_loc, eps);
  const View<std::uint8_t, 2> pages = pages_of<FlashMlaCache>(kOp, "kvcache", kvcache, kPage);
  const View<std::uint8_t, 2> low_pages = pages_of<FlashMlaCache>(kOp, "kvcache_lo", kvcache_lo, kPage);
  const View<std::uint8_t, 2> high_pages = pages_of<FlashMlaCache>(kOp, "kvcache_hi", kvcache_hi, kPage);
  keys.for_each_slot(pages, kPage, [&](std::int64_t t, const Slot& slot) {
    const std::int64_t page = keys.out_loc(t) / kPage;
    const Slot low_slot(low_pages, page, slot.row()), high_slot(high_pages, page, slot.row());
    const FlashMlaRow given(slot, kPage), low(low_slot, kPage), high(high_slot, kPage);
    const NormFactor factor = keys.factor(t);
    const KeyEnds ends{keys.normalised(t, factor.low), keys.normalised(t, factor.high)};
    quantised_interval(given, low, high, ends);
    tail_interval(low, high, ends, keys.angles.table(), keys.angles.position(t));
  });
}

/// One function for each page size, because it is a template argument of upstream's kernel.
#define DSV4_K_NORM_ROPE(PAGE)                                                                   \
  constexpr auto forward_p##PAGE = forward<PAGE>;                                                \
  constexpr auto interval_p##PAGE = interval<PAGE>;                                              \
  DSV4_ENTRY(forward_p##PAGE, forward_p##PAGE, "k_norm_rope_flashmla", "k_norm_rope_flashmla/1", \
             "layout=flashmla;page=" #PAGE);                                                     \
  DSV4_AUX(interval_p##PAGE, interval_p##PAGE, "k_norm_rope_flashmla", "interval", "layout=flashmla;page=" #PAGE)

DSV4_K_NORM_ROPE(1);
DSV4_K_NORM_ROPE(64);
DSV4_K_NORM_ROPE(256);

}  // namespace
}  // namespace dsv4::reference
