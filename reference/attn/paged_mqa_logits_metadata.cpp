/// Reference of paged_mqa_logits_metadata: divides the work of paged attention scores among multiprocessors.
#include <algorithm>
#include <cstdint>

#include "interface/entry.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "paged_mqa_logits_metadata";
/// Tokens of a split (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/paged_mqa_metadata.cuh:13).
constexpr std::int64_t kSplitTokens = 256;

/// run: each row of `seq_lens` is divided into splits of 256 tokens; the last split of a row may be shorter. All
/// splits, row by row, are dealt out to the multiprocessors. Each multiprocessor gets as many adjacent splits as the
/// next one, or one more (paged_mqa_metadata.cuh:52-60). Entry i of `metadata` is the first split of multiprocessor i:
/// its row, and its number in the row. If there is no such split, the entry is (rows, 0); so is the last entry, which
/// ends the last share.
///
/// Upstream reads a length as an unsigned number, so a negative length has no meaning. Here it counts as 0.
void run(TensorView seq_lens, TensorView metadata) {
  const View<const std::int32_t, 1> lengths(kOp, "seq_lens", seq_lens);
  const View<std::int32_t, 2> entries(kOp, "metadata", metadata);
  lengths.expect_contiguous();
  entries.expect_contiguous().expect_size(1, 2);
  if (entries.size(0) < 1) refuse(kOp, "metadata", "expected one entry more than multiprocessors, got none");
  const std::int64_t rows = lengths.size(0), shares = entries.size(0) - 1;
  const auto splits_of = [&](std::int64_t row) {
    return (std::max<std::int64_t>(lengths(row), 0) + kSplitTokens - 1) / kSplitTokens;
  };
  std::int64_t splits = 0;
  for (std::int64_t row = 0; row < rows; ++row) splits += splits_of(row);

  std::int64_t row = 0, split = 0;  // the first split of the share
  for (std::int64_t i = 0; i < shares; ++i) {
    while (row < rows && split >= splits_of(row)) split -= splits_of(row++);
    entries(i, 0) = static_cast<std::int32_t>(row);
    entries(i, 1) = static_cast<std::int32_t>(split);
    split += splits / shares + (i < splits % shares ? 1 : 0);
  }
  entries(shares, 0) = static_cast<std::int32_t>(rows);
  entries(shares, 1) = 0;
}

}  // namespace
}  // namespace dsv4::reference

DSV4_ENTRY(run, dsv4::reference::run, "paged_mqa_logits_metadata", "paged_mqa_logits_metadata/1", "");
