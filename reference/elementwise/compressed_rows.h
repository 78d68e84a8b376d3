/// Rows of compressed entries that are normalised, multiplied by a weight and rotated in place, for the references of
/// compress_norm_rope_prefill_v1 and compress_norm_rope_decode_v1.
///
/// The order of roundings is that of upstream's kernel: sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/fused_norm_rope.cuh (below, "line" means a line of this file), with elements of float.
/// norm_factor.h and rotation.h, in this folder, say which results float arithmetic may give.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/elementwise/norm_factor.h"
#include "reference/elementwise/rotated_row.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {

/// A row that has an entry, and the entry's position. The table of angles may lack the position.
struct PlacedRow {
  std::int64_t row;
  std::int64_t position;
};

/// The arguments that both ops have.
class CompressedRows {
 public:
  CompressedRows(const char* op, TensorView input, TensorView weight, TensorView freqs_cis, double eps,
                 std::int64_t ratio)
      : input_(op, "input", input),
        weight_(op, "weight", weight),
        angles_(op, freqs_cis),
        eps_(static_cast<float>(eps)) {
    if (weight_.size(0) != 128 && weight_.size(0) != 512) {
      refuse(op, "weight", "expected size 128 or 512 in dimension 0, got " + std::to_string(weight_.size(0)));
    }
    weight_.expect_contiguous();
    input_.expect_size(1, weight_.size(0)).expect_contiguous();
    if (ratio < 1 || ratio > 0xffffffff) {
      refuse(op, "ratio", "expected a positive number of 32 bits, got " + std::to_string(ratio));
    }
  }

  /// Number of rows of the input.
  [[nodiscard]] std::int64_t size() const { return input_.size(0); }

  /// Changes the rows in place.
  void change(const std::vector<PlacedRow>& rows) const {
    for (const auto& [row, position] : rows) {
      std::vector<float> y = normalised(row, norm_factor(row_of(input_, row), eps_).value);
      rotate_tail(y, angles_, position);
      for (std::int64_t d = 0; d < weight_.size(0); ++d) input_(row, d) = y[static_cast<std::size_t>(d)];
    }
  }

  /// Writes the least and the greatest right results. A row that is not changed has its input there.
  void bracket(const std::vector<PlacedRow>& rows, const View<float, 2>& low, const View<float, 2>& high) const {
    for (std::int64_t r = 0; r < size(); ++r) row_of(low, r) = row_of(high, r) = row_of(input_, r);
    for (const auto& [row, position] : rows) {
      const NormFactor factor = norm_factor(row_of(input_, row), eps_);
      const std::array ends{normalised(row, factor.low), normalised(row, factor.high)};
      const auto brackets = brackets_of(ends, angles_, position);
      for (std::int64_t d = 0; d < weight_.size(0); ++d) {
        low(row, d) = brackets[static_cast<std::size_t>(d)].low();
        high(row, d) = brackets[static_cast<std::size_t>(d)].high();
      }
    }
  }

 private:
  /// The row times the factor and then times the weight. Both products are rounded to float (line 132).
  [[nodiscard]] std::vector<float> normalised(std::int64_t row, float factor) const {
    const Eigen::ArrayXf scaled = row_of(input_, row) * factor;
    const Eigen::ArrayXf y = scaled * row_of(weight_);
    return {y.begin(), y.end()};
  }

  View<float, 2> input_;
  View<const float, 1> weight_;
  AngleTable angles_;
  float eps_;
};

}  // namespace dsv4::reference
