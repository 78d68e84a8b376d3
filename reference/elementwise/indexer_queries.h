/// What the references of the two ops share that quantise the queries of the indexer: their arguments, and the rotated
/// heads.
///
/// The order of roundings is that of upstream's kernels: sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/main_norm_rope.cuh (below, "line" means a line of this file).
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "reference/common/interval.h"
#include "reference/common/number.h"
#include "reference/common/view.h"
#include "reference/elementwise/rotation.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {

class IndexerQueries {
 public:
  static constexpr std::int64_t kDim = 128;

  /// Refuses arguments that are not
  ///   q_input    bf16 [tokens, heads, 128]
  ///   weight     bf16 [tokens, heads]
  ///   freqs_cis  f32 [positions, 64]: cos_0, sin_0, cos_1, sin_1, ...
  ///   positions  i32 or i64 [tokens]
  /// All of them must be contiguous.
  IndexerQueries(const char* op, TensorView q_input, TensorView weight, double weight_scale, TensorView freqs_cis,
                 TensorView positions)
      : op_(op),
        input_(op, "q_input", q_input),
        weight_(op, "weight", weight),
        scale_(static_cast<float>(weight_scale)),
        angles_(op, freqs_cis, positions, input_.size(0)) {
    input_.expect_size(2, kDim).expect_contiguous();
    weight_.expect_size(0, tokens()).expect_size(1, heads()).expect_contiguous();
  }

  [[nodiscard]] std::int64_t tokens() const { return input_.size(0); }
  [[nodiscard]] std::int64_t heads() const { return input_.size(1); }

  /// A contiguous output [tokens, heads, size] or, without `size`, [tokens, heads].
  template <class T>
  [[nodiscard]] View<T, 3> output(const char* name, TensorView tensor, std::int64_t size) const {
    const View<T, 3> view(op_, name, tensor);
    view.expect_size(0, tokens()).expect_size(1, heads()).expect_size(2, size).expect_contiguous();
    return view;
  }
  template <class T>
  [[nodiscard]] View<T, 2> output(const char* name, TensorView tensor) const {
    const View<T, 2> view(op_, name, tensor);
    view.expect_size(0, tokens()).expect_size(1, heads()).expect_contiguous();
    return view;
  }

  /// Calls `each(token, head)` for every head.
  template <class Each>
  void for_each_head(Each each) const {
    for (std::int64_t t = 0; t < tokens(); ++t)
      for (std::int64_t h = 0; h < heads(); ++h) each(t, h);
  }

  /// The head's weight times `weight_scale`, rounded to float.
  [[nodiscard]] float weight(std::int64_t token, std::int64_t head) const {
    return to_float(weight_(token, head)) * scale_;
  }

  /// The elements of a head. Elements (64 + 2i, 65 + 2i) are pair i, which is rotated. If `round` is true, rotated
  /// elements are rounded to bfloat16. A token whose position is outside freqs_cis is not rotated.
  ///
  /// @tparam Number  float for the results that nvcc gives (rotation.h), or Interval for all results
  template <class Number>
  [[nodiscard]] std::vector<Number> rotated_head(std::int64_t token, std::int64_t head, bool round) const {
    std::vector<Number> x(kDim);
    for (std::int64_t d = 0; d < kDim; ++d) {
      const float value = to_float(input_(token, head, d));
      x[static_cast<std::size_t>(d)] = number_of<Number>(value);
    }
    for (std::int64_t d = kDim - kRotaryDim; d < kDim && angles_.has(token); d += 2) {
      const Complex pair{to_float(input_(token, head, d)), to_float(input_(token, head, d + 1))};
      const Product product = rotated(pair, angles_.angle(token, (d - (kDim - kRotaryDim)) / 2));
      const auto first = static_cast<std::size_t>(d);
      x[first] = result_of<Number>(product.re);
      x[first + 1] = result_of<Number>(product.im);
      if (round) {
        x[first] = rounded_to_bf16(x[first]);
        x[first + 1] = rounded_to_bf16(x[first + 1]);
      }
    }
    return x;
  }

 private:
  template <class Number>
  static Number number_of(float value) {
    if constexpr (std::is_same_v<Number, float>) {
      return value;
    } else {
      return {value, value};
    }
  }
  template <class Number>
  static Number result_of(Sum sum) {
    if constexpr (std::is_same_v<Number, float>) {
      return left_exact(sum);
    } else {
      return results_of(sum);
    }
  }

  const char* op_;
  View<const Bf16, 3> input_;
  View<const Bf16, 2> weight_;
  float scale_;
  TokenAngles angles_;
};

}  // namespace dsv4::reference
