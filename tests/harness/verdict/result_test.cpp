#include "harness/verdict/result.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

CaseResult sample() {
  CaseResult r;
  r.id = "topk_v1/k=512,fill=ties/seed=7";
  r.set_label = "build/sets/host";
  r.set_name = "host";
  r.against = "reference";
  r.verdict = Verdict::kFailed;
  r.reason = "scores: 1 of 3";
  r.known_fault = "overflow";
  r.not_excused = "other";
  OutputReport o;
  o.name = "scores";
  o.tolerance = "bound";
  o.reason = "because";
  o.compared = 3;
  o.different = 2;
  o.violations = 1;
  o.excused = 1;
  o.excused_by = "overflow";
  o.certified = 1;
  o.tightness = 0.75;
  o.bits = BitComparison{3, 2, 1, 7, 0.25};
  o.recorded_tightness = 0.5;
  o.first = ElementDifference{{0, 2}, "1 (0x01)", "2 (0x02)", 1.0, 0.5};
  o.worst = o.first;
  o.places = DifferencePlaces({3, 4});
  o.places->add(2);
  o.errors.emplace();
  o.errors->elements = 3;
  o.errors->same = 1;
  o.errors->not_finite = 4;
  o.errors->excused = 5;
  o.errors->ulp = {{-2, 1}, {0, 1}, {std::int64_t{1} << 40, 1}};
  o.errors->share[20] = 3;
  o.errors->bounded = 3;
  o.errors->mean_ulp = {0.5, -0.25};
  o.errors->mean_share = {0.125, 0.375};
  o.errors->largest_share = std::numeric_limits<double>::infinity();
  o.errors->sums = {2, {0.5, -0.5}, 1.5, 0.75, {0.25, 0.0625}};
  o.errors->worst = o.first;
  o.paired.emplace();
  o.paired->other = *o.errors;
  o.paired->other_violations = 6;
  o.paired->compared = 7;
  o.paired->same = 2;
  o.paired->difference = {1, {-1, 1}, 2, 3, {4, 5}};
  r.outputs = {o};
  r.findings = {{"guard", "'x': byte 1"}};
  r.cause = "refusal";
  r.change = "new";
  r.seconds = 0.125;
  r.reproduce = "dsv4diff run --case x";
  r.confirmed = Confirmed::kSequence;
  r.note = "depends on earlier calls";
  return r;
}

TEST(Result, JsonRoundTrip) {
  const CaseResult r = sample();
  EXPECT_EQ(nlohmann::json(r).get<CaseResult>(), r);
  EXPECT_EQ(nlohmann::json::parse(nlohmann::json(r).dump()).get<CaseResult>(), r);
  CaseResult bare;
  bare.id = "a//seed=1";
  EXPECT_EQ(nlohmann::json(bare).get<CaseResult>(), bare);
}

TEST(Result, ImpossibleSumsAreRefused) {
  nlohmann::json j = sample();
  j["outputs"][0]["errors"]["sum_abs"] = -1;
  EXPECT_THROW((void)j.get<CaseResult>(), Error);
  j["outputs"][0]["errors"]["sum_abs"] = 1e300;
  EXPECT_THROW((void)j.get<CaseResult>(), Error);
  j = sample();
  j["outputs"][0]["errors"]["elements"] = -1;
  EXPECT_THROW((void)j.get<CaseResult>(), Error);
  j = sample();
  j["outputs"][0]["errors"]["share"].push_back(0);
  EXPECT_THROW((void)j.get<CaseResult>(), Error);
  j = sample();
  j["outputs"][0]["errors"]["sum_abs"] = "nan";
  EXPECT_THROW((void)j.get<CaseResult>(), nlohmann::json::exception);
}

TEST(Result, InfinityAndNanSurviveJson) {
  CaseResult r = sample();
  const double inf = std::numeric_limits<double>::infinity();
  r.outputs[0].first->error = inf;
  r.outputs[0].first->bound = -inf;
  const auto j = nlohmann::json::parse(nlohmann::json(r).dump());
  EXPECT_EQ(j.get<CaseResult>(), r);
  r.outputs[0].worst->error = std::nan("");
  const auto back = nlohmann::json::parse(nlohmann::json(r).dump()).get<CaseResult>();
  EXPECT_TRUE(std::isnan(back.outputs[0].worst->error));
}

TEST(Result, VerdictsHaveNames) {
  for (int i = 0; i <= static_cast<int>(Verdict::kMistrusted); ++i) {
    const auto v = static_cast<Verdict>(i);
    EXPECT_EQ(verdict_from_name(name_of(v)), v);
  }
  EXPECT_FALSE(verdict_from_name("fine"));
  EXPECT_EQ(sample().op(), "topk_v1");
  EXPECT_EQ(sample().tightness(), 0.75);
}

TEST(Result, SameBitsMeansEveryComparedOutput) {
  CaseResult r;
  EXPECT_EQ(r.same_bits(), std::nullopt);
  r.outputs.resize(2);
  EXPECT_EQ(r.same_bits(), std::nullopt) << "the outputs were compared with a reference";
  r.outputs[0].bits = BitComparison{.compared = 3};
  r.outputs[1].bits = BitComparison{.compared = 3};
  EXPECT_EQ(r.same_bits(), true);
  r.outputs[1].bits->other = 1;
  EXPECT_EQ(r.same_bits(), false);
}

TEST(Result, DisagreeingNamesOutputsAndChecks) {
  CaseResult r = sample();
  r.outputs.push_back({});
  r.outputs.back().name = "right";
  EXPECT_EQ(r.disagreeing(), (std::set<std::string>{"guard", "scores"}));
}

TEST(Result, BitsAreDescribedByWhatIsAllowedAndWhatIsNot) {
  EXPECT_EQ(describe_bits({.compared = 3}), "no bit differs");
  EXPECT_EQ(describe_bits({.compared = 3, .other = 2, .ulp = 7, .share = 0.25}),
            "2 of 3 elements have other bits, at most 7 ulp and 0.25 of the bound away");
  EXPECT_EQ(describe_bits({.compared = 3, .other = 2, .ulp = 7}),
            "2 of 3 elements have other bits, at most 7 ulp away");
  EXPECT_EQ(describe_bits({.compared = 3, .other = 2, .outside = 2}),
            "2 of 3 elements have other bits, 2 of them outside the tolerance");
  EXPECT_EQ(describe_bits({.compared = 3, .other = 2, .outside = 1, .ulp = 7}),
            "2 of 3 elements have other bits, 1 of them outside the tolerance; the others are at most 7 ulp away");
}

}  // namespace
}  // namespace dsv4
