#include "harness/run/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness/case/work.h"
#include "harness/core/error.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kOp = "mask_topk_ids";
const std::string kCase = "mask_topk_ids/rows=5,k=6,gap=0,real=3,count=device_i32/seed=1";

std::vector<std::string> ids(const CaseFilter& filter) {
  std::vector<std::string> list;
  for (const Case& c : select_cases(filter)) list.push_back(c.id());
  return list;
}

std::string refusal(const CaseFilter& filter) {
  try {
    select_cases(filter);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(SelectCases, OwnSeedsFollowFromTheId) {
  const CaseFilter filter{.ops = {kOp}, .tier = Tier::kSmoke, .own_seeds = true};
  const auto cases = select_cases(filter);
  std::set<std::uint64_t> seeds;
  for (const Case& c : cases) {
    seeds.insert(c.seed);
    EXPECT_LT(c.seed, std::uint64_t{1} << 32);
  }
  EXPECT_EQ(seeds.size(), cases.size());
  EXPECT_EQ(select_cases(filter), cases);
  CaseFilter other = filter;
  other.seed = 2;
  EXPECT_NE(select_cases(other).front().seed, cases.front().seed);
  CaseFilter named = filter;
  named.cases = {kCase};
  EXPECT_EQ(select_cases(named).front().id(), kCase) << "a case that is named keeps its seed";
  CaseFilter glob = filter;
  glob.cases = {"*/seed=1"};
  EXPECT_EQ(select_cases(glob), cases) << "a pattern is that of the tier's ids";
}

TEST(Select, SelectsByTierAndOp) {
  CaseFilter f{.ops = {kOp}, .tier = Tier::kSmoke};
  const auto smoke = ids(f);
  EXPECT_TRUE(std::ranges::is_sorted(smoke));
  for (const std::string& id : smoke) EXPECT_THAT(id, StartsWith(kOp + "/"));
  f.tier = Tier::kFull;
  const auto full = ids(f);
  EXPECT_TRUE(std::ranges::includes(full, smoke));
  f.ops = {"mask_*", "*_ids"};
  EXPECT_EQ(ids(f), full) << "an op that matches two globs must be selected only once";
}

TEST(Select, SeedChangesEveryId) {
  for (const std::string& id : ids({.ops = {kOp}, .tier = Tier::kSmoke, .seed = 77})) {
    EXPECT_THAT(id, HasSubstr("/seed=77"));
  }
}

TEST(Select, ExactIdNeedsNoTier) {
  const std::string rare = "mask_topk_ids/rows=777,k=6,gap=0,real=3,count=device_i32/seed=9";
  EXPECT_EQ(ids({.cases = {rare, rare}, .tier = Tier::kSmoke}), std::vector{rare});
}

TEST(Select, ExcludesByOpAndById) {
  const auto all = ids({.tier = Tier::kSmoke});
  const auto less = ids({.excludes = {"topk*", "mask_topk_ids/contract:*"}, .tier = Tier::kSmoke});
  std::vector<std::string> want;
  for (const std::string& id : all) {
    if (!id.starts_with("topk") && !id.starts_with("mask_topk_ids/contract:")) want.push_back(id);
  }
  EXPECT_LT(want.size(), all.size());
  EXPECT_EQ(less, want);
  EXPECT_THAT(refusal({.excludes = {"no_such_op"}, .tier = Tier::kSmoke}), HasSubstr("--exclude 'no_such_op'"));
}

TEST(Select, SelectsByGlobOfIds) {
  for (const std::string& id : ids({.cases = {"mask_topk_ids/contract:*"}})) {
    EXPECT_THAT(id, StartsWith("mask_topk_ids/contract:"));
  }
}

TEST(Select, ShardsHoldEveryCaseOnce) {
  const CaseFilter whole{.ops = {kOp}};
  const auto all = ids(whole);
  for (const std::uint64_t n : {2, 3, 7}) {
    std::vector<std::string> joined;
    for (std::uint64_t k = 1; k <= n; ++k) {
      CaseFilter part = whole;
      part.shard = {k, n};
      const auto some = ids(part);
      EXPECT_GT(some.size(), all.size() / n / 3) << "this shard has less than a third of its share of the cases";
      joined.insert(joined.end(), some.begin(), some.end());
    }
    std::ranges::sort(joined);
    EXPECT_EQ(joined, all);
  }
}

TEST(Select, RunningOrderIsAPermutation) {
  const auto cases = select_cases({.ops = {kOp}});
  auto order = in_running_order(cases);
  EXPECT_EQ(order.size(), cases.size());
  EXPECT_GE(expected_work(parse_case_id(order.front())), expected_work(parse_case_id(order.back())));
  std::ranges::sort(order);
  EXPECT_EQ(order, ids({.ops = {kOp}}));
}

TEST(Select, ErrorsSayWhatWasProbablyMeant) {
  EXPECT_THAT(refusal({.ops = {"mask_topk_id"}}), HasSubstr("did you mean 'mask_topk_ids'?"));
  EXPECT_THAT(refusal({.ops = {"zzz*"}}), HasSubstr("no op is called 'zzz*'"));
  EXPECT_THAT(refusal({.cases = {"mask_topk_ids/no_such*"}}), HasSubstr("no case of tier 'quick' matches"));
  EXPECT_THAT(refusal({.cases = {"nonsense"}}), HasSubstr("case id 'nonsense'"));
  EXPECT_THAT(refusal({.cases = {"mask_topk_ids/rows=5/seed=1"}}), HasSubstr("parameter 'k' is missing"));
  EXPECT_THAT(refusal({.ops = {"topk*"}, .cases = {kCase}}), HasSubstr("no case is selected"));
}

}  // namespace
}  // namespace dsv4
