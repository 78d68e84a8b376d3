#include "harness/drift/drift.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "harness/core/text.h"
#include "harness/drift/drift_text.h"
#include "harness/run/drift_trial.h"
#include "tests/harness/golden/support.h"
#include "tests/harness/run/known_support.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Conclusion = OutputDrift::Conclusion;

ErrorStatistics statistics(double share, std::int64_t elements = 100) {
  ErrorStatistics e;
  e.elements = e.bounded = elements;
  const auto n = static_cast<double>(elements);
  e.ulp = {{share < 0 ? -1 : 1, elements}};
  e.share[2] = elements;
  e.mean_share = {share, -share};
  e.sums = {.rows = 10,
            .sum = {n * share, -n * share},
            .sum_abs = n * std::abs(share),
            .sum_squares = n * share * share,
            .row_squares = {}};
  e.largest_share = std::abs(share);
  e.worst = ElementDifference{{3}, "1 (0x1)", "2 (0x2)", 1, 2};
  return e;
}

/// A case in which the other set has the error 0.1 in each element, and the set under test 0.1 + move.
CaseResult result(int number, double move) {
  CaseResult r;
  r.id = fmt::format("op/n={0}/seed={0}", number);
  r.verdict = Verdict::kPassed;
  OutputReport o;
  o.name = "y";
  o.tolerance = "bound";
  o.errors = statistics(0.1 + move);
  o.errors->sums.row_squares = {number * 1e-6, number * 1e-6};
  o.paired.emplace();
  o.paired->other = statistics(0.1);
  o.paired->compared = 100;
  o.paired->same = move == 0 ? 100 : 0;
  o.paired->difference = {.rows = 10,
                          .sum = {100 * move, -100 * move},
                          .sum_abs = std::abs(100 * move),
                          .sum_squares = 100 * move * move,
                          .row_squares = {1000 * move * move + number * 1e-6, 1000 * move * move + number * 1e-6}};
  OutputReport ids;
  ids.name = "ids";
  ids.tolerance = "exact";
  r.outputs = {o, ids};
  return r;
}

std::vector<CaseResult> results(double move, int cases = 20) {
  std::vector<CaseResult> list;
  for (int i = 0; i < cases; ++i) list.push_back(result(10 + i, move));
  return list;
}

std::vector<PairDrift> judged(const std::vector<CaseResult>& list) {
  std::vector<PairDrift> pairs{pair_of("old", "new", list)};
  find_shifts(pairs);
  return pairs;
}

std::string text_of(const std::vector<PairDrift>& pairs, bool all = false) { return drift_text(pairs, {}, all); }

TEST(Drift, AnEqualMoveOfAllCasesIsAShift) {
  const auto pairs = judged(results(-0.05));
  ASSERT_EQ(pairs[0].outputs.size(), 1u);
  const OutputDrift& o = pairs[0].outputs[0];
  EXPECT_EQ(o.conclusion, Conclusion::kShift);
  EXPECT_EQ(o.differing, 20u);
  EXPECT_EQ(o.a.elements, 2000);
  EXPECT_DOUBLE_EQ(o.a.mean_share().up, 0.1);
  EXPECT_NEAR(o.b.mean_share().up, 0.05, 1e-12);
  EXPECT_NEAR(o.b.rms_share(), 0.05, 1e-12);
  EXPECT_EQ(o.b.largest_case, "op/n=10/seed=10");
  EXPECT_EQ(exit_status(pairs), 1);
  EXPECT_THAT(text_of(pairs), AllOf(HasSubstr("op y: shift down"), HasSubstr("shift in 1 of 1 output"),
                                    HasSubstr("1 exact output"), HasSubstr("op/n=10/seed=10")));
}

TEST(Drift, TheSameBitsAreNoShift) {
  const auto pairs = judged(results(0));
  EXPECT_EQ(pairs[0].outputs[0].conclusion, Conclusion::kSame);
  EXPECT_EQ(exit_status(pairs), 0);
  EXPECT_THAT(text_of(pairs),
              AllOf(HasSubstr("1 output has the same bits in every case"), HasSubstr("no shift in 1 of 1 output")));
}

TEST(Drift, TooFewCasesAreUndecidedAndSaySo) {
  const auto pairs = judged(results(-0.05, 5));
  EXPECT_EQ(pairs[0].outputs[0].conclusion, Conclusion::kUndecided);
  EXPECT_EQ(exit_status(pairs), 2) << "nothing was decided";
  EXPECT_THAT(text_of(pairs), AllOf(HasSubstr("no shift in 0 of 1 output"), HasSubstr("1 output UNDECIDED"),
                                    HasSubstr("too few elements differ for the test")));
}

TEST(Drift, OtherBitsWithoutAMoveAreUndecided) {
  auto list = results(0);
  for (CaseResult& r : list) r.outputs[0].paired->same = 50;
  EXPECT_EQ(judged(list)[0].outputs[0].conclusion, Conclusion::kUndecided);
}

TEST(Drift, ACaseThatIsWrongOnOneSideIsADifference) {
  auto list = results(0);
  list[3].verdict = Verdict::kFailed;
  list[3].change = "new";
  list[3].reason = "new: y: 5 of 100 elements outside the bound tolerance";
  EXPECT_EQ(exit_status(judged(list)), 1);
  EXPECT_THAT(text_of(judged(list)),
              AllOf(HasSubstr("1 case is wrong on one side only"), HasSubstr("op/n=13/seed=13")));
  list[3].change = "alike";
  EXPECT_EQ(exit_status(judged(list)), 0) << "drift tells what changed, and nothing changed";
  EXPECT_THAT(text_of(judged(list)), HasSubstr("1 case is wrong on both sides"));
}

TEST(Drift, AnErrorIsNotAnAgreement) {
  auto list = results(0);
  list[0].verdict = Verdict::kError;
  list[0].reason = "SIGSEGV";
  EXPECT_EQ(exit_status(judged(list)), 1);
  EXPECT_THAT(text_of(judged(list)), AllOf(HasSubstr("1 case ended in an error"), HasSubstr("SIGSEGV")));
}

TEST(Drift, NothingComparedIsMisuse) {
  auto list = results(0, 3);
  for (CaseResult& r : list) r.verdict = Verdict::kUnsupported;
  EXPECT_EQ(exit_status(judged(list)), 2);
  EXPECT_THAT(text_of(judged(list)), HasSubstr("nothing was compared"));
  EXPECT_EQ(exit_status({}), 2);
}

TEST(Drift, OutputsThatAKnownFaultExplainsAreLeftOut) {
  auto list = results(-0.05);
  for (CaseResult& r : list) {
    r.verdict = Verdict::kKnown;
    r.outputs[0].violations = 1;
  }
  const auto pairs = judged(list);
  EXPECT_TRUE(pairs[0].outputs.empty());
  EXPECT_EQ(pairs[0].known, 20u);
  EXPECT_EQ(pairs[0].not_paired, 20u);
}

TEST(Drift, TwoRunsHaveTheSameSumsAndAWeakerTest) {
  auto a = results(0), b = results(-0.05);
  std::vector<PairDrift> pairs{pair_of_runs("old", a, "new", b)};
  find_shifts(pairs);
  const OutputDrift& o = pairs[0].outputs[0];
  EXPECT_EQ(o.conclusion, Conclusion::kShift);
  EXPECT_FALSE(o.compared) << "files do not tell which elements have the same bits";
  EXPECT_NEAR(o.up_cases[0].sum, -5, 1e-9);
  EXPECT_NEAR(o.up_cases[0].sum_abs, 10 + 5, 1e-9) << "not below the real movement of 5";
  EXPECT_NEAR(o.up.net, -1 / 3.0, 1e-9);

  std::vector<PairDrift> same{pair_of_runs("old", a, "new", a)};
  find_shifts(same);
  EXPECT_EQ(same[0].outputs[0].conclusion, Conclusion::kSame);
  EXPECT_THAT(text_of(same), HasSubstr("the same statistics in every case"));
}

TEST(Drift, RunsWithOtherCasesOrElementsSaySo) {
  auto a = results(0), b = results(0);
  b[0].outputs[0].errors->elements = 99;
  b.pop_back();
  const PairDrift pair = pair_of_runs("old", a, "new", b);
  EXPECT_EQ(pair.only_a, 1u);
  EXPECT_EQ(pair.only_b, 0u);
  EXPECT_EQ(pair.not_paired, 1u);
  EXPECT_EQ(pair.cases, 19u);
}

TEST(Drift, CasesWithTheSameDataAreOneCase) {
  auto list = results(-0.05);
  for (CaseResult& r : list) r.outputs[0].paired->difference.row_squares = {1, 1};
  const auto pairs = judged(list);
  EXPECT_EQ(pairs[0].outputs[0].up.cases, 1u);
  EXPECT_EQ(pairs[0].outputs[0].conclusion, Conclusion::kUndecided);
}

TEST(Drift, CasesThatShareASeedAreTold) {
  auto list = results(-0.05);
  EXPECT_EQ(judged(list)[0].shared_seeds, 0u);
  list[1].id = "op/n=11/seed=10";
  EXPECT_EQ(judged(list)[0].shared_seeds, 2u);
  EXPECT_THAT(text_of(judged(list)), HasSubstr("2 cases have the seed of another case"));
}

TEST(Drift, FitsIn80Columns) {
  auto list = results(-0.05);
  for (CaseResult& r : list) {
    r.id = "q_indexer_rope_hadamard_fp4_quant" + r.id.substr(2);
    r.outputs[0].name = "weights_out";
    for (std::int64_t bucket = 1; bucket < (std::int64_t{1} << 40); bucket *= 2) {
      r.outputs[0].errors->ulp[bucket] = bucket;
      r.outputs[0].errors->ulp[-bucket] = 1;
    }
    r.outputs[0].errors->share.fill(7);
  }
  std::vector<PairDrift> pairs{pair_of(std::string(300, 'x'), "new\x1b[31m\n", list)};
  find_shifts(pairs);
  const std::string text = text_of(pairs, true);
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  for (const std::string& line : split(text, '\n')) {
    // A word that does not fit, such as a name or an id, is not broken.
    if (line.find("xxxxxxxx") != std::string::npos || line.find("/seed=") != std::string::npos) continue;
    EXPECT_LE(width_of(line), kUsualWidth) << line;
  }
}

TEST(Drift, JsonHasTheTestsAndWhatWasNotCompared) {
  const auto j = drift_json(judged(results(-0.05)));
  const auto& output = j.at("pairs")[0].at("outputs")[0];
  EXPECT_EQ(output.at("conclusion"), "shift");
  EXPECT_EQ(output.at("direction"), "down");
  EXPECT_EQ(output.at("same_bits"), 0);
  EXPECT_LT(output.at("tests").at("up").at("p_adjusted").get<double>(), 0.01);
  EXPECT_EQ(output.at("b").at("largest_case"), "op/n=10/seed=10");
  EXPECT_EQ(j.at("pairs")[0].at("not_compared").at("exact_outputs")[0], "op ids");
}

struct DriftTrialTest : ::testing::Test {
  golden_test::FakeCaller reference = golden_test::honest("reference", true);

  CaseResult tried(golden_test::FakeCaller subject, golden_test::FakeCaller other, const Policy& policy = {}) {
    return drift_case(golden_test::probe(8, "bound"),
                      {.subject = subject, .against = other, .reference = reference, .names = {"new", "new", "old"}},
                      policy);
  }
};

TEST_F(DriftTrialTest, MeasuresBothSetsAgainstTheReference) {
  const CaseResult r = tried(golden_test::off_by(1, 5e-4f), golden_test::off_by(2, -2.5e-4f));
  EXPECT_EQ(r.verdict, Verdict::kPassed) << r.reason;
  const OutputReport& y = r.outputs.at(0);
  ASSERT_TRUE(y.errors && y.paired);
  EXPECT_NEAR(y.errors->largest_share, 0.5, 1e-2);
  EXPECT_NEAR(y.paired->other.largest_share, 0.25, 1e-2);
  EXPECT_EQ(y.paired->same, 6);
  EXPECT_NEAR(y.paired->difference.sum.up, 0.75, 2e-2);
  EXPECT_FALSE(r.outputs.at(1).errors) << "'first' is exact";
  EXPECT_EQ(nlohmann::json(r).get<CaseResult>(), r);
}

TEST_F(DriftTrialTest, SaysWhichSideIsWrong) {
  const auto wrong = golden_test::off_by(1, 1);
  const auto good = golden_test::honest();
  EXPECT_EQ(tried(wrong, good).change, "new");
  EXPECT_THAT(tried(wrong, good).reason, HasSubstr("new: y: 1 of 8 elements outside the bound tolerance"));
  EXPECT_EQ(tried(good, wrong).change, "mended");
  EXPECT_THAT(tried(good, wrong).reason, HasSubstr("old: y: 1 of 8"));
  EXPECT_EQ(tried(wrong, wrong).change, "alike");
  EXPECT_EQ(tried(wrong, wrong).verdict, Verdict::kFailed);
  EXPECT_EQ(tried(good, good).change, "");
}

TEST_F(DriftTrialTest, AKnownFaultIsKnownOnItsSideOnly) {
  Policy policy = testing::policy_of(testing::known_fault("probe-fault", "golden_probe", {"y"}), true);
  const CaseResult r = tried(golden_test::off_by(1, 1), golden_test::honest(), policy);
  EXPECT_EQ(r.verdict, Verdict::kKnown);
  EXPECT_EQ(r.known_fault, "probe-fault");
  const CaseResult other = tried(golden_test::honest(), golden_test::off_by(1, 1), policy);
  EXPECT_EQ(other.verdict, Verdict::kFailed) << "the fault is in the set under test";
  EXPECT_EQ(other.change, "mended");
}

TEST_F(DriftTrialTest, ARefusalNamesTheSet) {
  auto refuses = golden_test::honest();
  refuses.refusal = "no";
  EXPECT_EQ(tried(golden_test::honest(), refuses).reason, "'old' refused a valid call: no");
  EXPECT_EQ(tried(refuses, golden_test::honest()).verdict, Verdict::kError);
}

}  // namespace
}  // namespace dsv4
