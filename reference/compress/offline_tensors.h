/// Defines the tensors that the references of offline compression use, and checks them. Offline compression computes an
/// entry from the rows of all its tokens at once. This header also has the functions that put a token's row into
/// a window.
///
/// `ratio` consecutive tokens are a group, and each group gives one entry. At ratio 128, the window of the entry has a
/// place for each token of the group. At ratio 4 it has eight places: the four tokens of the previous group, then the
/// four tokens of the group itself. So each token is in two windows.
///
/// The row of a token has a kv and a score of head_dim floats for each window that the token is in. At ratio 128 it has
/// two blocks: kv, score. At ratio 4 it has four blocks. The first block ("overlap") is the kv that the token has in
/// the window of the next group. The second block ("own") is the kv that it has in the window of its own group. The
/// third and the fourth block are the scores for these two windows. The state has the shape [pages, ratio, width of a
/// row]. It holds the rows that are kept after a batch.
#pragma once

#include <cfloat>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/compress/column.h"

namespace dsv4::reference {

struct OfflineTensors {
  std::int64_t ratio;
  View<float, 3> state;        ///< [pages, ratio, width]; in a call of V1 with rings, a page has the rows of a window
  View<const float, 2> input;  ///< [tokens, width]
  View<float, 2> output;       ///< [entries, head_dim]
  View<const float, 2> ape;    ///< [places of a window, head_dim]

  [[nodiscard]] std::int64_t head_dim() const { return ape.size(1); }
  /// The number of windows that a token is in. It is also the number of groups that an entry is made from.
  [[nodiscard]] std::int64_t windows() const { return ratio == 4 ? 2 : 1; }
  [[nodiscard]] std::int64_t places() const { return windows() * ratio; }
  [[nodiscard]] std::int64_t width() const { return 2 * windows() * head_dim(); }
  /// True for a place that holds a token of the entry's own group, and not one of the previous group.
  [[nodiscard]] bool in_own_group(std::int64_t place) const { return place >= places() - ratio; }

  [[nodiscard]] bool has_page(std::int64_t page) const { return page >= 0 && page < state.size(0); }
  [[nodiscard]] bool has_row(std::int64_t row) const { return row >= 0 && row < state.size(1) * state.size(0); }
  [[nodiscard]] bool has_token(std::int64_t token) const { return token >= 0 && token < input.size(0); }

  /// Stores the row of a token in a row of the state. Copies bytes, because a row must keep a signalling NaN. A copy of
  /// floats could change it.
  void keep(std::int64_t token, std::int64_t row) const {
    std::memcpy(&state(row / state.size(1), row % state.size(1), 0), &input(token, 0), sizeof(float) * width());
  }
};

/// If a shape does not match, throws a ValueError that names the argument with this shape. kv_output must have
/// `entries` rows. Without `entries`, it must have one row for each token of kv_input.
inline OfflineTensors offline_tensors(const char* op, std::int64_t ratio, TensorView kv_buffer, TensorView kv_input,
                                      TensorView kv_output, TensorView ape, std::optional<std::int64_t> entries,
                                      std::optional<std::int64_t> page_rows = std::nullopt) {
  const OfflineTensors t{ratio, View<float, 3>(op, "kv_buffer", kv_buffer).expect_contiguous(),
                         View<const float, 2>(op, "kv_input", kv_input).expect_contiguous(),
                         View<float, 2>(op, "kv_output", kv_output).expect_contiguous(),
                         View<const float, 2>(op, "ape", ape).expect_contiguous()};
  t.ape.expect_size(0, t.places());
  t.state.expect_size(1, page_rows.value_or(ratio)).expect_size(2, t.width());
  t.input.expect_size(1, t.width());
  t.output.expect_size(0, entries.value_or(t.input.size(0))).expect_size(1, t.head_dim());
  return t;
}

/// Fills place `i` of a window with the row of a token.
inline void set_place(const OfflineTensors& t, Window& window, std::int64_t i,
                      const Eigen::Ref<const Eigen::ArrayXf>& row) {
  // The places of the previous group, if the window has any, take the first block of the kv and of the scores.
  const std::int64_t block = t.windows() == 2 && t.in_own_group(i) ? t.head_dim() : 0;
  const auto kv = row.segment(block, t.head_dim());
  const auto score = row.segment(t.windows() * t.head_dim() + block, t.head_dim());
  window.kv.row(i) = kv.cast<double>();
  window.z.row(i) = score.cast<double>() + row_of(t.ape, i).cast<double>();
}

/// Fills place `i` of a window as absent, because the place is before the first token of the request: its kv
/// is 0, and its score is `lowest` before the bias. In V2 this is -FLT_MAX (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c4_v2.cuh:110-118).
inline void set_absent(const OfflineTensors& t, Window& window, std::int64_t i, double lowest = -double{FLT_MAX}) {
  window.kv.row(i) = 0.0;
  window.z.row(i) = row_of(t.ape, i).cast<double>() + lowest;
}

/// Row k of kv_output: the entry of a window.
inline void write_entry(const OfflineTensors& t, std::int64_t k, const Window& window) {
  for (std::int64_t d = 0; d < t.head_dim(); ++d) {
    t.output(k, d) = static_cast<float>(compress_column(window.kv.col(d), window.z.col(d)));
  }
}

/// Row k of kv_output, which holds bounds: the bound of the entry of a window.
inline void write_bound(const OfflineTensors& t, std::int64_t k, const Window& window) {
  for (std::int64_t d = 0; d < t.head_dim(); ++d) {
    t.output(k, d) = float_above(compress_column_bound(window.kv.col(d), window.z.col(d)));
  }
}

}  // namespace dsv4::reference
