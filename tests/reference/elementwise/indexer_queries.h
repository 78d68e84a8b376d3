/// The inputs of the two ops that quantise the queries of the indexer, for the tests of their references.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "harness/core/bits.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {

inline float float_from_bits(std::uint32_t bits) { return std::bit_cast<float>(bits); }

/// Some heads of some tokens. The weights and their scale are 1. Row 0 of the table does not rotate, and all tokens
/// have position 0.
struct IndexerInputs {
  HostTensor queries, weight, freqs = HostTensor::make(DType::kF32, {3, 64}), positions, weights_out;
  double scale = 1.0;

  explicit IndexerInputs(std::int64_t tokens = 1, std::int64_t heads = 1)
      : queries(HostTensor::make(DType::kBF16, {tokens, heads, 128})),
        weight(HostTensor::make(DType::kBF16, {tokens, heads})),
        positions(HostTensor::make(DType::kI32, {tokens})),
        weights_out(HostTensor::make(DType::kF32, {tokens, heads, 1})) {
    for (int i = 0; i < 64; i += 2) freqs.at<float>(0, i) = freqs.at<float>(1, i) = freqs.at<float>(2, i) = 1.0f;
    for (std::int64_t i = 0; i < weight.numel(); ++i) set_float(weight, i, 1.0);
  }
  /// Sets all elements of the first head to 0, and then element `d` to its value.
  void set(std::initializer_list<std::pair<std::int64_t, float>> elements) {
    for (std::int64_t d = 0; d < 128; ++d) set_float(queries, d, 0.0);
    for (const auto& [d, value] : elements) set_float(queries, d, value);
  }
  void set_position(std::int64_t position) { positions = HostTensor::of<std::int64_t>(DType::kI64, {position}); }
  /// Sets the angle of pair `pair` at position 1 to the number c + id.
  void set_angle(std::int64_t pair, float c, float d) {
    freqs.at<float>(1, 2 * pair) = c;
    freqs.at<float>(1, 2 * pair + 1) = d;
  }
  /// Random queries, angles and positions.
  void set_random() {
    Random random(5, "queries");
    fill_floats(queries, [&] { return random.gauss(); });
    fill_floats(weight, [&] { return random.gauss(); });
    fill_floats(freqs, [&] { return 2.0f * random.unit() - 1.0f; });
    for (std::int64_t t = 0; t < positions.numel(); ++t) set_integer(positions, t, t % 3);
  }
};

/// The element of a rotated pair that float arithmetic gives if it fuses the left product, the right one, or neither.
inline float rotated_part(int fused, float a, float b, float c, float d) {
  return fused == 0 ? std::fma(a, b, c * d) : fused == 1 ? std::fma(c, d, a * b) : a * b + c * d;
}

/// The rotated head of a token. `fused()` chooses the fused product of each part.
template <class Fused>
std::vector<float> rotated_query(const IndexerInputs& in, std::int64_t token, std::int64_t head, Fused fused) {
  std::vector<float> x(128);
  for (std::int64_t d = 0; d < 128; ++d)
    x[static_cast<std::size_t>(d)] = float_from_bf16(in.queries.at<std::uint16_t>(token, head, d));
  for (std::size_t d = 64; d < 128; d += 2) {
    const std::int64_t row = integer_at(in.positions, token), at = static_cast<std::int64_t>(d) - 64;
    const float c = in.freqs.at<float>(row, at), s = in.freqs.at<float>(row, at + 1), re = x[d], im = x[d + 1];
    x[d] = rotated_part(fused(), re, c, -im, s);
    x[d + 1] = rotated_part(fused(), re, s, im, c);
  }
  return x;
}

/// The Hadamard transform of x from its halves: those of the sums and of the differences of the pairs (2i, 2i + 1).
inline std::vector<float> transformed_query(const std::vector<float>& x, bool outer = true) {
  if (x.size() == 1) return x;
  std::vector<float> sums, differences;
  for (std::size_t i = 0; i < x.size(); i += 2) {
    sums.push_back(x[i] + x[i + 1]);
    differences.push_back(x[i] - x[i + 1]);
  }
  sums = transformed_query(sums, false);
  differences = transformed_query(differences, false);
  std::vector<float> y;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    y.push_back(sums[i]);
    y.push_back(differences[i]);
  }
  for (float& value : y) value = outer ? value * float_from_bits(0x3db504f3) : value;
  return y;
}

}  // namespace dsv4::testing
