/// Reference of q_indexer_rope_hadamard_quant: rotates the queries of the indexer, transforms and quantises them to
/// E4M3, and folds their scales into the weights of the heads.
///
/// The order of roundings is that of upstream's kernel. "Line" means a line of the file that indexer_queries.h names.
/// Everything is specified, except which product of the rotation the compiler fuses.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "interface/entry.h"
#include "reference/attn/cache_slot.h"
#include "reference/common/hadamard.h"
#include "reference/common/interval.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/elementwise/indexer_queries.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "q_indexer_rope_hadamard_quant";
constexpr std::int64_t kDim = IndexerQueries::kDim;

/// forward: for each head x of each token, y is the Hadamard transform of x after its last 64 elements were rotated by
/// the angles in row positions[token] of freqs_cis. With scale = max(1e-4, greatest |y|) / 448, the codes of the head
/// are those of y / scale, and its weight becomes weight * weight_scale * scale.
///
/// Everything is float arithmetic, and nothing is rounded to bfloat16 (lines 485-549). Values are multiplied by the
/// rounded reciprocal of the scale. A token whose position is outside freqs_cis is not rotated. Upstream's kernel does
/// not check positions (lines 460-461).
///
/// @param q_input       bf16 [tokens, heads, 128], contiguous
/// @param q_fp8         e4m3 [tokens, heads, 128], contiguous, out: the codes
/// @param weight        bf16 [tokens, heads], contiguous
/// @param weights_out   f32 [tokens, heads, 1], contiguous, out
/// @param weight_scale  is rounded to float
/// @param freqs_cis     f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param positions     i32 or i64 [tokens], contiguous
void forward(TensorView q_input, TensorView q_fp8, TensorView weight, TensorView weights_out, double weight_scale,
             TensorView freqs_cis, TensorView positions) {
  const IndexerQueries queries(kOp, q_input, weight, weight_scale, freqs_cis, positions);
  const auto codes = queries.output<E4m3>("q_fp8", q_fp8, kDim);
  const auto weights = queries.output<float>("weights_out", weights_out, 1);
  queries.for_each_head([&](std::int64_t t, std::int64_t h) {
    const std::vector<float> y = hadamard(queries.rotated_head<float>(t, h, false));
    const Eigen::ArrayXf row = Eigen::Map<const Eigen::ArrayXf>(y.data(), kDim);
    const float scale = scale_of(row);
    const Eigen::ArrayX<std::uint8_t> bytes = codes_of(row, 1.0f / scale);
    for (std::int64_t d = 0; d < kDim; ++d) codes(t, h, d) = E4m3{bytes(d)};
    weights(t, h, 0) = queries.weight(t, h) * scale;
  });
}

/// Computes the intervals of right codes and weights. They follow from the intervals of the rotated elements.
///
/// @param q_fp8_lo, q_fp8_hi  e4m3 like q_fp8, out: least and greatest right code
/// @param weights_out_lo, weights_out_hi  f32 like weights_out, out: least and greatest right weight. A NaN has the
///                                        bits 0x7fffffff. If one of them is NaN, no value between them is right
/// The other arguments are those of `forward`. q_fp8 and weights_out are not used.
void interval(TensorView q_input, TensorView, TensorView weight, TensorView, double weight_scale, TensorView freqs_cis,
              TensorView positions, TensorView q_fp8_lo, TensorView q_fp8_hi, TensorView weights_out_lo,
              TensorView weights_out_hi) {
  const IndexerQueries queries(kOp, q_input, weight, weight_scale, freqs_cis, positions);
  const auto low_codes = queries.output<E4m3>("q_fp8_lo", q_fp8_lo, kDim);
  const auto high_codes = queries.output<E4m3>("q_fp8_hi", q_fp8_hi, kDim);
  const auto low_weights = queries.output<float>("weights_out_lo", weights_out_lo, 1);
  const auto high_weights = queries.output<float>("weights_out_hi", weights_out_hi, 1);
  queries.for_each_head([&](std::int64_t t, std::int64_t h) {
    const std::vector<Interval> y = hadamard(queries.rotated_head<Interval>(t, h, false));
    const Interval greatest = greatest_magnitude(y);
    const auto scale_for = [](float maximum) { return std::max(kSmallestMaximum, maximum) / kCodeMaximum; };
    const Interval scale{scale_for(greatest.low), scale_for(greatest.high)};
    const Interval inverse{1.0f / scale.high, 1.0f / scale.low};
    for (std::int64_t d = 0; d < kDim; ++d) {
      const Interval scaled = y[static_cast<std::size_t>(d)] * inverse;
      low_codes(t, h, d) = pack_e4m3(scaled.low);
      high_codes(t, h, d) = pack_e4m3(scaled.high);
    }
    const float w = queries.weight(t, h);
    std::array ends{w * scale.low, w * scale.high};
    // A weight grows or shrinks with the scale. 0 times an infinite scale is NaN.
    if (ends[1] < ends[0]) std::swap(ends[0], ends[1]);
    for (float& end : ends) end = std::isnan(end) ? float_of(0x7fffffffu) : end;
    low_weights(t, h, 0) = ends[0];
    high_weights(t, h, 0) = ends[1];
  });
}

DSV4_ENTRY(forward, forward, "q_indexer_rope_hadamard_quant", "q_indexer_rope_hadamard_quant/1", "");
DSV4_AUX(forward_interval, interval, "q_indexer_rope_hadamard_quant", "interval", "");

}  // namespace
}  // namespace dsv4::reference
