/// The padded layout of expert activations: which of its rows a call processes, and where their codes and scales lie.
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

/// Calls visit(expert, token) for the rows that are processed: those below the counts, expert by expert, and of them
/// the first tokens * topk.
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

/// Codes of the processed rows; zero elsewhere.
HostTensor masked_codes(const Call& call, const HostTensor& output);

/// Scales of the processed rows by (expert, token, group): exponent bytes where the layout has bytes, else floats.
HostTensor masked_scales(const Call& call, const HostTensor& output_scale);

/// Overwrites the input of the other rows with NaN and infinities: they may hold anything and must count for nothing.
void poison_unprocessed_rows(Call& call);

/// Limits what a call may write to the processed rows and their scales.
void set_masked_footprints(Call& call);

}  // namespace dsv4
