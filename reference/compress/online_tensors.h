/// Defines the tensors that the online compressors of ratio 128 use, and checks them. It also has the functions that
/// read and write the running softmax of a group.
///
/// The row of a token has two blocks of head_dim floats: kv and score. The state has the shape [slots, 1, 3 *
/// head_dim]. A slot holds the running softmax of an open group, in three blocks: the largest score, the sum of the
/// weights, and the weighted mean of kv.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/compress/column.h"
#include "reference/compress/online_column.h"

namespace dsv4::reference {

inline constexpr std::int64_t kOnlineGroup = 128;

struct OnlineTensors {
  View<float, 3> state;        ///< [slots, 1, 3 * head_dim]
  View<const float, 2> input;  ///< [tokens, 2 * head_dim]
  View<float, 2> output;       ///< [entries, head_dim]
  View<const float, 2> ape;    ///< [128, head_dim]

  [[nodiscard]] std::int64_t head_dim() const { return ape.size(1); }
  [[nodiscard]] bool has_slot(std::int64_t slot) const { return slot >= 0 && slot < state.size(0); }

  /// The running softmax of column `d` in a slot.
  [[nodiscard]] Running running(std::int64_t slot, std::int64_t d) const {
    return {state(slot, 0, d), state(slot, 0, head_dim() + d), state(slot, 0, 2 * head_dim() + d)};
  }
  void store(std::int64_t slot, std::int64_t d, const Running& r) const {
    state(slot, 0, d) = static_cast<float>(r.max);
    state(slot, 0, head_dim() + d) = static_cast<float>(r.sum);
    state(slot, 0, 2 * head_dim() + d) = static_cast<float>(r.mean);
  }
  /// Column `d` of the rows `first` ... `first` + `count` - 1 of the batch. The first of them is at `place` in
  /// its group.
  [[nodiscard]] Scored scored(std::int64_t first, std::int64_t count, std::int64_t place, std::int64_t d) const {
    Scored tokens{Eigen::ArrayXd(count), Eigen::ArrayXd(count)};
    for (std::int64_t i = 0; i < count; ++i) {
      tokens.kv(i) = input(first + i, d);
      tokens.z(i) = input(first + i, head_dim() + d) + ape(place + i, d);  // rounded to float
    }
    return tokens;
  }
};

/// If a shape does not match, throws a ValueError that names the argument with this shape. kv_output must have
/// `entries` rows. Without `entries`, it must have one row for each token of kv_input.
inline OnlineTensors online_tensors(const char* op, TensorView kv_buffer, TensorView kv_input, TensorView kv_output,
                                    TensorView ape, std::optional<std::int64_t> entries) {
  const OnlineTensors t{View<float, 3>(op, "kv_buffer", kv_buffer).expect_contiguous(),
                        View<const float, 2>(op, "kv_input", kv_input).expect_contiguous(),
                        View<float, 2>(op, "kv_output", kv_output).expect_contiguous(),
                        View<const float, 2>(op, "ape", ape).expect_contiguous()};
  t.ape.expect_size(0, kOnlineGroup);
  t.state.expect_size(1, 1).expect_size(2, 3 * t.head_dim());
  t.input.expect_size(1, 2 * t.head_dim());
  t.output.expect_size(0, entries.value_or(t.input.size(0))).expect_size(1, t.head_dim());
  return t;
}

/// A run of tokens of the batch, which are added to the running softmax of their group.
struct Merge {
  std::int64_t first;                                ///< row of the first token in the batch
  std::int64_t tokens;                               ///< number of tokens
  std::int64_t place;                                ///< place of the first token in its group, 0 ... 127
  std::int64_t from;                                 ///< slot that holds the earlier tokens of the group
  std::int64_t to;                                   ///< slot of the result, if the group stays open
  std::optional<std::int64_t> entry = std::nullopt;  ///< row of kv_output if the tokens complete the group

  [[nodiscard]] bool has_earlier() const { return place > 0; }
};

/// Returns the running softmax of column `d` after the merge.
inline Running merged(const OnlineTensors& t, const Merge& merge, std::int64_t d) {
  const Scored tokens = t.scored(merge.first, merge.tokens, merge.place, d);
  if (!merge.has_earlier()) return merged(nullptr, tokens);
  const Running earlier = t.running(merge.from, d);
  return merged(&earlier, tokens);
}

/// Writes the entry of the group if the merge completes it, and else the slot.
inline void apply(const OnlineTensors& t, const Merge& merge) {
  for (std::int64_t d = 0; d < t.head_dim(); ++d) {
    const Running after = merged(t, merge, d);
    if (merge.entry) {
      t.output(*merge.entry, d) = static_cast<float>(after.mean);
    } else {
      t.store(merge.to, d, after);
    }
  }
}

/// A decode step with the first token of a group: stores the token. It is the whole running softmax, whatever its score
/// is (c128_online_v2.cuh:98-102).
inline void store_first(const OnlineTensors& t, const Merge& merge) {
  for (std::int64_t d = 0; d < t.head_dim(); ++d) {
    const Scored token = t.scored(merge.first, 1, 0, d);
    t.store(merge.to, d, {token.z(0), 1.0, token.kv(0)});
  }
}

/// Writes the bounds of what `apply` writes to `output_bound` and `state_bound`, which have the shapes of kv_output
/// and kv_buffer.
inline void apply_bound(const OnlineTensors& t, const Merge& merge, const Roundings& roundings,
                        const View<float, 2>& output_bound, const View<float, 3>& state_bound) {
  for (std::int64_t d = 0; d < t.head_dim(); ++d) {
    const Scored tokens = t.scored(merge.first, merge.tokens, merge.place, d);
    const Running earlier = merge.has_earlier() ? t.running(merge.from, d) : Running{};
    const RunningBound bound = merged_bound(merge.has_earlier() ? &earlier : nullptr, tokens, roundings);
    if (merge.entry) {
      output_bound(*merge.entry, d) = float_above(bound.mean);
    } else {
      state_bound(merge.to, 0, t.head_dim() + d) = float_above(bound.sum);
      state_bound(merge.to, 0, 2 * t.head_dim() + d) = float_above(bound.mean);
    }
  }
}

/// The tensors of bounds, with zeros in all elements. Throws a ValueError that names the argument.
inline std::pair<View<float, 2>, View<float, 3>> bound_tensors(const char* op, const OnlineTensors& t,
                                                               TensorView kv_output_bound, TensorView kv_buffer_bound) {
  const View<float, 2> output(op, "kv_output_bound", kv_output_bound);
  const View<float, 3> state(op, "kv_buffer_bound", kv_buffer_bound);
  output.expect_contiguous().expect_size(0, t.output.size(0)).expect_size(1, t.output.size(1));
  state.expect_contiguous().expect_size(0, t.state.size(0)).expect_size(1, 1).expect_size(2, t.state.size(2));
  for (std::int64_t i = 0; i < output.size(0); ++i) row_of(output, i) = 0.0f;
  for (std::int64_t i = 0; i < state.size(0); ++i) row_of(state, i, 0) = 0.0f;
  return {output, state};
}

}  // namespace dsv4::reference
