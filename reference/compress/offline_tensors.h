/// Defines the tensors that compress_c4_decode and compress_c4_prefill use, and checks them. C4 is compression at
/// ratio 4. This header also has the functions that put a token's row into a window.
///
/// Four consecutive tokens are a group, and each group gives one entry. The window of the entry has eight places: the
/// four tokens of the previous group, then the four tokens of the group itself. So each token is in two windows.
///
/// The row of a token has four blocks of head_dim floats. The first block ("overlap") is the kv that the token has in
/// the window of the next group. The second block ("own") is the kv that it has in the window of its own group. The
/// third and the fourth block are the scores for these two windows. The state has the shape [pages, 4, 4 * head_dim].
/// It holds the rows that are kept after a batch.
#pragma once

#include <cfloat>
#include <cstdint>
#include <optional>
#include <string>

#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/compress/column.h"

namespace dsv4::reference {

inline constexpr std::int64_t kGroup = 4;

struct OfflineTensors {
  View<float, 3> state;        ///< [pages, 4, 4 * head_dim]
  View<const float, 2> input;  ///< [tokens, 4 * head_dim]
  View<float, 2> output;       ///< [entries, head_dim]
  View<const float, 2> ape;    ///< [8, head_dim]

  [[nodiscard]] std::int64_t head_dim() const { return ape.size(1); }

  [[nodiscard]] bool has_page(std::int64_t page) const { return page >= 0 && page < state.size(0); }
  [[nodiscard]] bool has_row(std::int64_t row) const { return row >= 0 && row < kGroup * state.size(0); }
  [[nodiscard]] bool has_token(std::int64_t token) const { return token >= 0 && token < input.size(0); }
};

/// If a shape does not match, throws a ValueError that names the argument with this shape. kv_output must have
/// `entries` rows. Without `entries`, it must have one row for each token of kv_input.
inline OfflineTensors offline_tensors(const char* op, TensorView kv_buffer, TensorView kv_input, TensorView kv_output,
                                      TensorView ape, std::optional<std::int64_t> entries) {
  const OfflineTensors t{View<float, 3>(op, "kv_buffer", kv_buffer).expect_contiguous(),
                         View<const float, 2>(op, "kv_input", kv_input).expect_contiguous(),
                         View<float, 2>(op, "kv_output", kv_output).expect_contiguous(),
                         View<const float, 2>(op, "ape", ape).expect_contiguous()};
  t.ape.expect_size(0, 8);
  t.state.expect_size(1, kGroup).expect_size(2, 4 * t.head_dim());
  t.input.expect_size(1, 4 * t.head_dim());
  t.output.expect_size(0, entries.value_or(t.input.size(0))).expect_size(1, t.head_dim());
  return t;
}

/// Fills place `i` of a window with the row of a token. Places 0 to 3 belong to the previous group.
inline void set_place(const OfflineTensors& t, Window& window, int i, const Eigen::Ref<const Eigen::ArrayXf>& row) {
  const std::int64_t half = i < kGroup ? 0 : t.head_dim();
  const auto kv = row.segment(half, t.head_dim());
  const auto score = row.segment(2 * t.head_dim() + half, t.head_dim());
  window.kv.row(i) = kv.cast<double>();
  window.z.row(i) = score.cast<double>() + row_of(t.ape, i).cast<double>();
}

/// Fills place `i` of a window as absent, because the place is before the first token of the request: its kv
/// is 0, and its score is -FLT_MAX before the bias (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c4_v2.cuh:110-118).
inline void set_absent(const OfflineTensors& t, Window& window, int i) {
  window.kv.row(i) = 0.0;
  window.z.row(i) = row_of(t.ape, i).cast<double>() - double{FLT_MAX};
}

}  // namespace dsv4::reference
