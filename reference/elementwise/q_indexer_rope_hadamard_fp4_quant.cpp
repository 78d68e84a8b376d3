/// Reference of q_indexer_rope_hadamard_fp4_quant: rotates the queries of the indexer, transforms and quantises them to
/// E2M1, and scales the weights of the heads.
///
/// The order of roundings is that of upstream's kernel. "Line" means a line of the file that indexer_queries.h names.
/// Everything is specified, except which product of the rotation the compiler fuses.
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "interface/entry.h"
#include "reference/common/e2m1.h"
#include "reference/common/hadamard.h"
#include "reference/common/interval.h"
#include "reference/common/number.h"
#include "reference/common/view.h"
#include "reference/elementwise/indexer_queries.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "q_indexer_rope_hadamard_fp4_quant";
constexpr std::int64_t kDim = IndexerQueries::kDim;
constexpr std::int64_t kGroup = 32;  ///< elements with a common scale byte
constexpr std::int64_t kGroups = kDim / kGroup;

/// The transformed heads, rounded to bfloat16. Rotated elements are rounded before the transform, too (lines 711-748).
template <class Number>
std::vector<Number> transformed(const IndexerQueries& queries, std::int64_t token, std::int64_t head) {
  std::vector<Number> y = hadamard(queries.rotated_head<Number>(token, head, true));
  for (Number& value : y) value = rounded_to_bf16(value);
  return y;
}

/// The elements of group `g`.
template <class Number>
std::vector<Number> group_of(const std::vector<Number>& y, std::int64_t g) {
  return {y.begin() + g * kGroup, y.begin() + (g + 1) * kGroup};
}

/// Two codes in a byte, the first one in its low half.
std::int8_t packed(std::uint8_t first, std::uint8_t second) { return static_cast<std::int8_t>(first | second << 4); }

/// Byte `g` of the word that holds a head's scale bytes.
std::uint8_t scale_byte(std::int32_t word, std::int64_t g) {
  return static_cast<std::uint8_t>(static_cast<std::uint32_t>(word) >> (8 * g));
}
std::int32_t word_of(std::span<const std::uint8_t> bytes) {
  std::uint32_t word = 0;
  for (std::size_t g = 0; g < bytes.size(); ++g) word |= static_cast<std::uint32_t>(bytes[g]) << (8 * g);
  return static_cast<std::int32_t>(word);
}

/// forward: for each head x of each token, y is the Hadamard transform of x after its last 64 elements were rotated by
/// the angles in row positions[token] of freqs_cis. Each group of 32 elements has a scale, the least power of two that
/// is at least max(1e-4, greatest |y|) / 6. Its codes are those of y / scale (lines 752-764). The weight of the head
/// becomes weight * weight_scale (line 769).
///
/// A token whose position is outside freqs_cis is not rotated. Upstream's kernel does not check positions (lines
/// 682-683).
///
/// @param q_input       bf16 [tokens, heads, 128], contiguous
/// @param q_fp4         i8 [tokens, heads, 64], contiguous, out: byte i has the code of element 2i in its low half, and
///                      that of element 2i + 1 in its high half
/// @param q_sf          i32 [tokens, heads], contiguous, out: byte g is the UE8M0 byte of group g
/// @param weight        bf16 [tokens, heads], contiguous
/// @param weights_out   f32 [tokens, heads, 1], contiguous, out
/// @param weight_scale  is rounded to float
/// @param freqs_cis     f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param positions     i32 or i64 [tokens], contiguous
void forward(TensorView q_input, TensorView q_fp4, TensorView q_sf, TensorView weight, TensorView weights_out,
             double weight_scale, TensorView freqs_cis, TensorView positions) {
  const IndexerQueries queries(kOp, q_input, weight, weight_scale, freqs_cis, positions);
  const auto codes = queries.output<std::int8_t>("q_fp4", q_fp4, kDim / 2);
  const auto scales = queries.output<std::int32_t>("q_sf", q_sf);
  const auto weights = queries.output<float>("weights_out", weights_out, 1);
  queries.for_each_head([&](std::int64_t t, std::int64_t h) {
    const std::vector<float> y = transformed<float>(queries, t, h);
    std::vector<std::uint8_t> bytes;
    for (std::int64_t g = 0; g < kGroups; ++g) {
      float greatest = 0.0f;
      for (const float value : group_of(y, g)) greatest = max_number(greatest, std::fabs(value));
      bytes.push_back(e2m1_scale_byte(greatest));
      const float inverse = ue8m0_inverse(bytes.back());
      for (std::int64_t d = g * kGroup; d < (g + 1) * kGroup; d += 2) {
        const auto i = static_cast<std::size_t>(d);
        codes(t, h, d / 2) = packed(to_e2m1_ties_to_zero(y[i] * inverse), to_e2m1_ties_to_zero(y[i + 1] * inverse));
      }
    }
    scales(t, h) = word_of(bytes);
    weights(t, h, 0) = queries.weight(t, h);
  });
}

/// Computes the intervals of right scale bytes, and of right codes for the scale bytes that an implementation stored.
/// They follow from the intervals of the rotated elements. Weights are exact.
///
/// @param q_sf  the scale bytes of the implementation under test, in
/// @param q_fp4_lo, q_fp4_hi  i8 like q_fp4, out: codes of the least and the greatest right value of each element
/// @param q_sf_lo, q_sf_hi    i32 like q_sf, out: least and greatest right byte of each group
/// The other arguments are those of `forward`. q_fp4 and weights_out are not used.
void interval(TensorView q_input, TensorView, TensorView q_sf, TensorView weight, TensorView, double weight_scale,
              TensorView freqs_cis, TensorView positions, TensorView q_fp4_lo, TensorView q_fp4_hi, TensorView q_sf_lo,
              TensorView q_sf_hi) {
  const IndexerQueries queries(kOp, q_input, weight, weight_scale, freqs_cis, positions);
  const auto low_codes = queries.output<std::int8_t>("q_fp4_lo", q_fp4_lo, kDim / 2);
  const auto high_codes = queries.output<std::int8_t>("q_fp4_hi", q_fp4_hi, kDim / 2);
  const auto low_scales = queries.output<std::int32_t>("q_sf_lo", q_sf_lo);
  const auto high_scales = queries.output<std::int32_t>("q_sf_hi", q_sf_hi);
  const auto given = queries.output<const std::int32_t>("q_sf", q_sf);
  queries.for_each_head([&](std::int64_t t, std::int64_t h) {
    const std::vector<Interval> y = transformed<Interval>(queries, t, h);
    std::vector<std::uint8_t> low_bytes, high_bytes;
    for (std::int64_t g = 0; g < kGroups; ++g) {
      const Interval greatest = greatest_magnitude(group_of(y, g));
      low_bytes.push_back(e2m1_scale_byte(greatest.low));
      high_bytes.push_back(e2m1_scale_byte(greatest.high));
      const float inverse = ue8m0_inverse(scale_byte(given(t, h), g));
      for (std::int64_t d = g * kGroup; d < (g + 1) * kGroup; d += 2) {
        const auto i = static_cast<std::size_t>(d);
        const Interval first = y[i] * Interval{inverse, inverse}, second = y[i + 1] * Interval{inverse, inverse};
        low_codes(t, h, d / 2) = packed(to_e2m1_ties_to_zero(first.low), to_e2m1_ties_to_zero(second.low));
        high_codes(t, h, d / 2) = packed(to_e2m1_ties_to_zero(first.high), to_e2m1_ties_to_zero(second.high));
      }
    }
    low_scales(t, h) = word_of(low_bytes);
    high_scales(t, h) = word_of(high_bytes);
  });
}

DSV4_ENTRY(forward, forward, "q_indexer_rope_hadamard_fp4_quant", "q_indexer_rope_hadamard_fp4_quant/1", "");
DSV4_AUX(forward_interval, interval, "q_indexer_rope_hadamard_fp4_quant", "interval", "");

}  // namespace
}  // namespace dsv4::reference
