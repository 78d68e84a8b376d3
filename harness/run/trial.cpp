#include "harness/run/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "harness/compare/compare.h"
#include "harness/compare/errors.h"
#include "harness/core/error.h"
#include "harness/run/own_code.h"
#include "harness/run/scenario_context.h"

namespace dsv4 {
namespace {

std::string first_reason(const CaseResult& result) {
  if (!result.findings.empty())
    return fmt::format("{}: {}", result.findings.front().check, result.findings.front().detail);
  for (const OutputReport& output : result.outputs) {
    if (output.violations == 0) continue;
    if (output.compared == 0) return fmt::format("{}: {}", output.name, output.reason);
    if (output.bits && output.bits->outside == 0 && output.bits->other != 0) {
      return fmt::format("{}: {}; --exact allows none", output.name, describe_bits(*output.bits));
    }
    return fmt::format("{}: {} of {} elements outside the {} tolerance", output.name, output.violations,
                       output.compared, output.tolerance);
  }
  for (const OutputReport& output : result.outputs) {
    if (output.excused == 0) continue;
    return fmt::format("{}: {} of {} elements outside the {} tolerance, each of them where the fault shows",
                       output.name, output.excused, output.compared, output.tolerance);
  }
  return "";
}

/// Says why a case without a difference tested nothing; "" if it tested something. `own_compared`: number of elements
/// that the scenario's own checks compared.
std::string why_mistrusted(const CaseResult& result, std::int64_t own_compared) {
  std::int64_t compared = own_compared;
  bool trivial = own_compared == 0;
  for (const OutputReport& output : result.outputs) {
    compared += output.compared;
    trivial = trivial && (output.trivial || output.compared == 0);
  }
  if (compared == 0) return "no element was compared";
  return trivial ? "every compared element has the same bits, so nothing was really tested" : "";
}

/// Says what the scenario needs but the set does not have; "" if the set has everything.
std::string why_skipped(const Scenario& scenario, const Caller& subject) {
  if (scenario.needs_device && !subject.has_device())
    return "a set of CPU functions cannot tell device arguments from host arguments";
  if (scenario.needs_overlap && !subject.shows_overlap())
    return "only the host executor shows what a kernel does before the previous kernel has ended";
  if (scenario.needs_edges && !subject.shows_edges())
    return "GPU memory cannot end at an inaccessible page; scripts/memcheck finds such accesses on a GPU";
  return "";
}

/// Describes a result that the op cannot read. `e` is the exception of the code that tried to read it.
std::string describe_unreadable(const std::exception& e) {
  return fmt::format("the outputs are not in the form that the op promises: {}", e.what());
}

/// The reference in the place of the set under test. A scenario may make any call on it. The options for overlapping
/// kernels are dropped, because a CPU function cannot show an overlap.
class ReferenceAsSubject final : public Caller {
 public:
  explicit ReferenceAsSubject(Caller& reference) : reference_(reference) {}

  CallResult call(const Call& call, const CallOptions& options) override {
    return reference_.call(call, {.poison = options.poison, .edge = options.edge});
  }
  [[nodiscard]] const std::string& name() const override { return reference_.name(); }
  [[nodiscard]] bool is_reference() const override { return reference_.is_reference(); }
  [[nodiscard]] bool errors_name_arguments() const override { return reference_.errors_name_arguments(); }
  [[nodiscard]] bool shows_overlap() const override { return true; }
  [[nodiscard]] bool shows_edges() const override { return reference_.shows_edges(); }

 private:
  Caller& reference_;
};

}  // namespace

Trial::Trial(CheckedCase c, const Sides& sides, const Policy& policy)
    : case_(std::move(c)),
      op_(*case_.definition),
      sides_(sides),
      policy_(policy),
      result_(CaseResult::error(case_.id(), sides.names)) {}

CaseResult Trial::run() {
  const auto start = std::chrono::steady_clock::now();
  try {
    steps();
  } catch (const Unsupported& e) {
    end(Verdict::kUnsupported, e.what());
  } catch (const Unavailable& e) {
    end(Verdict::kSkipped, e.what());
  } catch (const Refused& e) {
    result_.cause = "refusal";
    end(Verdict::kError, e.what());
    apply_faults("refusal");
  } catch (const DeviceLost& e) {
    result_.cause = "device_lost";
    end(Verdict::kError, fmt::format("the GPU context is dead: {}", e.what()));
    apply_faults("device_lost");
  } catch (const std::exception& e) {
    if (says_its_cause(e)) throw;
    throw internal_error(case_, "trying the case", e);
  }
  if (result_.verdict == Verdict::kFailed || result_.verdict == Verdict::kError)
    result_.not_excused = policy_.not_excused(case_, [&] { return facts(); });
  result_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result_;
}

void Trial::steps() {
  if (case_.scenario_definition) {
    run_scenario();
  } else {
    compare_sides();
  }
}

const Call& Trial::call() {
  if (!call_) call_ = own_code(case_, "making the call", [&] { return op_.make(case_); });
  return *call_;
}

const Response& Trial::response() {
  if (response_) return *response_;
  Response got;
  got.result = sides_.subject.call(call());
  if (!got.result.refusal) {
    try {
      got.observation = op_.observe(case_, call(), got.result);
    } catch (const std::exception& e) {
      if (says_its_cause(e)) throw;
      // For instance, a returned tensor is missing or has another shape than the op reads. The findings of the call are
      // reported first, because they say why.
      got.readable = false;
      got.observation.find("unreadable", describe_unreadable(e));
    }
  }
  return response_.emplace(std::move(got));
}

Facts Trial::facts() {
  const Call& made = call();
  return own_code(case_, "computing the facts that known faults refer to", [&] { return op_.facts(case_, made); });
}

const KnownMatches& Trial::faults() {
  if (!faults_) faults_ = policy_.matches(case_, [&] { return facts(); });
  return *faults_;
}

std::vector<Excuse> Trial::excuses() {
  return own_code(case_, "finding the elements that known faults concern",
                  [&] { return policy_.excuses(faults(), op_, case_, call(), sides_.reference); });
}

const Tolerances& Trial::tolerances() {
  if (!tolerances_) {
    const Response& got = response();
    tolerances_ = own_code(case_, "computing the tolerances", [&] {
      return op_.tolerances(case_, call(), got.result, got.observation, sides_.reference);
    });
  }
  return *tolerances_;
}

void Trial::require_readable_reference() {
  const CallResult result = sides_.reference.call(call());
  if (result.refusal) return;
  own_code(case_, "reading the reference's outputs", [&] { (void)op_.observe(case_, call(), result); });
}

void Trial::compare_sides() {
  const Response& got = response();
  if (!got.readable) require_readable_reference();
  // The two sides get different poison. Otherwise two kernels that leave the same element unwritten would agree on it.
  const CallResult other = sides_.against.call(call(), {.poison = 1});
  if (other.refusal) {
    result_.cause = "refusal";
    return end(Verdict::kError, fmt::format("'{}' refused the call: {}", sides_.against.name(), *other.refusal));
  }
  Observation want;
  try {
    want = op_.observe(case_, call(), other);
  } catch (const std::exception& e) {
    if (says_its_cause(e)) throw;
    require_readable_reference();
    return end(Verdict::kError, fmt::format("'{}': {}", sides_.against.name(), describe_unreadable(e)));
  }
  want.findings.insert(want.findings.begin(), other.findings.begin(), other.findings.end());
  if (sides_.against.is_reference() && !want.findings.empty()) {
    const Finding& broken = want.findings.front();
    return end(Verdict::kError,
               fmt::format("the reference itself fails the check '{}': {}", broken.check, broken.detail));
  }
  result_.findings = got.result.findings;
  if (got.result.refusal) {
    result_.cause = "refusal";
    end(Verdict::kError, "a valid call was refused: " + *got.result.refusal);
    return apply_faults("refusal");
  }
  result_.findings.insert(result_.findings.end(), got.observation.findings.begin(), got.observation.findings.end());
  // If the other side is a kernel too, each side may differ from the reference by the bound.
  const bool kernels = !sides_.against.is_reference();
  const Tolerances allowed = got.readable ? tolerances() : Tolerances{};
  if (sides_.on_compare) sides_.on_compare("", got.observation, want, allowed);
  result_.outputs = compare_outputs(got.observation, want, allowed, kernels ? 2.0 : 1.0, excuses(), kernels && exact());
  if (!kernels) {
    for (OutputReport& output : result_.outputs) output.bits.reset();
    if (sides_.errors) add_errors(result_.outputs, got.observation, want, allowed, excuses());
  }
  conclude(0);
}

void Trial::run_scenario() {
  const Scenario& scenario = *case_.scenario_definition;
  if (const std::string why = why_skipped(scenario, sides_.subject); !why.empty()) return end(Verdict::kSkipped, why);
  TrialContext::ExcusesOf excuses_of;
  if (policy_.excuses_elements(faults())) {
    excuses_of = [this](const Call& made) {
      // A sequence also calls other ops. The known faults of this op do not concern them.
      if (made.op != op_.info().name) return std::vector<Excuse>{};
      return own_code(case_, "finding the elements that known faults concern",
                      [&] { return policy_.excuses(faults(), op_, case_, made, sides_.reference); });
    };
  }
  TrialContext context(op_, case_, sides_.subject, sides_.reference, result_, std::move(excuses_of));
  if (sides_.against.shows_overlap()) context.other = &sides_.against;
  context.on_compare = sides_.on_compare;
  try {
    scenario.run(context);
  } catch (const std::exception& e) {
    if (says_its_cause(e)) throw;
    if (!runs_on_reference(scenario)) throw internal_error(case_, "running the scenario's own code", e);
    context.fail("unreadable", describe_unreadable(e));
  }
  conclude(context.own_compared());
}

bool Trial::runs_on_reference(const Scenario& scenario) {
  ReferenceAsSubject subject(sides_.reference);
  CaseResult unused;
  TrialContext context(op_, case_, subject, sides_.reference, unused);
  try {
    scenario.run(context);
    return true;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const SetError&) {
    throw;
  } catch (const std::exception&) {
    return false;
  }
}

void Trial::conclude(std::int64_t own_compared) {
  if (!faults().empty()) result_.known_fault = faults().front().fault->id;
  if (const KnownMatch* match = policy_.explaining(faults(), result_); match != nullptr) {
    result_.known_fault = match->fault->id;
    return end(Verdict::kKnown, known_reason(*match, first_reason(result_)));
  }
  if (const std::string why = first_reason(result_); !why.empty()) return end(Verdict::kFailed, why);
  const bool may_be_trivial =
      own_code(case_, "asking whether a right result may be trivial", [&] { return op_.trivial_by_design(case_); });
  const std::string why = may_be_trivial ? "" : why_mistrusted(result_, own_compared);
  end(why.empty() ? Verdict::kPassed : Verdict::kMistrusted, why);
  if (result_.verdict == Verdict::kMistrusted) apply_faults("mistrusted");
}

void Trial::end(Verdict verdict, const std::string& reason) {
  result_.verdict = verdict;
  result_.reason = reason;
}

void Trial::apply_faults(const std::string& check) { apply_known_faults(policy_, faults(), check, result_); }

CaseResult try_case(const CheckedCase& c, const Sides& sides, const Policy& policy) {
  return Trial(c, sides, policy).run();
}

}  // namespace dsv4
