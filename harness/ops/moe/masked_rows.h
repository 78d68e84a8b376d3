/// The padded layout of expert activations: which rows a call processes, and where their codes and scales lie.
#pragma once

#include <algorithm>
#include <cstdint>

#include "harness/op/op.h"

namespace dsv4 {

inline constexpr std::int64_t kScaleGroup = 128;  ///< outputs that share a scale

/// Sizes of a call, from its tensors.
struct MaskedSizes {
  std::int64_t experts, tokens, dim;
  bool transposed;

  explicit MaskedSizes(const Call& call);

  [[nodiscard]] std::int64_t groups() const { return dim / kScaleGroup; }
  /// Byte offset of the scale of group g of a row, and its size.
  [[nodiscard]] std::int64_t scale_at(std::int64_t e, std::int64_t t, std::int64_t g) const {
    return transposed ? 4 * ((e * (groups() / 4) + g / 4) * tokens + t) + g % 4 : 4 * ((e * tokens + t) * groups() + g);
  }
  [[nodiscard]] std::int64_t scale_bytes() const { return transposed ? 1 : 4; }
};

/// Calls visit(expert, token) for each row that the op processes, expert by expert. These are the rows below the
/// experts' counts, but at most tokens * topk of them.
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

/// A call with zeroed tensors of these sizes: bf16 [experts, tokens, 2 dim] and so on. topk is 1, the limit 0.
Call masked_call(const Op& op, Params compile, std::int64_t experts, std::int64_t tokens, std::int64_t dim,
                 bool transposed);

/// The codes, with zeros in the rows that are not processed.
HostTensor masked_codes(const Call& call, const HostTensor& output);

/// The scales by (expert, token, group), with zeros in the rows that are not processed: u8 exponents where the layout
/// has bytes, else f32.
HostTensor masked_scales(const Call& call, const HostTensor& output_scale);

/// Overwrites the input rows that are not processed with NaN and infinities: they must have no effect.
void poison_unprocessed_rows(Call& call);

/// Limits what a call may write to the processed rows and their scales.
void set_masked_footprints(Call& call);

}  // namespace dsv4
