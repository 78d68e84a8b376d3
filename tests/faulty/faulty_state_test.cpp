/// Kernels whose results depend on the calls before. Each test runs the command that the report prints. It must differ.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "harness/report/run_report.h"
#include "harness/report/terminal.h"
#include "harness/run/sweep.h"
#include "tests/faulty/faulty_worker.h"
#include "tests/faulty/test_ops.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

SweepOptions options() {
  SweepOptions o;
  o.names = {"faulty", "faulty", "reference"};
  o.reproduce = {"dsv4diff", "run", "--set", "faulty"};
  o.pool.command = testing::faulty_worker();
  o.progress.plain_interval_seconds = 1e9;
  return o;
}

std::string case_id(const std::string& fault, int columns, int gap = 2) {
  return testing::test_case_id("copy", fault, "", Params().set("columns", columns).set("gap", gap));
}

/// Ids of right cases with different rows, so that every id is another one.
std::vector<std::string> right_cases(int n, int gap = 2) {
  std::vector<std::string> ids;
  for (int i = 0; i < n; ++i) ids.push_back(case_id("none", 20 + i, gap));
  return ids;
}

RunReport report_of(const SweepResult& swept) {
  RunReport report;
  SetRun run;
  run.set_label = run.set_name = "faulty";
  run.against = "reference";
  run.results = swept.results;
  run.warnings = swept.notes;
  report.runs.push_back(run);
  report.failure = swept.failure;
  return report;
}

/// The ids after each `option` of a printed command. No id needs quotes.
std::vector<std::string> ids_of(const std::string& command, const std::string& option) {
  std::istringstream words(command);
  std::vector<std::string> ids;
  for (std::string word; words >> word;) {
    if (word == option && words >> word) ids.push_back(word);
  }
  return ids;
}

/// Does what the printed command does, and returns its exit status.
int status_of(const std::string& command) {
  EXPECT_THAT(command, HasSubstr("dsv4diff run --set faulty "));
  const auto sequence = ids_of(command, "--sequence");
  const auto alone = ids_of(command, "--case");
  EXPECT_TRUE(sequence.empty() != alone.empty()) << command;
  SweepOptions o = options();
  o.confirm.most = 0;
  return exit_status(report_of(sequence.empty() ? sweep(o, source_of(alone)) : sweep_sequence(o, sequence)));
}

CaseResult find(const SweepResult& swept, const std::string& id) {
  for (const CaseResult& r : swept.results) {
    if (r.id == id) return r;
  }
  ADD_FAILURE() << id << " has no result";
  return {};
}

TEST(FaultyState, ADifferenceThatComesBackAloneSaysSo) {
  const std::string bad = case_id("one_wrong", 5);
  const CaseResult r = find(sweep(options(), source_of({case_id("none", 6), bad, case_id("none", 7)})), bad);
  EXPECT_EQ(r.confirmed, Confirmed::kAlone);
  EXPECT_EQ(r.note, "");
  EXPECT_EQ(status_of(r.reproduce), 1);
}

TEST(FaultyState, AStrideFrozenAtTheFirstCallIsTracedToOneCase) {
  auto ids = right_cases(7, 3);
  const std::string bad = case_id("frozen", 5);
  ids.push_back(bad);
  const SweepResult swept = sweep(options(), source_of(ids));
  const CaseResult r = find(swept, bad);
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_EQ(r.confirmed, Confirmed::kSequence);
  EXPECT_EQ(r.note, "depends on earlier calls: the case agrees alone, and differs after 1 case in the same process");
  EXPECT_EQ(ids_of(r.reproduce, "--sequence").size(), 2u) << r.reproduce;
  EXPECT_EQ(ids_of(r.reproduce, "--sequence").back(), bad);
  EXPECT_EQ(status_of(r.reproduce), 1);
  EXPECT_EQ(status_of("dsv4diff run --set faulty --case " + bad), 0) << "alone it agrees";
  EXPECT_THAT(terminal_report(report_of(swept), {.layout = {.width = 200}}),
              AllOf(HasSubstr(r.note), HasSubstr(r.reproduce)));
}

TEST(FaultyState, AKernelThatBreaksFromTheEleventhCallOnNeedsTenCasesBefore) {
  auto ids = right_cases(17);
  const std::string bad = case_id("eleventh", 5), second = case_id("eleventh", 6);
  ids.push_back(bad);
  ids.push_back(second);
  const SweepResult swept = sweep(options(), source_of(ids));
  for (const std::string& id : {bad, second}) {
    const CaseResult r = find(swept, id);
    EXPECT_EQ(r.confirmed, Confirmed::kSequence) << r.note;
    EXPECT_THAT(r.note, HasSubstr("differs after 10 cases"));
    EXPECT_EQ(ids_of(r.reproduce, "--sequence").size(), 11u) << r.reproduce;
    EXPECT_EQ(status_of(r.reproduce), 1);
  }
}

TEST(FaultyState, ADifferenceThatNeverComesBackStaysFailedAndSaysSo) {
  const std::string mark =
      (std::filesystem::path(::testing::TempDir()) / ("once" + std::to_string(::getpid()))).string();
  for (const int before : {0, 3}) {
    std::filesystem::remove(mark);
    ::setenv("DSV4_TEST_MARK", mark.c_str(), 1);
    auto ids = right_cases(before);
    const std::string bad = case_id("once", 5);
    ids.push_back(bad);
    const SweepResult swept = sweep(options(), source_of(ids));
    const CaseResult r = find(swept, bad);
    EXPECT_EQ(r.verdict, Verdict::kFailed);
    EXPECT_EQ(r.confirmed, Confirmed::kNotAgain);
    EXPECT_EQ(r.note, before == 0 ? "failed once, not again when it was tried alone"
                                  : "failed once, not again: neither alone nor after the 3 cases before it");
    EXPECT_EQ(exit_status(report_of(swept)), 1);
    EXPECT_THAT(terminal_report(report_of(swept)), AllOf(HasSubstr(r.note), Not(HasSubstr("reproduce:"))));
  }
  ::unsetenv("DSV4_TEST_MARK");
  std::filesystem::remove(mark);
}

TEST(FaultyState, OnlySomeOfManyDifferencesAreTriedAgain) {
  SweepOptions o = options();
  o.confirm.most = 2;
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(case_id("one_wrong", 5 + i));
  ids.push_back(testing::test_case_id("plan", "one_wrong"));
  const SweepResult swept = sweep(o, source_of(ids));
  EXPECT_EQ(find(swept, ids[0]).confirmed, Confirmed::kAlone) << "the smallest of its kind";
  EXPECT_EQ(find(swept, ids[5]).confirmed, Confirmed::kAlone) << "the only one of its op";
  EXPECT_EQ(find(swept, ids[4]).confirmed, Confirmed::kNotTried);
  EXPECT_THAT(swept.notes, ::testing::ElementsAre(HasSubstr("4 differing cases were not tried again alone")));
}

TEST(FaultyState, ASequenceRunsInItsOrderInOneProcess) {
  const std::string bad = case_id("eleventh", 5);
  SweepOptions o = options();
  o.pool.jobs = 4;
  auto ids = right_cases(10);
  ids.push_back(bad);
  EXPECT_EQ(find(sweep_sequence(o, ids), bad).verdict, Verdict::kFailed);
  ids.erase(ids.begin());
  EXPECT_EQ(find(sweep_sequence(o, ids), bad).verdict, Verdict::kPassed);
  ids.assign(11, bad);
  const SweepResult same = sweep_sequence(o, ids);
  EXPECT_EQ(same.results.size(), 1u);
  EXPECT_EQ(same.results.at(0).verdict, Verdict::kFailed) << "the eleventh call of the same case";
}

TEST(FaultyState, AfterACrashTheRestOfASequenceIsSkipped) {
  const SweepResult swept = sweep_sequence(options(), {case_id("none", 5), case_id("abort", 5), case_id("none", 6)});
  EXPECT_EQ(find(swept, case_id("none", 5)).verdict, Verdict::kPassed);
  EXPECT_EQ(find(swept, case_id("abort", 5)).verdict, Verdict::kError);
  EXPECT_EQ(find(swept, case_id("none", 6)).verdict, Verdict::kSkipped);
  EXPECT_EQ(exit_status(report_of(swept)), 1);
}

}  // namespace
}  // namespace dsv4
