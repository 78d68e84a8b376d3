#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "harness/core/error.h"
#include "harness/report/run_report.h"
#include "tests/harness/report/samples.h"

namespace dsv4 {
namespace {

using namespace report_test;
using ::testing::HasSubstr;

TEST(Results, RoundTrip) {
  CaseResult inf = failed();
  RunReport r = report({inf, result("a/x=1/seed=1", Verdict::kPassed)});
  r.failure = "x";
  r.require_all = true;
  r.runs[0].baseline = "old";
  r.runs[0].warnings = {"WARNING"};
  r.runs[0].not_covered["source_files"] = {"a.cuh"};
  r.runs[0].results[1].change = "alike";
  r.signal = 2;
  r.runs[0].results[1].known_fault = "new-addresses";
  r.runs[0].known_kinds = {{"new-addresses", "variant"}};
  r.runs[0].edited_faults = {{"overflow", "a.cuh differs"}};
  const std::string text = results_json(r);
  const auto again = nlohmann::json::parse(text).get<RunReport>();
  EXPECT_EQ(results_json(again), text);
  EXPECT_EQ(again.runs[0].known_kinds, r.runs[0].known_kinds);
  EXPECT_EQ(again.runs[0].edited_faults, r.runs[0].edited_faults);
  EXPECT_EQ(again.runs[0].results[0].outputs[0].first, inf.outputs[0].first);
  EXPECT_TRUE(std::isnan(again.runs[0].results[0].outputs[0].worst->error));
}

TEST(Results, AnUnfinishedRunHasNoExitStatus) {
  RunReport r = report({});
  r.unfinished = true;
  const auto j = nlohmann::json::parse(results_json(r));
  EXPECT_TRUE(j.at("exit_status").is_null());
  EXPECT_EQ(j.at("unfinished"), true);
  EXPECT_TRUE(j.get<RunReport>().unfinished);
  EXPECT_EQ(nlohmann::json::parse(results_json(report({}))).at("exit_status"), 2);
}

TEST(Results, BitsAreSummedForTools) {
  CaseResult r = result("a/x=1/seed=1", Verdict::kPassed);
  r.outputs.resize(1);
  r.outputs[0].name = "kv";
  r.outputs[0].bits = BitComparison{.compared = 8, .other = 2, .ulp = 3, .share = 0.5};
  const auto run = nlohmann::json::parse(results_json(report({r}))).at("runs").at(0);
  ASSERT_EQ(run.at("bits").size(), 1u);
  EXPECT_EQ(run.at("bits")[0].at("op"), "a");
  EXPECT_EQ(run.at("bits")[0].at("other"), 2);
  EXPECT_EQ(run.at("bits")[0].at("farthest"), "a/x=1/seed=1");
  EXPECT_EQ(run.at("counts").at("same_bits"), 0);
  EXPECT_EQ(run.at("counts").at("bits_compared"), 1);
}

TEST(Results, RemovedAndEditedResultsAreNoticed) {
  const RunReport r = report({failed(), result("a/x=1/seed=1", Verdict::kPassed)});
  const auto message = [](const nlohmann::json& j) -> std::string {
    try {
      j.get<RunReport>();
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const auto whole = nlohmann::json::parse(results_json(r));
  EXPECT_EQ(message(whole), "");
  auto removed = whole;
  removed["runs"][0]["results"].erase(0);
  EXPECT_THAT(message(removed), HasSubstr("counts 1 results with the verdict 'failed', but the file holds 0"));
  auto edited = whole;
  edited["runs"][0]["results"][0]["verdict"] = "passed";
  EXPECT_THAT(message(edited), HasSubstr("counts 1 results with the verdict 'passed', but the file holds 2"));
  auto no_runs = whole;
  no_runs["runs"].clear();
  EXPECT_THAT(message(no_runs), HasSubstr("the report counts 1"));
}

TEST(Results, AnyBytesGiveValidJson) {
  CaseResult bad = failed();
  bad.reason = kHostile;
  const auto j = nlohmann::json::parse(results_json(report({bad})));
  EXPECT_EQ(j.at("counts").at("failed"), 1);
  EXPECT_EQ(j.at("exit_status"), 1);
}

class ResultsFile : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) / ("results ä " + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void put(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
  std::string refusal(const std::string& name) const {
    try {
      read_results(path(name));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(ResultsFile, BadResultsAreRefusedWithTheReason) {
  EXPECT_THAT(refusal("absent.json"), HasSubstr("cannot be read"));
  put("empty.json", "");
  EXPECT_THAT(refusal("empty.json"), HasSubstr("is not complete JSON"));
  put("foreign.json", "{\"a\": 1}");
  EXPECT_THAT(refusal("foreign.json"), HasSubstr("is not a results file of dsv4diff"));
  auto j = nlohmann::json(report({failed()}));
  j["schema"] = 99;
  put("newer.json", j.dump());
  EXPECT_THAT(refusal("newer.json"), HasSubstr("its schema is 99"));
  j["schema"] = (std::uint64_t{1} << 32) + kResultsSchema;  // cut to 32 bits, this is the expected number
  put("newer.json", j.dump());
  EXPECT_THAT(refusal("newer.json"), HasSubstr("its schema is 4294967298"));
  j["schema"] = kResultsSchema;
  j["runs"][0]["results"][0]["verdict"] = "fine";
  put("verdict.json", j.dump());
  EXPECT_THAT(refusal("verdict.json"), HasSubstr("'fine' is not a verdict"));
}

TEST_F(ResultsFile, DamagedResultsNeverCrash) {
  const std::string good = results_json(report({failed(), result("a/x=1/seed=1", Verdict::kPassed)}));
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::string text = good;
    if (i % 3 == 0) {
      text.resize(random() % text.size());
    } else {
      text[random() % text.size()] = static_cast<char>(random() % 256);
    }
    put("x.json", text);
    try {
      exit_status(read_results(path("x.json")));
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace dsv4
