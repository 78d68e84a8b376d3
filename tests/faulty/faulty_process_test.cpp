/// Faults that end or damage the worker process. Each fault must make its own case an error, with the reason. The
/// results of the other cases must not change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "harness/report/run_report.h"
#include "harness/report/terminal.h"
#include "harness/run/sweep.h"
#include "harness/verdict/result.h"
#include "harness/workers/pool.h"
#include "tests/faulty/faults.h"
#include "tests/faulty/faulty_worker.h"
#include "tests/faulty/test_ops.h"
#include "tests/harness/run/known_support.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Matcher;
using ::testing::Not;
using ::testing::StartsWith;

std::map<std::string, Outcome> sweep(const std::vector<std::string>& ids, double timeout) {
  std::map<std::string, Outcome> outcomes;
  std::size_t at = 0;
  PoolOptions options;
  options.command = testing::faulty_worker();
  options.jobs = 1;
  options.timeout_seconds = timeout;
  PoolEvents events;
  events.next = [&]() -> std::optional<std::string> {
    return at == ids.size() ? std::nullopt : std::optional<std::string>(ids[at++]);
  };
  events.on_start = [](const std::string&) {};
  events.on_outcome = [&](const Outcome& o) { outcomes[o.id] = o; };
  const PoolEnd end = run_pool(options, events);
  EXPECT_EQ(end.how, PoolEnd::How::kFinished) << end.message;
  return outcomes;
}

std::string case_id(const std::string& fault, std::int64_t columns = 5) {
  return testing::test_case_id("copy", fault, "", {{"columns", std::to_string(columns)}});
}

/// Runs the faulty case between good cases. Expects that only the faulty case has no answer, and that its error
/// matches `why`.
void expect_costs_one(const std::string& fault, const Matcher<const std::string&>& why, double timeout = 30,
                      const std::string& scenario = "") {
  const std::string bad = testing::test_case_id("copy", fault, scenario);
  const auto outcomes =
      sweep({case_id("none", 6), case_id("none", 7), bad, case_id("none", 8), case_id("none", 9)}, timeout);
  ASSERT_EQ(outcomes.size(), 5u) << fault;
  for (const auto& [id, outcome] : outcomes) {
    if (id == bad) {
      EXPECT_FALSE(outcome.answered()) << fault;
      EXPECT_THAT(outcome.error, why) << fault;
      continue;
    }
    ASSERT_TRUE(outcome.answered()) << fault << " cost " << id << " too: " << outcome.error;
    EXPECT_EQ(outcome.answer.at("result").at("verdict"), "passed") << id;
  }
}

// The rows are gigabytes apart, and the worker may use only 1 GiB. So the memory between the rows must not
// be allocated.
TEST(FaultyProcess, RowsFarApartNeedNoMemory) {
  for (const char* scenario : {"relation:far_input", "relation:far_output"}) {
    const std::string id = testing::test_case_id("copy", "none", scenario);
    const auto outcomes = sweep({id}, 30);
    ASSERT_TRUE(outcomes.at(id).answered()) << outcomes.at(id).error;
    EXPECT_EQ(outcomes.at(id).answer.at("result").at("verdict"), "passed");
  }
}

// The values beyond the tensors are not used, so only a crash shows that they were read. The crash must name the
// argument, the side and the address.
#if !defined(__SANITIZE_ADDRESS__)
TEST(FaultyProcess, AccessesBeyondATensorCrashAtAPageAndAreNamed) {
  const auto in_copy = [](const std::string& access, const std::string& place) {
    return AllOf(HasSubstr("was killed by SIGSEGV"),
                 HasSubstr("in function 'copy' of set 'faulty' (op 'test_copy'): " + access + " 0x"), HasSubstr(place));
  };
  const std::string end = "relation:page_end", start = "relation:page_start";
  expect_costs_one("reads_beyond", in_copy("a read of", ", byte 1 past the end of 'input' (76 bytes at 0x"), 30, end);
  expect_costs_one("reads_before", in_copy("a read of", ", byte 4 before the start of 'input' (76 bytes at 0x"), 30,
                   start);
  expect_costs_one("byte_before", in_copy("a write to", ", byte 1 before the start of 'output'"), 30, start);
  expect_costs_one("byte_after", in_copy("a write to", ", byte 9 past the end of 'output'"), 30, end);
}

TEST(FaultyProcess, AReadBeyondAllocatedMemoryIsNamed) {
  const std::string id = testing::test_case_id("plan", "reads_beyond_allocated", "relation:page_end");
  EXPECT_THAT(sweep({id}, 30).at(id).error,
              AllOf(HasSubstr("in function 'plan' of set 'faulty' (op 'test_plan'): a read of 0x"),
                    HasSubstr(", byte 1 past the end of a tensor allocated by the function (40 bytes at 0x")));
}

TEST(FaultyProcess, AReadBeyondATensorPassesWhereNoPageIs) {
  for (const auto& [fault, scenario] : {std::pair{"reads_beyond", "relation:page_start"},
                                        {"reads_before", "relation:page_end"},
                                        {"reads_beyond", "relation:repeat"},
                                        {"reads_beyond", ""}}) {
    const std::string id = testing::test_case_id("copy", fault, scenario);
    const auto outcomes = sweep({id}, 30);
    ASSERT_TRUE(outcomes.at(id).answered()) << outcomes.at(id).error;
    EXPECT_EQ(outcomes.at(id).answer.at("result").at("verdict"), "passed") << fault << " " << scenario;
  }
}
#endif

// The offset of the second row does not fit into 31 bits. It wraps to a negative offset, before the tensor's memory.
TEST(FaultyProcess, OffsetsWrappedTo31BitsCostOneCase) {
  for (const char* scenario : {"relation:far_input", "relation:far_output"}) {
    expect_costs_one("wraps_31", AnyOf(HasSubstr("exited with status"), HasSubstr("SIGSEGV")), 30, scenario);
  }
}

#if defined(__SANITIZE_ADDRESS__)
TEST(FaultyProcess, CrashesUnderAddressSanitizerCostOneCase) {
  // AddressSanitizer reports the fault and ends the process itself.
  for (const char* fault : {"segfault", "heap", "stack", "divide"}) {
    expect_costs_one(fault, AnyOf(HasSubstr("exited with status"), HasSubstr("SIG")));
  }
}
#else
TEST(FaultyProcess, SegfaultCostsOneCase) {
  expect_costs_one("segfault", AllOf(HasSubstr("SIGSEGV"), HasSubstr("in function 'copy' of set 'faulty'"),
                                     HasSubstr("a write to 0x0; no tensor of the call is near")));
}
TEST(FaultyProcess, StackOverflowCostsOneCase) {
  expect_costs_one("stack", AllOf(HasSubstr("SIGSEGV"), HasSubstr("the stack has probably overflowed")));
}
TEST(FaultyProcess, DivisionByZeroCostsOneCase) {
  expect_costs_one("divide", AllOf(HasSubstr("SIGFPE"), HasSubstr("in function 'copy' of set 'faulty'")));
}
// The C library finds the damage, or else the worker's own check of the heap finds it.
TEST(FaultyProcess, DamagedHeapCostsOneCase) {
  expect_costs_one("heap", AllOf(HasSubstr("was killed by SIG"), HasSubstr("the heap is damaged")));
}

TEST(FaultyProcess, EndlessAllocationIsAnErrorAndTheWorkerGoesOn) {
  // Allocation fails with bad_alloc. The module's exception arrives as a refusal, and the process goes on.
  const auto outcomes = sweep({case_id("none"), case_id("eats"), case_id("none", 6)}, 60);
  ASSERT_EQ(outcomes.size(), 3u);
  const Outcome& eats = outcomes.at(case_id("eats"));
  ASSERT_TRUE(eats.answered()) << eats.error;
  EXPECT_EQ(eats.answer.at("result").at("verdict"), "error");
  EXPECT_THAT(eats.answer.at("result").at("reason").get<std::string>(), HasSubstr("bad_alloc"));
  EXPECT_EQ(outcomes.at(case_id("none", 6)).answer.at("result").at("verdict"), "passed");
}
#endif
TEST(FaultyProcess, AbortCostsOneCase) {
  expect_costs_one("abort", AllOf(HasSubstr("SIGABRT"), HasSubstr("in function 'copy' of set 'faulty'")));
}
TEST(FaultyProcess, ExitWithStatus0CostsOneCase) { expect_costs_one("exit", HasSubstr("exited with status 0")); }
TEST(FaultyProcess, HangCostsOneCase) { expect_costs_one("hang", HasSubstr("no answer within 3 s"), 3); }
TEST(FaultyProcess, ThrownIntCostsOneCase) { expect_costs_one("throws_int", HasSubstr("SIGABRT")); }
TEST(FaultyProcess, ClosedDescriptorsCostOneCase) { expect_costs_one("closes", HasSubstr("closed its connection")); }

TEST(FaultyProcess, ResultsOfAWorkerEqualThoseOfThisProcess) {
  const auto outcomes = sweep({case_id("one_wrong"), case_id("gap"), case_id("nan")}, 30);
  for (const char* fault : {"one_wrong", "gap", "nan"}) {
    const Outcome& o = outcomes.at(case_id(fault));
    ASSERT_TRUE(o.answered()) << o.error;
    CaseResult there = o.answer.get<CaseAnswer>().result;
    CaseResult here = testing::try_faulty(case_id(fault));
    there.seconds = here.seconds = 0;
    // The error of a NaN element is NaN, which does not equal itself. So the printed results are compared.
    EXPECT_EQ(nlohmann::json(there).dump(), nlohmann::json(here).dump()) << fault;
    EXPECT_EQ(there.verdict, Verdict::kFailed);
  }
}

TEST(FaultyProcess, AKnownFaultCoversACrashOnlyIfItSaysSo) {
  KnownFault fault = testing::known_fault("copy-aborts", "test_copy");
  fault.params = {{"fault", {"abort"}}};
  fault.summary = "it aborts";
  const auto aborted = [&](const std::string& covers) {
    fault.covers = {covers};
    SweepOptions o;
    o.names = {"faulty", "faulty", "reference"};
    o.pool.command = testing::faulty_worker();
    o.policy = testing::policy_of(fault);
    o.progress.plain_interval_seconds = 1e9;
    const SweepResult swept = dsv4::sweep(o, source_of({case_id("abort"), case_id("exit")}));
    EXPECT_EQ(swept.results.size(), 2u);
    EXPECT_EQ(swept.results.at(1).id, case_id("exit"));
    EXPECT_EQ(swept.results.at(1).verdict, Verdict::kError) << "the fault is known only for the other case";
    return swept.results.at(0);
  };
  const CaseResult known = aborted("crash");
  EXPECT_EQ(known.verdict, Verdict::kKnown);
  EXPECT_EQ(known.known_fault, "copy-aborts");
  EXPECT_THAT(known.reason, AllOf(HasSubstr("it aborts ("), HasSubstr("SIGABRT")));
  EXPECT_EQ(aborted("output").verdict, Verdict::kError);
}

TEST(FaultyProcess, ACrashThatAFaultOfTheOtherSideExplainsNamesThatSide) {
  SweepOptions o;
  o.names = {"faulty", "faulty", "yesterday"};
  o.pool.command = testing::faulty_worker();
  o.policy = testing::policy_of(testing::known_fault("copy-aborts", "test_copy", {"crash"}));
  o.policy.other = o.policy.subject;
  o.policy.other->label = "yesterday";
  o.policy.subject.version = "2.0";
  o.progress.plain_interval_seconds = 1e9;
  const CaseResult known = dsv4::sweep(o, source_of({case_id("abort")})).results.at(0);
  EXPECT_EQ(known.verdict, Verdict::kKnown);
  EXPECT_THAT(known.reason, StartsWith("in 'yesterday': it does that ("));
  o.policy.other.reset();
  o.policy.subject.ops["test_copy"] = {.main = {"csrc/a.cuh"}, .files = {{"csrc/a.cuh", {}}}};
  o.policy.subject.version = "1.2";
  const CaseResult edited = dsv4::sweep(o, source_of({case_id("abort")})).results.at(0);
  EXPECT_EQ(edited.verdict, Verdict::kError);
  EXPECT_EQ(edited.not_excused, "copy-aborts");
}

SweepResult swept_by_worker(const std::vector<std::string>& ids, const Policy& policy = {}) {
  SweepOptions o;
  o.names = {"faulty", "faulty", "reference"};
  o.pool.command = testing::faulty_worker();
  o.crash_advice = [](const std::string& id) { return "look at " + id; };
  o.policy = policy;
  o.progress.plain_interval_seconds = 1e9;
  return dsv4::sweep(o, source_of(ids));
}

TEST(FaultyProcess, OnlyACrashByAWrongAccessHasAdvice) {
  const SweepResult swept = swept_by_worker({case_id("abort"), case_id("segfault"), case_id("none")});
  ASSERT_EQ(swept.results.size(), 3u);
  for (const CaseResult& r : swept.results) {
    const bool wrong_access = r.id == case_id("segfault");
    EXPECT_EQ(r.verdict, r.id == case_id("none") ? Verdict::kPassed : Verdict::kError) << r.id;
    EXPECT_EQ(r.reason.ends_with(". look at " + r.id), wrong_access) << r.reason;
  }
}

RunReport report_of(const SweepResult& swept) {
  RunReport report;
  SetRun run;
  run.set_label = run.set_name = "faulty";
  run.against = "reference";
  run.results = swept.results;
  report.runs.push_back(run);
  report.failure = swept.failure;
  return report;
}

std::string broken_case(const std::string& throws, const std::string& fault = "none",
                        const std::string& scenario = "") {
  return testing::test_case_id("broken", fault, scenario, Params().set("throws", throws));
}

TEST(FaultyProcess, AnInternalErrorIsStatus2AndNamesOpCaseAndStep) {
  for (const auto& [id, step] :
       {std::pair<std::string, std::string>{broken_case("make"), "making the call: broken make"},
        {broken_case("observe"), "reading the reference's outputs: broken observe"},
        {broken_case("tolerances"), "computing the tolerances: broken tolerances"},
        {broken_case("scenario", "none", "relation:broken"), "running the scenario's own code: broken scenario"}}) {
    const SweepResult swept = swept_by_worker({id, case_id("none")});
    ASSERT_EQ(swept.results.size(), 2u);
    const std::string text = "internal error: op 'test_broken', case '" + id + "', " + step +
                             ". This is a fault of dsv4diff, not of the kernel";
    EXPECT_EQ(swept.results[0].reason, text);
    EXPECT_EQ(swept.results[0].verdict, Verdict::kError);
    EXPECT_TRUE(swept.results[0].findings.empty());
    EXPECT_EQ(swept.results[1].verdict, Verdict::kPassed) << "the other cases run to the end";
    const RunReport report = report_of(swept);
    EXPECT_EQ(exit_status(report), 2);
    EXPECT_THAT(verdict_line(report), AllOf(StartsWith(text + "; so far 2 cases"), Not(HasSubstr("environment"))));
    EXPECT_THAT(terminal_report(report, {.layout = {.width = 10000}}), HasSubstr(text));
  }
}

TEST(FaultyProcess, AWrongFormOfAResultIsStatus1) {
  const SweepResult swept = swept_by_worker({testing::test_case_id("plan", "returns_nothing"),
                                             testing::test_case_id("plan", "wrong_shape", "relation:last_row")});
  ASSERT_EQ(swept.results.size(), 2u);
  for (const CaseResult& r : swept.results) {
    EXPECT_EQ(r.verdict, Verdict::kFailed) << r.id;
    EXPECT_THAT(r.reason, StartsWith("unreadable: ")) << r.id;
  }
  EXPECT_EQ(swept.failure, "");
  EXPECT_EQ(exit_status(report_of(swept)), 1);
}

// After a crash, the parent process checks whether a known fault covers the crash. For this it calls the op's facts(),
// which may throw in the parent process.
TEST(FaultyProcess, AnInternalErrorAfterACrashIsOneToo) {
  KnownFault fault = testing::known_fault("broken-aborts", "test_broken", {"crash"});
  fault.facts = {{"rows", {3, 3}}};
  const Policy policy = testing::policy_of(fault);
  const SweepResult known = swept_by_worker({broken_case("nowhere", "abort")}, policy);
  EXPECT_EQ(known.results.at(0).verdict, Verdict::kKnown);
  EXPECT_EQ(known.failure, "");
  const SweepResult broken = swept_by_worker({broken_case("facts", "abort")}, policy);
  EXPECT_EQ(broken.results.at(0).verdict, Verdict::kError);
  EXPECT_THAT(broken.failure, AllOf(StartsWith("internal error: op 'test_broken'"), HasSubstr("broken facts"),
                                    HasSubstr("its worker had crashed")));
  EXPECT_EQ(exit_status(report_of(broken)), 2);
}

/// The tests above use all 14 faults that end or damage the process. A new fault needs a new test.
TEST(FaultyProcess, NoFaultIsForgotten) {
  EXPECT_EQ(static_cast<int>(testing::Fault::kNumber) - static_cast<int>(testing::Fault::kSegfault), 14);
}

}  // namespace
}  // namespace dsv4
