/// Compares references of ops without arithmetic with LibTorch on the CPU, on the inputs of every case of the quick
/// tier. LibTorch finds places by at::cumsum, at::searchsorted and at::gather.
#include <gtest/gtest.h>

#include "tests/reference/torch/quick_cases.h"
#include "tests/reference/torch/torch.h"

namespace dsv4::testing {
namespace {

TEST(QuickInputsAgainstTorch, PagedMqaLogitsMetadata) {
  for_each_quick_case("paged_mqa_logits_metadata", [](const Specimen& s) {
    const at::Tensor lengths = as_torch(s.call.tensor("seq_lens")).to(at::kLong);
    const at::Tensor got = as_torch(s.result.tensor("metadata")).to(at::kLong);
    const std::int64_t rows = lengths.size(0), shares = got.size(0) - 1;
    const at::Tensor ends = at::cumsum(at::ceil(lengths.to(at::kDouble) / 256.0).to(at::kLong), 0);
    const auto splits = ends[-1].item<std::int64_t>();
    const at::Tensor share = at::arange(shares + 1);
    const at::Tensor first = share * (splits / shares) + at::clamp_max(share, splits % shares);
    const at::Tensor row = at::searchsorted(ends, first, false, true);
    const at::Tensor before = at::cat({at::zeros({1}, at::kLong), ends}).index_select(0, row);
    expect_equal(got.select(1, 0).to(at::kDouble), row.to(at::kDouble), "rows");
    expect_equal(got.select(1, 1).to(at::kDouble), at::where(row.eq(rows), 0, first - before).to(at::kDouble),
                 "splits");
  });
}

}  // namespace
}  // namespace dsv4::testing
