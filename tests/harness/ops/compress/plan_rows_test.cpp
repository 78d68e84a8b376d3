#include "harness/ops/compress/plan_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::WritePlan;
using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;

/// Two requests at ratio 4, with rings of eight rows. Request 5 gets positions 3 ... 6, and request 2 gets 5 ... 8.
class PlanRows : public ::testing::Test {
 protected:
  Batch batch_{{5, 2}, {7, 9}, {4, 4}};
  std::vector<CompressPlan> compress_ = plans::prefill_records(requests_of(batch_), 4, {}, row).compress;
  std::vector<WritePlan> write_ = plans::prefill_records(requests_of(batch_), 4, {4, 0}, row).write;
  std::int64_t plan_rows_ = -1;
  bool in_token_order_ = true;

  static std::int64_t row(std::int64_t id, std::int64_t position) { return 8 * id + position % 8; }

  Observation observe() {
    return observe_prefill_plan(
        {.batch = batch_, .ratio = 4, .state_rows = 64, .plan_rows = plan_rows_, .in_token_order = in_token_order_},
        plan_tensor(compress_), plan_tensor(write_));
  }
  std::vector<std::string> checks() {
    std::vector<std::string> names;
    for (const Finding& f : observe().findings) names.push_back(f.check);
    return names;
  }
};

TEST_F(PlanRows, ARightPlanHasNoFindings) {
  EXPECT_THAT(checks(), IsEmpty());
  EXPECT_EQ(compress_.size(), 2u);  // position 3 of request 5, and position 7 of request 2
}

TEST_F(PlanRows, OrderIsCheckedOnTheHostAndNotCompared) {
  const HostTensor sorted = observe().output("compress_plan");
  std::swap(compress_[0], compress_[1]);
  EXPECT_THAT(checks(), Contains("order"));
  EXPECT_EQ(observe().output("compress_plan").storage, sorted.storage);
  in_token_order_ = false;
  EXPECT_THAT(checks(), IsEmpty());
}

TEST_F(PlanRows, DuplicatesAndGapsAreFound) {
  compress_.push_back(compress_.back());
  EXPECT_THAT(checks(), Contains("duplicate"));
  EXPECT_THAT(checks(), Contains("count"));
  compress_.resize(1);
  EXPECT_THAT(checks(), Contains("count"));
}

TEST_F(PlanRows, TwoTokensInOneStateRowAreFound) {
  write_[1].write_loc = write_.back().write_loc;
  EXPECT_THAT(checks(), Contains("duplicate"));
}

TEST_F(PlanRows, WrongContentIsFound) {
  ++compress_[1].buffer_len;
  EXPECT_THAT(checks(), Contains("content"));
  --compress_[1].buffer_len;
  compress_[1].seq_len += 4;
  EXPECT_THAT(checks(), Contains("content"));
  compress_[1].seq_len -= 4;
  write_[0].write_loc ^= 1;
  EXPECT_THAT(checks(), Contains("content"));
}

TEST_F(PlanRows, TokensRowsAndPagesOutOfRangeAreFound) {
  auto good = write_;
  write_[0].ragged_id = 8;
  EXPECT_THAT(checks(), Contains("range"));
  write_ = good;
  write_[0].write_loc = 64;
  EXPECT_THAT(checks(), Contains("range"));
  write_[0].write_loc = -1;
  EXPECT_THAT(checks(), Contains("range"));
  write_ = good;
  compress_[1].read_page_0 = 16;
  EXPECT_THAT(checks(), Contains("range"));
}

TEST_F(PlanRows, PagesThatAreNotReadDoNotMatter) {
  const HostTensor want = observe().output("compress_plan");
  compress_[0].read_page_0 = 12345;  // position 3 is in the first group, which has no previous group
  EXPECT_THAT(checks(), IsEmpty());
  EXPECT_EQ(observe().output("compress_plan").storage, want.storage);
  compress_[1].read_page_0 ^= 1;  // position 7 of request 2 reads positions 0 ... 4 from the state
  EXPECT_NE(observe().output("compress_plan").storage, want.storage);
}

TEST_F(PlanRows, SentinelsComeLastAndAreExact) {
  plan_rows_ = 10;
  compress_.resize(10, layout::kNoCompress);
  write_.resize(10, layout::kNoWrite);
  EXPECT_THAT(checks(), IsEmpty());
  compress_[9].read_page_0 = 0;
  EXPECT_THAT(checks(), Contains("sentinel"));
  compress_[9] = layout::kNoCompress;
  std::swap(write_.front(), write_.back());
  EXPECT_THAT(checks(), Contains("sentinel"));
  write_.resize(9, layout::kNoWrite);
  EXPECT_THAT(checks(), Contains("count"));
}

TEST_F(PlanRows, APlanOfAnotherShapeIsAFinding) {
  const Observation o = observe_prefill_plan({.batch = batch_, .ratio = 4, .state_rows = 64},
                                             HostTensor::make(DType::kU8, {2, 8}), plan_tensor(write_));
  EXPECT_EQ(o.findings.front().check, "form");
}

TEST(DecodePlanRows, FindsRowsThatAreSharedMisplacedOrOutOfRange) {
  const Batch batch{{5, 2}, {7, 9}, {1, 1}};
  const auto row = [](std::int64_t id, std::int64_t position) { return 8 * id + position % 8; };
  auto plan = plans::decode_records(requests_of(batch), 4, row);
  const auto findings = [&] { return observe_decode_plan(batch, 4, 64, plan_tensor(plan)).findings; };
  EXPECT_THAT(findings(), IsEmpty());
  auto good = plan;
  plan[1] = {9, plan[0].write_loc, plan[0].read_page_0, plan[0].read_page_1};
  EXPECT_THAT(findings(), Not(IsEmpty()));
  plan = good;
  plan[0].read_page_1 += 1;
  EXPECT_EQ(findings().front().check, "content");
  plan = good;
  plan[0].read_page_0 = 16;
  EXPECT_EQ(findings().front().check, "range");
  plan = good;
  plan.pop_back();
  EXPECT_EQ(findings().front().check, "count");
}

}  // namespace
}  // namespace dsv4
