#include "harness/report/merge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/core/error.h"
#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::HasSubstr;

/// Returns a report with those results of `all` that belong to shard k of n.
RunReport shard_of(const std::vector<CaseResult>& all, std::uint64_t k, std::uint64_t n) {
  std::vector<CaseResult> own;
  for (const CaseResult& r : all) {
    if (Shard{k, n}.contains(r.id)) own.push_back(r);
  }
  RunReport r = report(own);
  r.shards = {Shard{k, n}};
  return r;
}

std::string merge_refusal(const std::vector<NamedReport>& reports) {
  try {
    merge_reports(reports, false);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Merge, MergedShardsEqualTheWholeRun) {
  std::vector<CaseResult> all;
  for (int i = 100; i < 150; ++i) all.push_back(result("a/x=" + std::to_string(i) + "/seed=1", Verdict::kPassed));
  all[7].verdict = Verdict::kFailed;
  std::vector<NamedReport> parts;
  for (const int k : {3, 1, 2}) {
    // Writes each part as JSON text and reads it again, as happens to the reports of real shards.
    const auto part = nlohmann::json::parse(results_json(shard_of(all, k, 3))).get<RunReport>();
    parts.emplace_back("part" + std::to_string(k), part);
  }
  const RunReport merged = merge_reports(parts, false);
  ASSERT_EQ(merged.runs.size(), 1u);
  EXPECT_EQ(merged.runs[0].results, all);
  EXPECT_EQ(exit_status(merged), 1);
  EXPECT_EQ(exit_status(merge_reports({{"m", merged}}, false)), 1) << "merging a merged report must be possible";

  parts.pop_back();
  EXPECT_THAT(merge_refusal(parts), HasSubstr("shard 2/3 is missing"));
  EXPECT_EQ(merge_reports(parts, true).runs[0].results.size() < all.size(), true);
  parts.push_back(parts.front());
  EXPECT_THAT(merge_refusal(parts), HasSubstr("shard 3/3 is in part3 and in part3"));
}

TEST(Merge, PartsOfDifferentRunsAreRefused) {
  const std::vector<CaseResult> all{result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kPassed),
                                    result("a/x=3/seed=1", Verdict::kPassed)};
  const RunReport one = shard_of(all, 1, 2);
  RunReport two = shard_of(all, 2, 2);
  two.options["tier"] = "full";
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}),
              HasSubstr("option 'tier' is 'quick' in the first file and 'full'"));
  two = shard_of(all, 2, 2);
  two.version = "9";
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}), HasSubstr("version"));
  two = shard_of(all, 2, 2);
  two.runs[0].provenance["compiler"] = "clang";
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}), HasSubstr("'compiler'"));
  two = shard_of(all, 2, 3);
  EXPECT_NE(merge_refusal({{"a", one}, {"b", two}}), "");
  two = report(all);
  two.shards = {Shard{2, 2}};
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}), HasSubstr("does not belong to its shard"));
}

TEST(Merge, AnInterruptedShardDecidesTheExitStatus) {
  const std::vector<CaseResult> all{result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kPassed)};
  RunReport one = shard_of(all, 1, 2);
  one.signal = 2;
  EXPECT_EQ(exit_status(merge_reports({{"a", one}, {"b", shard_of(all, 2, 2)}}, false)), 130);
  one.signal = 0;
  one.failure = "workers cannot be started";
  EXPECT_EQ(exit_status(merge_reports({{"a", one}, {"b", shard_of(all, 2, 2)}}, false)), 2);
}

TEST(Merge, SweepsOfDifferentSetsAreMerged) {
  RunReport a = report({result("a/x=1/seed=1", Verdict::kPassed)});
  RunReport b = report({result("a/x=1/seed=1", Verdict::kFailed)});
  b.runs[0].set_label = "cuda";
  const RunReport merged = merge_reports({{"a", a}, {"b", b}}, false);
  EXPECT_EQ(merged.runs.size(), 2u);
  EXPECT_EQ(exit_status(merged), 1);
}

TEST(Merge, AnUnfinishedPartIsRefused) {
  const std::vector<CaseResult> all{result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kPassed)};
  RunReport begun;
  begun.command = "run";
  begun.version = "1.2.3";
  begun.shards = {Shard{2, 2}};
  begun.unfinished = true;
  EXPECT_THAT(merge_refusal({{"a", shard_of(all, 1, 2)}, {"b", begun}}),
              HasSubstr("b: the run that writes this file did not finish"));
}

TEST(Merge, WhatWasNotCoveredIsJoined) {
  const std::vector<CaseResult> all{result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kPassed)};
  RunReport one = shard_of(all, 1, 2), two = shard_of(all, 2, 2);
  one.runs[0].not_covered = {{"ops_without_golden", {"b"}}, {"cases_without_golden", {"a/x=3/seed=1"}}};
  two.runs[0].not_covered = {{"ops_without_golden", {"b"}}, {"cases_without_golden", {"a/x=4/seed=1"}}};
  two.require_all = true;
  const RunReport merged = merge_reports({{"a", one}, {"b", two}}, false);
  EXPECT_EQ(merged.runs[0].not_covered,
            (NotCovered{{"ops_without_golden", {"b"}}, {"cases_without_golden", {"a/x=3/seed=1", "a/x=4/seed=1"}}}));
  EXPECT_EQ(exit_status(merged), 1);
}

}  // namespace
}  // namespace dsv4
