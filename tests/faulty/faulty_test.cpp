/// Each fault must be caught, and for the right reason. The tests expect a verdict and the name of the check or output
/// that found the fault.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/core/error.h"
#include "harness/run/trial.h"
#include "tests/faulty/faults.h"
#include "tests/faulty/test_ops.h"
#include "tests/harness/run/known_support.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::test_case_id;
using testing::try_faulty;

std::string story(const CaseResult& r) { return std::string(name_of(r.verdict)) + ": " + r.reason; }

/// Which check found the fault: the first finding's name, or "output:<name>" of the first output with a violation.
std::string check_of(const CaseResult& r) {
  if (!r.findings.empty()) return r.findings.front().check;
  for (const OutputReport& o : r.outputs) {
    if (o.violations != 0) return "output:" + o.name;
  }
  return "none";
}

void expect_caught(const std::string& id, Verdict verdict, const std::string& check, const std::string& reason = "") {
  const CaseResult r = try_faulty(id);
  EXPECT_EQ(name_of(r.verdict), name_of(verdict)) << id << "\n" << story(r);
  EXPECT_EQ(check_of(r), check) << id << "\n" << story(r);
  EXPECT_THAT(r.reason, HasSubstr(reason)) << id;
  EXPECT_EQ(r.id, id);
}

/// Expects that the fault fails the op's case without a scenario, at the default parameters.
void expect_failed(const std::string& op, const std::string& fault, const std::string& check,
                   const std::string& reason = "") {
  expect_caught(test_case_id(op, fault), Verdict::kFailed, check, reason);
}

TEST(Faulty, WithoutAFaultEverythingPasses) {
  for (const char* op : {"copy", "store", "plan"}) {
    const CaseResult r = try_faulty(test_case_id(op, "none"));
    EXPECT_EQ(r.verdict, Verdict::kPassed) << op << ": " << story(r);
    for (const OutputReport& o : r.outputs) EXPECT_EQ(o.different, 0) << o.name;
    EXPECT_FALSE(r.outputs.empty());
  }
  for (const char* scenario : {"contract:output_dtype", "contract:no_rows", "relation:repeat"}) {
    const CaseResult r = try_faulty(test_case_id("copy", "none", scenario));
    EXPECT_EQ(r.verdict, Verdict::kPassed) << scenario << ": " << story(r);
  }
}

TEST(Faulty, WrongValuesFailUnderEveryTolerance) {
  for (const char* fault : {"one_wrong", "nan", "infinity", "sign", "all_zeros", "shifted"}) {
    for (const char* judge : {"exact", "bound", "interval"}) {
      expect_caught(test_case_id("copy", fault, "", {{"judge", judge}}), Verdict::kFailed, "output:output",
                    "outside the " + std::string(judge) + " tolerance");
    }
  }
  expect_failed("store", "one_wrong", "output:cache", "1 of 72 elements");
  expect_failed("plan", "one_wrong", "output:plan", "1 of 10 elements");
}

TEST(Faulty, OneWrongElementIsReportedWithCoordinatesAndValues) {
  const CaseResult r = try_faulty(test_case_id("copy", "one_wrong"));
  ASSERT_EQ(r.outputs.size(), 1u);
  const OutputReport& o = r.outputs.front();
  EXPECT_EQ(o.violations, 1);
  EXPECT_EQ(o.compared, 15);
  ASSERT_TRUE(o.first.has_value());
  EXPECT_EQ(o.first->at, (Shape{1, 2}));
  EXPECT_NEAR(o.first->error, 1.0, 1e-6);
  EXPECT_THAT(o.first->got, HasSubstr("(0x"));
}

TEST(Faulty, AnErrorOfOneUlpFailsWhereTheOpIsExact) {
  expect_failed("copy", "one_ulp", "output:output", "1 of 15 elements outside the exact tolerance");
  expect_caught(test_case_id("copy", "one_ulp", "", {{"judge", "interval"}}), Verdict::kFailed, "output:output");
  // The bound allows an error of two units of the last place. The element passes and counts as different.
  const CaseResult r = try_faulty(test_case_id("copy", "one_ulp", "", {{"judge", "bound"}}));
  EXPECT_EQ(r.verdict, Verdict::kPassed) << story(r);
  EXPECT_EQ(r.outputs.at(0).different, 1);
  EXPECT_GT(r.tightness(), 0.2);
  EXPECT_LE(r.tightness(), 0.5);
}

TEST(Faulty, AWrongSignOfZeroFailsWhereTheOpIsExact) {
  expect_failed("copy", "negative_zero", "output:output", "1 of 15");
  expect_caught(test_case_id("copy", "negative_zero", "", {{"judge", "interval"}}), Verdict::kFailed, "output:output");
}

TEST(Faulty, UnwrittenElementsFail) {
  for (const char* op : {"copy", "store", "plan"}) {
    const CaseResult r = try_faulty(test_case_id(op, "last_unwritten"));
    EXPECT_EQ(r.verdict, Verdict::kFailed) << op << ": " << story(r);
    EXPECT_EQ(r.outputs.at(0).violations, 1) << op;
  }
  const auto got = [](const char* op) {
    return try_faulty(test_case_id(op, "last_unwritten")).outputs.at(0).first.value().got;
  };
  EXPECT_EQ(got("copy"), "never written (poison 0xffa5a5a5)");  // an output
  EXPECT_EQ(got("plan"), "never written (poison 0xfbadbeef)");  // memory that the function allocated
}

TEST(Faulty, ATrivialOutputIsMistrusted) {
  const CaseResult r = try_faulty(test_case_id("copy", "none", "", {{"fill", "zeros"}}));
  EXPECT_EQ(r.verdict, Verdict::kMistrusted) << story(r);
  EXPECT_THAT(r.reason, HasSubstr("every compared element has the same bits"));
  // A kernel that always writes zeros would pass this case too. That is why the case is mistrusted.
  EXPECT_EQ(try_faulty(test_case_id("copy", "all_zeros", "", {{"fill", "zeros"}})).verdict, Verdict::kMistrusted);
  const CaseResult empty = try_faulty(test_case_id("copy", "none", "", {{"rows", "0"}}));
  EXPECT_EQ(empty.verdict, Verdict::kMistrusted) << story(empty);
  EXPECT_EQ(empty.reason, "no element was compared");
}

// The guard bands are poisoned for AddressSanitizer. So AddressSanitizer reports the wrong access itself, at the
// instruction that makes it.
#ifdef __SANITIZE_ADDRESS__
TEST(FaultyDeathTest, AddressSanitizerReportsAccessesOutsideATensor) {
  for (const char* fault : {"byte_before", "byte_after", "reads_past_end"}) {
    EXPECT_DEATH(try_faulty(test_case_id("copy", fault)), "use-after-poison") << fault;
  }
  for (const char* scenario : {"relation:far_input", "relation:far_output"}) {
    EXPECT_DEATH(try_faulty(test_case_id("copy", "wraps_32", scenario)), "use-after-poison") << scenario;
  }
  EXPECT_DEATH(try_faulty(test_case_id("plan", "overruns_returned")), "overflow|poison");
}
#else
TEST(Faulty, WritesOutsideATensorFail) {
  expect_failed("copy", "byte_before", "guard", "'output': byte 1 before its memory");
  expect_failed("copy", "byte_after", "guard", "'output': byte 1 after its memory");
  expect_failed("plan", "overruns_returned", "guard", "allocated by the function': byte 1 after its memory");
}

TEST(Faulty, AReadBehindAnInputFailsInTheRepeatRelation) {
  // The case without the relation passes, because the poison after the input happens not to change the maximum.
  EXPECT_EQ(try_faulty(test_case_id("copy", "reads_past_end")).verdict, Verdict::kPassed);
  expect_caught(test_case_id("copy", "reads_past_end", "relation:repeat"), Verdict::kFailed, "output:output");
}
#endif

TEST(Faulty, OffsetsWrappedTo32BitsFailWhereRowsLieFarApart) {
  // The tensor has three rows. The offset of the third row does not fit into 32 bits. It wraps to an offset after the
  // first row.
  EXPECT_EQ(try_faulty(test_case_id("copy", "wraps_32")).verdict, Verdict::kPassed)
      << "the rows are close together, so the fault changes nothing";
  for (const char* scenario : {"relation:far_input", "relation:far_output"}) {
    const CaseResult right = try_faulty(test_case_id("copy", "none", scenario));
    EXPECT_EQ(right.verdict, Verdict::kPassed) << story(right);
  }
#ifndef __SANITIZE_ADDRESS__
  expect_caught(test_case_id("copy", "wraps_32", "relation:far_input"), Verdict::kFailed, "output:output",
                "5 of 30 elements");
  expect_caught(
      test_case_id("copy", "wraps_32", "relation:far_output"), Verdict::kFailed, "guard",
      "far: 'output': the byte at offset 64 from its first element, which belongs to no element, was overwritten");
#endif
}

TEST(Faulty, WritesOutsideTheFootprintFail) {
  expect_failed("copy", "gap", "outside_footprint", "'output' (f32[3, 5] strides (7, 1)): byte 20 of its memory");
  expect_failed("copy", "input", "input_changed", "'input'");
  expect_failed("store", "padding", "outside_footprint", "'cache'");
  expect_failed("store", "unnamed_slot", "outside_footprint", "'cache' (u8[9, 8]): byte 64 of its memory");
}

TEST(Faulty, ResultsThatChangeFromCallToCallFail) {
  for (const char* fault : {"counts", "reads_output", "schedule"}) {
    expect_caught(test_case_id("copy", fault, "relation:repeat"), Verdict::kFailed, "output:output", "of 45 elements");
  }
  // One call alone does not show that the result depends on the order of threads.
  EXPECT_EQ(try_faulty(test_case_id("copy", "schedule")).verdict, Verdict::kPassed);
}

TEST(Faulty, RefusalOfAValidCallIsAnError) {
  expect_caught(test_case_id("copy", "throws"), Verdict::kError, "none",
                "a valid call was refused: ValueError: test_copy: argument 'input': I do not like it");
  expect_caught(test_case_id("copy", "throws", "relation:repeat"), Verdict::kError, "none",
                "first: a valid call was refused");
  expect_caught(test_case_id("copy", "throws_after_writing"), Verdict::kError, "written_on_refusal",
                "a valid call was refused");
}

TEST(Faulty, BadCallsMustBeRefusedByNameAndWithoutWrites) {
  const char* contract = "contract:output_dtype";
  expect_caught(test_case_id("copy", "accepts_all", contract), Verdict::kFailed, "not_refused",
                "bad call: the call must be refused because of 'output'");
  expect_caught(test_case_id("copy", "refuses_unnamed", contract), Verdict::kFailed, "refusal_names_argument",
                "does not name 'output': ValueError: invalid argument");
  expect_caught(test_case_id("copy", "throws_after_writing", contract), Verdict::kFailed, "written_on_refusal",
                "'output'");
}

TEST(Faulty, AnExtremeLegalCallMayBeRefusedButMustNotWriteOutside) {
  const char* contract = "contract:no_rows";
  const CaseResult refused = try_faulty(test_case_id("copy", "throws", contract));
  EXPECT_EQ(refused.verdict, Verdict::kPassed) << story(refused);
  // The output has no elements, so a write before the refusal goes into its guard band.
#ifndef __SANITIZE_ADDRESS__
  expect_caught(test_case_id("copy", "throws_after_writing", contract), Verdict::kFailed, "guard",
                "edge call: 'output': byte 1 after its memory");
#endif
}

TEST(Faulty, AScenarioThatComparesNothingIsMistrusted) {
  const CaseResult empty = try_faulty(test_case_id("copy", "none", "relation:repeat", {{"rows", "0"}}));
  EXPECT_EQ(empty.verdict, Verdict::kMistrusted) << story(empty);
  EXPECT_EQ(empty.reason, "no element was compared");
  const CaseResult zeros = try_faulty(test_case_id("copy", "none", "relation:repeat", {{"fill", "zeros"}}));
  EXPECT_EQ(zeros.verdict, Verdict::kMistrusted) << story(zeros);
}

TEST(Faulty, ReturnedValuesAreChecked) {
  expect_failed("plan", "wrong_shape", "output:plan", "got i32[4, 2], want i32[5, 2]");
  expect_failed("plan", "wrong_dtype", "output:plan", "got f32[5, 2], want i32[5, 2]");
  expect_failed("plan", "foreign_memory", "returned", "did not allocate through its environment");
  expect_failed("plan", "claims_more", "returned", "takes 32808 bytes, but its memory has 40");
  expect_failed("plan", "returns_text", "returned", "a value of type");
  expect_failed("plan", "returns_nothing", "unreadable", "not in the form that the op promises");
  // A scenario reads outputs itself. It fails in the same way.
  for (const char* fault : {"returns_nothing", "returns_text", "foreign_memory"}) {
    const CaseResult r = try_faulty(test_case_id("plan", fault, "relation:repeat"));
    EXPECT_EQ(r.verdict, Verdict::kFailed) << story(r);
    EXPECT_EQ(r.findings.back().check, "unreadable") << fault;
  }
  EXPECT_EQ(try_faulty(test_case_id("plan", "none", "relation:last_row")).verdict, Verdict::kPassed);
  const auto expect_unreadable = [](const char* fault, const std::string& why) {
    const CaseResult r = try_faulty(test_case_id("plan", fault, "relation:last_row"));
    EXPECT_EQ(r.verdict, Verdict::kFailed) << story(r);
    EXPECT_THAT(r.reason, AllOf(StartsWith("unreadable: the outputs are not in the form that the op promises: "),
                                HasSubstr(why)));
  };
  expect_unreadable("wrong_shape", "index (4, 1) does not fit i32[4, 2]");
  expect_unreadable("wrong_dtype", "f32[5, 2] cannot be accessed as i32");
  expect_unreadable("returns_nothing", "vector");
}

/// The text of the InternalError that the trial throws. If it throws none, the verdict and its reason.
std::string internal_error_of(const std::string& id) {
  try {
    return story(try_faulty(id));
  } catch (const InternalError& e) {
    return e.what();
  }
}

TEST(Faulty, AnExceptionOfTheOpsOwnCodeIsAnInternalErrorWhateverTheKernelDoes) {
  const auto id = [](const char* throws, const char* fault, const char* scenario = "") {
    return test_case_id("broken", fault, scenario, Params().set("throws", throws));
  };
  const auto expect_internal = [](const std::string& id, const std::string& step) {
    EXPECT_EQ(internal_error_of(id), "internal error: op 'test_broken', case '" + id + "', " + step +
                                         ". This is a fault of dsv4diff, not of the kernel");
  };
  EXPECT_EQ(internal_error_of(id("nowhere", "none")), "passed: ");
  EXPECT_EQ(internal_error_of(id("nowhere", "none", "relation:broken")), "passed: ");
  for (const char* fault : {"none", "one_wrong", "gap"}) {
    expect_internal(id("make", fault), "making the call: broken make");
    expect_internal(id("observe", fault), "reading the reference's outputs: broken observe");
    expect_internal(id("tolerances", fault), "computing the tolerances: broken tolerances");
    for (const char* throws : {"make", "observe"}) {
      for (const char* scenario : {"relation:broken", "relation:repeat"}) {
        expect_internal(id(throws, fault, scenario), std::string("running the scenario's own code: broken ") + throws);
      }
    }
    expect_internal(id("scenario", fault, "relation:broken"), "running the scenario's own code: broken scenario");
    EXPECT_THAT(internal_error_of(id("scenario_late", fault, "relation:broken")),
                AllOf(StartsWith("internal error: "), HasSubstr("running the scenario's own code: std::get")));
  }
  // trivial_by_design() is called only if nothing differs.
  expect_internal(id("trivial_by_design", "none"),
                  "asking whether a right result may be trivial: broken trivial_by_design");
  EXPECT_THAT(internal_error_of(id("trivial_by_design", "one_wrong")), StartsWith("failed: "));
  // facts() is called only if a known fault has conditions on facts.
  EXPECT_EQ(internal_error_of(id("facts", "none")), "passed: ");
}

TEST(Faulty, FactsThatThrowAreAnInternalError) {
  const auto faulty = testing::open_faulty();
  const auto right = testing::open_right();
  KnownFault fault = testing::known_fault("broken", "test_broken", {"output"});
  fault.facts = {{"rows", {3, 3}}};
  const CheckedCase c = checked_case(test_case_id("broken", "none", "", Params().set("throws", "facts")));
  try {
    (void)try_case(c, {*faulty, *right, *right}, testing::policy_of(fault));
    FAIL();
  } catch (const InternalError& e) {
    EXPECT_THAT(e.what(), HasSubstr("computing the facts that known faults refer to: broken facts"));
  }
}

TEST(Faulty, AFindingOfTheReferenceIsAnError) {
  const auto faulty = testing::open_faulty();
  const auto right = testing::open_right();
  // Here the faulty set is the other side. Its findings do not count, because it is not the reference.
  const CheckedCase c = checked_case(test_case_id("copy", "gap"));
  EXPECT_EQ(try_case(c, {*right, *faulty, *right}).verdict, Verdict::kPassed);
  // If the same set is the reference, its finding makes the case an error.
  const CaseResult r = testing::try_with_faulty_reference(c.id());
  EXPECT_EQ(r.verdict, Verdict::kError);
  EXPECT_THAT(r.reason, StartsWith("the reference itself fails the check 'outside_footprint'"));
}

TEST(Faulty, TwoFaultyKernelsThatLeaveTheSameElementUnwrittenDoNotAgree) {
  const auto faulty = testing::open_faulty();
  const auto right = testing::open_right();
  const CaseResult r = try_case(checked_case(test_case_id("copy", "last_unwritten")), {*faulty, *faulty, *right});
  EXPECT_EQ(r.verdict, Verdict::kFailed) << story(r);
}

TEST(Faulty, KnownFaultsCoverWhatTheyNameAndNothingElse) {
  const auto faulty = testing::open_faulty();
  const auto right = testing::open_right();
  KnownFault fault = testing::known_fault("copy-middle", "test_copy", {"output"});
  fault.summary = "the middle is wrong";
  const auto verdict = [&](const std::string& name, bool keep_known = true) {
    return try_case(checked_case(test_case_id("copy", name)), {*faulty, *right, *right},
                    testing::policy_of(fault, keep_known));
  };
  const CaseResult known = verdict("one_wrong");
  EXPECT_EQ(known.verdict, Verdict::kKnown);
  EXPECT_EQ(known.known_fault, "copy-middle");
  EXPECT_THAT(known.reason, AllOf(StartsWith("the middle is wrong"), HasSubstr("1 of 15 elements")));
  EXPECT_EQ(verdict("one_wrong", false).verdict, Verdict::kFailed);
  // The known fault lists the output alone. It covers neither a write in a wrong place nor a refusal.
  EXPECT_EQ(verdict("gap").verdict, Verdict::kFailed);
  EXPECT_EQ(verdict("throws").verdict, Verdict::kError);
  // A passed case names the known fault that did not occur.
  const CaseResult gone = verdict("none");
  EXPECT_EQ(gone.verdict, Verdict::kPassed);
  EXPECT_EQ(gone.known_fault, "copy-middle");
}

// The fault "one_wrong" changes one element of one row. The element fact "row" is the number of the row.
TEST(Faulty, AKnownFaultExcusesRowsNotTheCase) {
  const auto faulty = testing::open_faulty();
  const auto right = testing::open_right();
  KnownFault fault = testing::known_fault("copy-rows", "test_copy");
  const auto excused = [&](std::int64_t row, const std::string& name) {
    fault.elements = {{"output", {{"row", {row, row}}}}};
    return try_case(checked_case(test_case_id("copy", name)), {*faulty, *right, *right}, testing::policy_of(fault));
  };
  std::vector<Verdict> verdicts;
  for (const std::int64_t row : {0, 1, 2}) verdicts.push_back(excused(row, "one_wrong").verdict);
  EXPECT_EQ(std::ranges::count(verdicts, Verdict::kKnown), 1);
  EXPECT_EQ(std::ranges::count(verdicts, Verdict::kFailed), 2);
  // A kernel that writes garbage everywhere fails, whichever row is excused.
  for (const std::int64_t row : {0, 1, 2}) EXPECT_EQ(excused(row, "all_zeros").verdict, Verdict::kFailed) << row;
}

TEST(Faulty, AKnownFaultOfAScenarioCoversThatScenarioAlone) {
  const auto faulty = testing::open_faulty();
  const auto right = testing::open_right();
  KnownFault fault = testing::known_fault("accepts-wide-outputs", "test_copy", {"not_refused"});
  fault.scenarios = {"contract:output_*"};
  const auto tried = [&](const std::string& name, const std::string& scenario) {
    return try_case(checked_case(test_case_id("copy", name, scenario)), {*faulty, *right, *right},
                    testing::policy_of(fault));
  };
  const CaseResult known = tried("accepts_all", "contract:output_dtype");
  EXPECT_EQ(known.verdict, Verdict::kKnown) << story(known);
  EXPECT_EQ(known.known_fault, "accepts-wide-outputs");
  EXPECT_EQ(tried("refuses_unnamed", "contract:output_dtype").verdict, Verdict::kFailed);
  EXPECT_EQ(tried("counts", "relation:repeat").verdict, Verdict::kFailed);
  EXPECT_EQ(tried("one_wrong", "").verdict, Verdict::kFailed);
  // Here the kernel does not have the fault. The passed case names the fault, so that the report can say that it no
  // longer occurs.
  const CaseResult mended = tried("none", "contract:output_dtype");
  EXPECT_EQ(mended.verdict, Verdict::kPassed) << story(mended);
  EXPECT_EQ(mended.known_fault, "accepts-wide-outputs");
}

TEST(Faulty, DeviceContractsAreSkippedOnPlainCpuSets) {
  const auto right = testing::open_right();
  const CaseResult r =
      try_case(checked_case(test_case_id("copy", "none", "contract:host_output")), {*right, *right, *right});
  EXPECT_EQ(r.verdict, Verdict::kSkipped);
  EXPECT_THAT(r.reason, HasSubstr("cannot tell device arguments"));
  // The faulty set has a device, so the contract is tried there. It fails, because the module accepts a host output.
  expect_caught(test_case_id("copy", "none", "contract:host_output"), Verdict::kFailed, "not_refused");
}

TEST(Faulty, LateArgumentsNeedTheHostExecutor) {
  const auto right = testing::open_right();
  const CaseResult r =
      try_case(checked_case(test_case_id("copy", "none", "relation:late_input")), {*right, *right, *right});
  EXPECT_EQ(r.verdict, Verdict::kSkipped);
  EXPECT_THAT(r.reason, HasSubstr("only the host executor"));
  // The faulty module is a host module, but it does not contain the executor.
  const CaseResult bare = try_faulty(test_case_id("copy", "none", "relation:late_input"));
  EXPECT_EQ(bare.verdict, Verdict::kUnsupported) << story(bare);
}

/// Every fault changes the verdict of at least one case of an op. So a new fault needs a check that finds it. The
/// exceptions are `none`, the faults that depend on earlier calls (faulty_state_test.cpp), and the faults that end or
/// damage the process (faulty_process_test.cpp).
TEST(Faulty, EveryFaultChangesAVerdict) {
  for (std::size_t i = 1; i < static_cast<std::size_t>(testing::Fault::kSegfault); ++i) {
    const std::string fault(testing::kFaultNames.at(i));
    if (fault == "frozen" || fault == "eleventh" || fault == "once") continue;
#ifdef __SANITIZE_ADDRESS__
    if (fault.starts_with("byte_") || fault == "reads_past_end" || fault == "overruns_returned" ||
        fault == "wraps_32") {
      continue;
    }
#endif
    bool seen = false;
    for (const char* op : {"copy", "store", "plan"}) {
      std::vector<std::string> ids{test_case_id(op, fault), test_case_id(op, fault, "relation:repeat")};
      if (std::string(op) == "copy") {
        ids.push_back(test_case_id(op, fault, "contract:output_dtype"));
        ids.push_back(test_case_id(op, fault, "relation:far_output"));
      }
      for (const std::string& id : ids) seen = seen || try_faulty(id).verdict != Verdict::kPassed;
    }
    EXPECT_TRUE(seen) << fault;
  }
}

}  // namespace
}  // namespace dsv4
