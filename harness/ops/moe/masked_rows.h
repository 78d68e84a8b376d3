/// The padded layout of expert activations: which rows a call processes, and the places of their codes and scales.
#pragma once

#include <algorithm>
#include <cstdint>

#include "harness/op/op.h"
#include "harness/ops/moe/gate_up_rows.h"

namespace dsv4 {

/// Sizes of a call, from its tensors.
struct MaskedSizes {
  std::int64_t experts, tokens, dim;
  bool transposed;

  explicit MaskedSizes(const Call& call);

  [[nodiscard]] std::int64_t groups() const { return dim / kScaleGroup; }
  /// Byte offset of the scale of group g in row t of expert e. scale_bytes() is the size of the scale.
  [[nodiscard]] std::int64_t scale_at(std::int64_t e, std::int64_t t, std::int64_t g) const {
    return transposed ? 4 * ((e * (groups() / 4) + g / 4) * tokens + t) + g % 4 : 4 * ((e * tokens + t) * groups() + g);
  }
  [[nodiscard]] std::int64_t scale_bytes() const { return transposed ? 1 : 4; }
};

/// Calls visit(expert, token) for each row that the op processes, expert by expert. An expert's rows are processed up
/// to the expert's count, until tokens * topk rows of all experts have been processed.
template <class Visit>
void for_each_masked_row(const Call& call, Visit visit) {
  const MaskedSizes s(call);
  const HostTensor& counts = call.tensor("masked_m");
  auto left =
      static_cast<std::uint32_t>(s.tokens) * static_cast<std::uint32_t>(std::get<std::int64_t>(call.arg("topk").value));
  for (std::int64_t e = 0; e < s.experts; ++e) {
    for (std::int64_t t = 0; t < std::min<std::int64_t>(counts.at<std::int32_t>(e), s.tokens); ++t) {
      if (left-- == 0) return;
      visit(e, t);
    }
  }
}

/// A call with zeroed tensors of these sizes. The input is bf16 [experts, tokens, 2 dim], for example. topk is 1, and
/// the limit is 0.
Call masked_call(const Op& op, Params compile, std::int64_t experts, std::int64_t tokens, std::int64_t dim,
                 bool transposed);

/// The codes, with zeros in the rows that are not processed.
HostTensor masked_codes(const Call& call, const HostTensor& output);

/// The scales by (expert, token, group), with zeros in the rows that are not processed. They are u8 exponents if the
/// layout is transposed, or else f32.
HostTensor masked_scales(const Call& call, const HostTensor& output_scale);

/// Fills the input rows that are not processed with NaN and infinities, because these rows must have no effect.
void poison_unprocessed_rows(Call& call);

/// Sets the footprints of the outputs: the processed rows and their scales.
void set_masked_footprints(Call& call);

}  // namespace dsv4
