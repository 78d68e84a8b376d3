/// Trials of sets with failures that a module on a CPU cannot cause: a dead device, memory that runs out, a set that
/// cannot be used. tests/faulty tests the faults of modules.
#include "harness/run/trial.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/device/memory.h"
#include "harness/op/records.h"
#include "tests/harness/golden/support.h"
#include "tests/harness/run/known_support.h"
#include "tests/harness/run/scripted_op.h"

namespace dsv4 {
namespace {

using namespace golden_test;
using ::testing::HasSubstr;
using testing::known_fault;
using testing::policy_of;
using testing::ScriptedOp;
using ::testing::StartsWith;

Policy fault_covering(const std::string& what, bool keep_known = true) {
  return policy_of(known_fault("probe-fault", "golden_probe", {what}), keep_known);
}

/// A set that throws an exception in every call.
template <class Exception>
FakeCaller throwing(Exception e) {
  return {"bad", false, [e](const float*, float*, std::int64_t) { throw e; }};
}

struct TrialTest : ::testing::Test {
  TrialTest() { probe_op(); }

  FakeCaller reference = honest("reference", true);

  CaseResult tried(FakeCaller subject, const std::string& tolerance = "exact", const Policy& policy = {}) {
    return try_case(probe(8, tolerance), {subject, reference, reference}, policy);
  }
};

TEST_F(TrialTest, ADeadDeviceIsAnErrorOfItsCase) {
  const CaseResult r = tried(throwing(DeviceLost("an illegal memory access was encountered")));
  EXPECT_EQ(r.verdict, Verdict::kError);
  EXPECT_EQ(r.reason, "the GPU context is dead: an illegal memory access was encountered");
}

TEST_F(TrialTest, ACallThatNeedsTooMuchMemoryIsSkipped) {
  const CaseResult r = tried(throwing(Unavailable("no 16.0 GiB of memory in one piece")));
  EXPECT_EQ(r.verdict, Verdict::kSkipped);
  EXPECT_EQ(r.reason, "no 16.0 GiB of memory in one piece");
}

TEST_F(TrialTest, AKnownFaultCoversADeadDeviceOnlyIfItSaysSo) {
  const FakeCaller lost = throwing(DeviceLost("trap"));
  const CaseResult known = tried(lost, "exact", fault_covering("device_lost"));
  EXPECT_EQ(known.verdict, Verdict::kKnown);
  EXPECT_EQ(known.known_fault, "probe-fault");
  EXPECT_EQ(known.reason, "it does that (the GPU context is dead: trap)");
  const CaseResult other = tried(lost, "exact", fault_covering("y"));
  EXPECT_EQ(other.verdict, Verdict::kError);
  EXPECT_EQ(other.known_fault, "probe-fault") << "the result still names the known fault";
  EXPECT_EQ(tried(lost, "exact", fault_covering("device_lost", false)).verdict, Verdict::kError);
}

TEST_F(TrialTest, AKnownFaultCoversARefusalOnlyIfItSaysSo) {
  FakeCaller refuses = off_by(-1, 0, "bad");
  refuses.refusal = "I do not like it";
  EXPECT_EQ(tried(refuses, "exact", fault_covering("refusal")).verdict, Verdict::kKnown);
  EXPECT_EQ(tried(refuses, "exact", fault_covering("y")).verdict, Verdict::kError);
  EXPECT_EQ(tried(refuses, "exact", fault_covering("crash")).verdict, Verdict::kError);
  EXPECT_EQ(tried(refuses, "exact", fault_covering("refusal", false)).verdict, Verdict::kError);
}

TEST_F(TrialTest, ErrorsThatEndTheProcessAreThrown) {
  EXPECT_THROW((void)tried(throwing(std::bad_alloc())), std::bad_alloc);
  EXPECT_THROW((void)tried(throwing(SetError("the set was altered"))), SetError);
  // Error means that the call is malformed. The op made the call, so this is an internal error.
  EXPECT_THROW((void)tried(throwing(Error("the footprint covers 3 bytes"))), InternalError);
}

TEST_F(TrialTest, ARefusalByTheOtherSideIsNotTheSubjects) {
  FakeCaller subject = honest();
  FakeCaller other = off_by(-1, 0, "other");
  other.refusal = "not I";
  const CaseResult r = try_case(probe(8, "exact"), {subject, other, reference});
  EXPECT_EQ(r.verdict, Verdict::kError);
  EXPECT_EQ(r.reason, "'other' refused the call: not I");
}

TEST_F(TrialTest, AgainstAnotherKernelEachSideMayDifferByTheBound) {
  FakeCaller above = off_by(3, 0.0009F, "above"), below = off_by(3, -0.0009F, "below");
  FakeCaller far = off_by(3, -0.0012F, "far");
  const CheckedCase c = probe(8, "bound");
  EXPECT_EQ(try_case(c, {above, below, reference}).verdict, Verdict::kPassed);
  EXPECT_EQ(try_case(c, {above, far, reference}).verdict, Verdict::kFailed);
  EXPECT_EQ(try_case(c, {far, reference, reference}).verdict, Verdict::kFailed);
}

TEST_F(TrialTest, EachSideMustHaveTheOthersOutputs) {
  ScriptedOp op;
  op.on_observe = [](const Case& c, const Call& call, const CallResult& result) {
    Observation o = probe_op().observe(c, call, result);
    if (!result.findings.empty() && result.findings.front().check == "fewer") o.outputs.pop_back();
    if (!result.findings.empty() && result.findings.front().check == "more")
      o.add("second", HostTensor::make(DType::kF32, {0}));
    return o;
  };
  const auto compared = [&](const std::vector<Finding>& others_findings) {
    FakeCaller subject = honest(), other = honest("other");
    other.findings = others_findings;
    return try_case(op.own_case(), {subject, other, reference});
  };
  EXPECT_EQ(compared({}).verdict, Verdict::kPassed);
  const CaseResult fewer = compared({{"fewer", ""}}), more = compared({{"more", ""}});
  EXPECT_EQ(fewer.verdict, Verdict::kFailed);
  EXPECT_THAT(fewer.reason, HasSubstr("first: the other side has no such output"));
  EXPECT_EQ(more.verdict, Verdict::kFailed);
  EXPECT_THAT(more.reason, HasSubstr("second: this side has no such output"));
}

/// Changes the op: it cannot read a result that has a finding called `hidden`.
void read_unless_hidden(ScriptedOp& op) {
  op.on_observe = [](const Case& c, const Call& call, const CallResult& result) {
    if (!result.findings.empty() && result.findings.front().check == "hidden")
      throw TensorError("index (8) does not fit f32[8]");
    return probe_op().observe(c, call, result);
  };
}

TEST_F(TrialTest, AResultThatTheOpCannotReadIsAFindingIfItReadsTheReferences) {
  ScriptedOp op;
  read_unless_hidden(op);
  FakeCaller hides = honest("bad"), fine = honest("other");
  hides.findings = {{"hidden", ""}};
  for (Caller* against : {static_cast<Caller*>(&reference), static_cast<Caller*>(&fine)}) {
    const CaseResult r = try_case(op.own_case(), {hides, *against, reference});
    EXPECT_EQ(r.verdict, Verdict::kFailed);
    EXPECT_EQ(
        r.findings.back(),
        (Finding{"unreadable", "the outputs are not in the form that the op promises: index (8) does not fit f32[8]"}));
  }
  // If the result of the other kernel cannot be read, the verdict is `error`, and the reason names that kernel's set.
  const CaseResult other = try_case(op.own_case(), {fine, hides, reference});
  EXPECT_EQ(other.verdict, Verdict::kError);
  EXPECT_EQ(other.reason, "'bad': the outputs are not in the form that the op promises: index (8) does not fit f32[8]");
  // If the reference's result cannot be read either, the op is at fault.
  FakeCaller truth = honest("reference", true);
  truth.findings = {{"hidden", ""}};
  EXPECT_THROW((void)try_case(op.own_case(), {hides, truth, truth}), InternalError);
  EXPECT_THROW((void)try_case(op.own_case(), {hides, fine, truth}), InternalError);
  EXPECT_THROW((void)try_case(op.own_case(), {fine, hides, truth}), InternalError);
}

TEST_F(TrialTest, AScenarioThatThrowsIsTheKernelsFaultOnlyIfItRunsOnTheReference) {
  ScriptedOp op;
  read_unless_hidden(op);
  const auto reads = [](ScenarioContext& x) {
    const CallResult result = x.call("first", x.op.make(x.c), {.late = {{"x", {}}}});
    x.expect_agree("first", x.op.observe(x.c, x.op.make(x.c), result), x.expected(x.op.make(x.c)));
    const std::vector<int> rows(result.findings.empty() ? 1 : 0);
    if (rows.at(0) != 0) x.fail("rows", "");
  };
  FakeCaller fine = honest(), hides = honest("bad"), notes = honest("notes");
  hides.findings = {{"hidden", ""}};
  notes.findings = {{"noted", ""}};
  EXPECT_EQ(try_case(op.scenario_case(reads), {fine, reference, reference}).verdict, Verdict::kPassed);
  for (FakeCaller* subject : {&hides, &notes}) {
    const CaseResult r = try_case(op.scenario_case(reads), {*subject, reference, reference});
    EXPECT_EQ(r.verdict, Verdict::kFailed);
    EXPECT_EQ(r.findings.back().check, "unreadable");
    EXPECT_EQ(r.findings.size(), 2u) << "the second run, on the reference, must add no finding";
  }
  const auto broken = [](ScenarioContext& x) {
    (void)x.call("first", x.op.make(x.c));
    throw Error("the scenario is wrong");
  };
  EXPECT_THROW((void)try_case(op.scenario_case(broken), {fine, reference, reference}), InternalError);
  // An exception whose type names its cause is thrown unchanged.
  FakeCaller altered = throwing(SetError("altered")), no_memory = throwing(std::bad_alloc());
  EXPECT_THROW((void)try_case(op.scenario_case(reads), {altered, reference, reference}), SetError);
  EXPECT_THROW((void)try_case(op.scenario_case(reads), {no_memory, reference, reference}), std::bad_alloc);
}

TEST_F(TrialTest, EverythingIsMadeOnce) {
  ScriptedOp op;
  int made = 0, asked = 0;
  op.on_make = [&](const Case& c) {
    ++made;
    return probe_op().make(c);
  };
  op.on_facts = [&] {
    ++asked;
    return Facts{{"rows", 3}};
  };
  Policy policy = fault_covering("y");
  KnownFault fault = policy.known.all().front();
  fault.facts = {{"rows", {3, 3}}};
  policy.known = KnownFaults({fault});
  FakeCaller subject = off_by(2, 1);
  EXPECT_EQ(try_case(op.own_case(), {subject, reference, reference}, policy).verdict, Verdict::kKnown);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(subject.calls, 1);
  EXPECT_EQ(reference.calls, 1);
}

TEST_F(TrialTest, AResultHasTheNamesOfItsSides) {
  FakeCaller subject = honest("good");
  const CaseResult plain = try_case(probe(8, "exact"), {subject, reference, reference});
  EXPECT_EQ(plain.set_label, "good");
  EXPECT_EQ(plain.set_name, "good");
  EXPECT_EQ(plain.against, "reference");
  const CaseResult labelled =
      try_case(probe(8, "exact"), {subject, reference, reference, {"sets/good", "good", "golden:old"}});
  EXPECT_EQ(labelled.set_label, "sets/good");
  EXPECT_EQ(labelled.set_name, "good");
  EXPECT_EQ(labelled.against, "golden:old");
}

TEST_F(TrialTest, TheFindingsOfACallFailACaseWhoseOutputsAgree) {
  FakeCaller subject = honest();
  subject.findings = {{"guard", "'y': byte 1 after its memory was overwritten"}};
  const CaseResult r = tried(subject);
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_THAT(r.reason, StartsWith("guard: 'y'"));
  EXPECT_EQ(r.outputs.at(0).violations, 0);
}

TEST_F(TrialTest, BitsAreComparedOnlyWithKernels) {
  const CheckedCase c = probe(8, "bound");
  FakeCaller subject = off_by(3, 0.0005F), other = honest("other"), twin = off_by(3, 0.0005F);
  EXPECT_EQ(try_case(c, {subject, reference, reference}).same_bits(), std::nullopt);
  EXPECT_EQ(try_case(c, {subject, twin, reference}).same_bits(), true);
  const CaseResult r = try_case(c, {subject, other, reference});
  EXPECT_EQ(r.verdict, Verdict::kPassed);
  EXPECT_EQ(r.same_bits(), false);
  EXPECT_EQ(r.outputs.at(0).bits->other, 1);
  EXPECT_NEAR(r.outputs.at(0).bits->share, 0.25, 1e-3) << "the bound is doubled, because both sides are kernels";
  // A scenario does not compare with the other side.
  ScriptedOp op;
  const auto agrees = [](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    x.expect_agree("first", x.op.observe(x.c, call, x.call("first", call)), x.expected(call));
  };
  EXPECT_EQ(try_case(op.scenario_case(agrees), {subject, other, reference}).same_bits(), std::nullopt);
}

TEST_F(TrialTest, ExactFailsOtherBitsThatTheToleranceAllows) {
  const CheckedCase c = probe(8, "bound");
  FakeCaller subject = off_by(3, 0.0005F, "bad"), other = honest("other");
  Sides sides{subject, other, reference};
  sides.exact = true;
  const CaseResult r = try_case(c, sides);
  EXPECT_EQ(r.verdict, Verdict::kFailed);
  EXPECT_THAT(r.reason, StartsWith("y: 1 of 8 elements have other bits, at most "));
  EXPECT_THAT(r.reason, HasSubstr(" of the bound away; --exact allows none"));
  EXPECT_EQ(try_case(c, sides, fault_covering("y")).verdict, Verdict::kKnown) << "known faults are excused as always";
  Sides against_reference{subject, reference, reference};
  against_reference.exact = true;
  EXPECT_EQ(try_case(c, against_reference).verdict, Verdict::kPassed);
}

TEST_F(TrialTest, AnErrorHasACause) {
  FakeCaller refuses = honest();
  refuses.refusal = "no";
  FakeCaller fine = honest();
  EXPECT_EQ(tried(refuses).cause, "refusal");
  EXPECT_EQ(try_case(probe(8, "exact"), {fine, refuses, reference}).cause, "refusal");
  EXPECT_EQ(tried(throwing(DeviceLost("trap"))).cause, "device_lost");
  EXPECT_EQ(tried(off_by(2, 1)).cause, "");
}

/// A policy that excuses the elements of "y" whose fact "bad" is 1.
Policy elements_of(std::vector<std::string> covers = {}) {
  KnownFault f = known_fault("bad-rows", "golden_probe", std::move(covers));
  f.elements = {{"y", {{"bad", {1, 1}}}}};
  return policy_of(f);
}

/// The fact "bad", i64 [8]: 1 for element 5.
ElementFacts fifth_is_bad(const Call&) {
  return {{"bad", HostTensor::of<std::int64_t>(DType::kI64, {0, 0, 0, 0, 0, 1, 0, 0})}};
}

TEST_F(TrialTest, AFaultExcusesOnlyTheElementsForWhichItsFactHolds) {
  ScriptedOp op;
  op.on_element_facts = fifth_is_bad;
  const auto off = [&](std::int64_t at, const Policy& policy) {
    FakeCaller subject = off_by(at, 1);
    return try_case(op.own_case(), {subject, reference, reference}, policy);
  };
  const CaseResult known = off(5, elements_of());
  EXPECT_EQ(known.verdict, Verdict::kKnown);
  EXPECT_EQ(known.known_fault, "bad-rows");
  EXPECT_EQ(known.outputs.at(0).excused, 1);
  EXPECT_EQ(known.outputs.at(0).excused_by, "bad-rows");
  EXPECT_EQ(known.outputs.at(0).violations, 0);
  EXPECT_EQ(known.reason,
            "it does that (y: 1 of 8 elements outside the exact tolerance, each of them where the fault shows)");
  EXPECT_EQ(off(4, elements_of()).verdict, Verdict::kFailed);
  EXPECT_EQ(off(4, elements_of()).known_fault, "bad-rows") << "the result still names the fault";
  // Both elements are wrong: the excused one does not hide the other.
  FakeCaller both("bad", false, [](const float* x, float* y, std::int64_t n) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = 2 * x[i] + (i == 5 || i == 6 ? 1 : 0);
  });
  const CaseResult failed = try_case(op.own_case(), {both, reference, reference}, elements_of());
  EXPECT_EQ(failed.verdict, Verdict::kFailed);
  EXPECT_EQ(failed.outputs.at(0).excused, 1);
  EXPECT_EQ(failed.outputs.at(0).violations, 1);
  EXPECT_EQ(failed.outputs.at(0).first->at, (Shape{6}));
  // With --no-known, no element is excused.
  Policy strict = elements_of();
  strict.keep_known = false;
  EXPECT_EQ(off(5, strict).verdict, Verdict::kFailed);
  EXPECT_EQ(off(5, strict).outputs.at(0).excused, 0);
  // A finding is not an element.
  FakeCaller noisy = off_by(5, 1);
  noisy.findings = {{"guard", "a byte"}};
  EXPECT_EQ(try_case(op.own_case(), {noisy, reference, reference}, elements_of()).verdict, Verdict::kFailed);
  EXPECT_EQ(try_case(op.own_case(), {noisy, reference, reference}, elements_of({"guard"})).verdict, Verdict::kKnown);
}

TEST_F(TrialTest, AnUnknownElementFactExcusesNothing) {
  ScriptedOp op;
  FakeCaller subject = off_by(5, 1);
  EXPECT_EQ(try_case(op.own_case(), {subject, reference, reference}, elements_of()).verdict, Verdict::kFailed);
}

TEST_F(TrialTest, InAScenarioTheFactsAreThoseOfTheCallThatIsCompared) {
  ScriptedOp op;
  op.on_element_facts = [](const Call& call) {
    // The scenario's call has its seed + 1 as the number of the bad element.
    HostTensor bad = HostTensor::make(DType::kI64, {8});
    bad.at<std::int64_t>(integer_of(call, "seed")) = 1;
    return ElementFacts{{"bad", bad}};
  };
  KnownFault f = elements_of().known.all().front();
  f.scenarios = {"relation:*"};
  const auto tried = [&](std::int64_t told, bool say_about) {
    FakeCaller subject = off_by(5, 1);
    return try_case(op.scenario_case([&](ScenarioContext& x) {
      Call call = x.op.make(x.c), later = call;
      call.arg("seed").value = std::int64_t{5};
      later.arg("seed").value = told;
      const Observation got = x.observed("first", call);
      (void)x.call("second", later);
      if (say_about) x.about(call);
      x.expect_agree("compared", got, x.expected(call));
    }),
                    {subject, reference, reference}, policy_of(f));
  };
  EXPECT_EQ(tried(5, false).verdict, Verdict::kKnown);
  EXPECT_EQ(tried(5, false).outputs.at(0).excused, 1);
  EXPECT_EQ(tried(4, false).verdict, Verdict::kFailed) << "the last call has another bad element";
  EXPECT_EQ(tried(4, true).verdict, Verdict::kKnown);
}

TEST_F(TrialTest, AnUndefinedOutcomeIsKnownWhateverItIs) {
  ScriptedOp op;
  KnownFault f = known_fault("reads-past-the-end", "golden_probe");
  f.kind = KnownFault::Kind::kUndefined;
  const auto tried = [&](FakeCaller subject, bool keep_known = true) {
    return try_case(op.own_case(), {subject, reference, reference}, policy_of(f, keep_known));
  };
  FakeCaller noisy = off_by(3, 1), refuses = honest();
  noisy.findings = {{"padding", "row 2"}, {"range", "row 2"}};
  refuses.refusal = "no";
  for (const FakeCaller& subject : {off_by(3, 1), noisy, refuses, throwing(DeviceLost("trap"))}) {
    const CaseResult r = tried(subject);
    EXPECT_EQ(r.verdict, Verdict::kKnown) << r.reason;
    EXPECT_EQ(r.known_fault, "reads-past-the-end");
    EXPECT_NE(tried(subject, false).verdict, Verdict::kKnown);
  }
  EXPECT_EQ(tried(honest()).verdict, Verdict::kPassed);
  EXPECT_EQ(tried(honest()).known_fault, "reads-past-the-end");
  // A call of a scenario that is refused, and a result that tests nothing.
  f.scenarios = {"relation:*"};
  const CaseResult refused = try_case(op.scenario_case([](ScenarioContext& x) { x.call("first", x.op.make(x.c)); }),
                                      {refuses, reference, reference}, policy_of(f));
  EXPECT_EQ(refused.verdict, Verdict::kKnown) << refused.reason;
  FakeCaller right = honest();
  const auto nothing = op.scenario_case([](ScenarioContext&) {});
  EXPECT_EQ(try_case(nothing, {right, reference, reference}, policy_of(f)).verdict, Verdict::kKnown);
  EXPECT_EQ(try_case(nothing, {right, reference, reference}).verdict, Verdict::kMistrusted);
}

TEST_F(TrialTest, AVariantExcusesElementsWithItsOwnValuesOnly) {
  ScriptedOp op;
  // The variant adds 1 to element 5.
  op.on_variant = [&](const std::string& name, const Call& call, Caller& caller) -> std::optional<Alternative> {
    if (name != "plus_one") return std::nullopt;
    HostTensor y = op.observe(op.own_case(), call, caller.call(call)).output("y");
    y.data<float>()[5] += 1;
    return Alternative{{{"y", y}}, {}};
  };
  KnownFault f = known_fault("plus-one", "golden_probe");
  f.kind = KnownFault::Kind::kVariant;
  f.variant = "plus_one";
  const auto off = [&](std::int64_t at, float by) {
    FakeCaller subject = off_by(at, by);
    return try_case(op.own_case(), {subject, reference, reference}, policy_of(f));
  };
  EXPECT_EQ(off(5, 1).verdict, Verdict::kKnown);
  EXPECT_EQ(off(5, 1).known_fault, "plus-one");
  EXPECT_EQ(off(5, 2).verdict, Verdict::kFailed) << "another value";
  EXPECT_EQ(off(4, 1).verdict, Verdict::kFailed) << "another element";
  EXPECT_EQ(off(-1, 0).verdict, Verdict::kPassed) << "a kernel that does not have the variant";
  f.variant = "unknown";
  EXPECT_EQ(off(5, 1).verdict, Verdict::kFailed);
}

TEST_F(TrialTest, AFaultOfTheOtherSideIsKnownAndItsSideIsNamed) {
  Policy policy = fault_covering("y");
  policy.other = policy.subject;
  policy.other->label = "yesterday";
  policy.subject.version = "2.0";  // the set under test does not have the fault any more
  FakeCaller subject = honest("today"), other = off_by(3, 1, "yesterday");
  const CaseResult r = try_case(probe(8, "exact"), {subject, other, reference}, policy);
  EXPECT_EQ(r.verdict, Verdict::kKnown);
  EXPECT_THAT(r.reason, StartsWith("in 'yesterday': it does that (y: 1 of 8"));
  // A scenario calls only the set under test.
  ScriptedOp op;
  policy.known = KnownFaults({[] {
    KnownFault f = known_fault("probe-fault", "golden_probe", {"*"});
    f.scenarios = {"relation:*"};
    return f;
  }()});
  const auto fails = op.scenario_case([](ScenarioContext& x) { x.fail("own", "wrong"); });
  EXPECT_EQ(try_case(fails, {subject, other, reference}, policy).verdict, Verdict::kFailed);
  policy.other.reset();
  EXPECT_EQ(try_case(probe(8, "exact"), {subject, other, reference}, policy).verdict, Verdict::kFailed);
}

TEST_F(TrialTest, AVariantOfTheOtherSideIsLookedForThere) {
  ScriptedOp op;
  op.on_variant = [&](const std::string&, const Call& call, Caller& caller) {
    HostTensor y = op.observe(op.own_case(), call, caller.call(call)).output("y");
    y.data<float>()[5] += 1;
    return std::optional<Alternative>({{{"y", y}}, {}});
  };
  KnownFault f = known_fault("plus-one", "golden_probe");
  f.kind = KnownFault::Kind::kVariant;
  f.variant = "plus_one";
  Policy policy = policy_of(f);
  policy.other = policy.subject;
  policy.subject.version = "2.0";
  FakeCaller right = honest("today"), variant = off_by(5, 1, "yesterday"), wrong = off_by(5, 2, "yesterday");
  EXPECT_EQ(try_case(op.own_case(), {right, variant, reference}, policy).verdict, Verdict::kKnown);
  EXPECT_EQ(try_case(op.own_case(), {right, wrong, reference}, policy).verdict, Verdict::kFailed);
}

TEST_F(TrialTest, AnEditedSourceExcusesNothingAndTheResultSaysSo) {
  Policy policy = fault_covering("y");
  policy.subject.ops["golden_probe"] = {.main = {"csrc/a.cuh"}, .files = {{"csrc/a.cuh", {}}}};
  const CaseResult failed = tried(off_by(3, 1), "exact", policy);
  EXPECT_EQ(failed.verdict, Verdict::kFailed);
  EXPECT_EQ(failed.known_fault, "");
  EXPECT_EQ(failed.not_excused, "probe-fault");
  EXPECT_EQ(tried(honest(), "exact", policy).not_excused, "") << "nothing had to be excused";
  policy.subject.ops["golden_probe"].files.front().releases = {"1.1", "1.2"};
  const CaseResult known = tried(off_by(3, 1), "exact", policy);
  EXPECT_EQ(known.verdict, Verdict::kKnown);
  EXPECT_EQ(known.not_excused, "");
}

}  // namespace
}  // namespace dsv4
