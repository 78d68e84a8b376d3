/// Compares the references of topk_v2 and its planner with LibTorch, on the inputs of every case of the quick tier.
#include <algorithm>

#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {
namespace {

/// The positions whose slots these are. Pages are not negative, and no page occurs twice in a row of the table.
at::Tensor positions_of(const at::Tensor& slots, const at::Tensor& table, std::int64_t page) {
  const auto [sorted, order] = at::sort(table.contiguous());
  const at::Tensor index = at::searchsorted(sorted, at::floor_divide(slots, page).contiguous());
  EXPECT_TRUE(at::equal(at::index_select(sorted, 0, index), at::floor_divide(slots, page).to(at::kInt)));
  return at::index_select(order, 0, index) * page + slots % page;
}

TEST(TopKInputsAgainstTorch, TopKV2) {
  for_each_quick_case("topk_v2", [](const Specimen& s) {
    const at::Tensor scores = as_torch(s.call.tensor("scores")), table = as_torch(s.call.tensor("page_table"));
    const at::Tensor slots = as_torch(s.result.tensor("page_indices")), lengths = as_torch(s.call.tensor("seq_lens"));
    const std::int64_t k = slots.size(1), page = std::get<std::int64_t>(s.call.arg("page_size").value);
    for (std::int64_t row = 0; row < scores.size(0); ++row) {
      const std::int64_t length = lengths[row].item<std::int32_t>(), n = std::min(length, k);
      EXPECT_TRUE(slots[row].slice(0, n).eq(-1).all().item<bool>());
      if (n == 0) continue;
      const at::Tensor chosen = positions_of(slots[row].slice(0, 0, n), table[row], page);
      EXPECT_EQ(std::get<0>(at::_unique(chosen)).numel(), n);
      if (length <= k) {
        EXPECT_TRUE(at::equal(chosen, at::arange(n)));
        continue;
      }
      const at::Tensor valid = scores[row].slice(0, 0, length);
      const at::Tensor got = std::get<0>(at::sort(at::index_select(valid, 0, chosen), -1, true));
      expect_equal(got.to(at::kDouble), std::get<0>(at::topk(valid, k)).to(at::kDouble), "scores");
    }
  });
}

TEST(TopKInputsAgainstTorch, PlanTopKV2) {
  for_each_quick_case("plan_topk_v2", [](const Specimen& s) {
    const at::Tensor lengths = as_torch(s.call.tensor("seq_lens")), plan = as_torch(s.result.tensor("metadata"));
    if (lengths.numel() <= 15) return;
    const std::int64_t threshold = plan[0][0].item<std::int32_t>();
    const at::Tensor rows = at::nonzero(lengths > threshold).squeeze(1);
    const std::int64_t items = rows.numel();
    EXPECT_EQ(plan[0][1].item<std::int32_t>(), items);
    EXPECT_TRUE(at::equal(plan.slice(0, 1, 1 + items).select(1, 0), rows.to(at::kInt)));
    EXPECT_TRUE(at::equal(plan.slice(0, 1, 1 + items).select(1, 1), at::index_select(lengths, 0, rows)));
    const std::int64_t given = std::get<std::int64_t>(s.call.arg("static_cluster_threshold").value);
    if (given != 0) {
      EXPECT_EQ(threshold, std::max<std::int64_t>(given, 32768));
      return;
    }
    // At the least threshold, or at the highest one: the number of items is bounded. Between them, the next lower one
    // has too many.
    const at::Tensor steps = at::tensor({32768, 40960, 49152, 65536, 98304, 131072, 196608, 262144});
    const at::Tensor most = at::tensor({30, 45, 45, 60, 60, 75, 90, 105});
    const at::Tensor longer = (lengths.unsqueeze(0) > steps.unsqueeze(1)).sum(1);
    const at::Tensor place = at::nonzero(steps == threshold);
    ASSERT_EQ(place.numel(), 1);
    const std::int64_t step = place.item<std::int64_t>();
    EXPECT_TRUE((longer <= most).slice(0, step).all().item<bool>());
    if (step > 0 && lengths.numel() > 30) {
      EXPECT_GT(longer[step - 1].item<std::int64_t>(), most[step - 1].item<int>());
    }
  });
}

}  // namespace
}  // namespace dsv4::testing
