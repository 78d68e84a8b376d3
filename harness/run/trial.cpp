#include "harness/run/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/compare/compare.h"
#include "harness/core/error.h"
#include "harness/run/guarded.h"

namespace dsv4 {
namespace {

/// Compares the outputs of one step; missing and surplus outputs are violations of their own.
void compare_all(const Observation& got, const Observation& want, const Tolerances& tolerances, double scale,
                 const std::string& prefix, std::vector<OutputReport>& reports) {
  static const Tolerance kExact;
  for (const Output& g : got.outputs) {
    const auto it = std::ranges::find(want.outputs, g.name, &Output::name);
    if (it == want.outputs.end()) {
      OutputReport r;
      r.name = prefix + g.name;
      r.tolerance = "exact";
      r.reason = "the other side has no such output";
      r.violations = r.different = 1;
      reports.push_back(r);
      continue;
    }
    const auto tolerance = tolerances.find(g.name);
    OutputReport r = compare_output(g, *it, tolerance == tolerances.end() ? kExact : tolerance->second, scale);
    r.name = prefix + r.name;
    reports.push_back(std::move(r));
  }
  for (const Output& w : want.outputs) {
    if (std::ranges::find(got.outputs, w.name, &Output::name) != got.outputs.end()) continue;
    OutputReport r;
    r.name = prefix + w.name;
    r.tolerance = "exact";
    r.reason = "this side has no such output";
    r.violations = r.different = 1;
    reports.push_back(r);
  }
}

std::string first_reason(const CaseResult& r) {
  if (!r.findings.empty()) return fmt::format("{}: {}", r.findings.front().check, r.findings.front().detail);
  for (const OutputReport& o : r.outputs) {
    if (o.violations == 0) continue;
    if (o.compared == 0) return fmt::format("{}: {}", o.name, o.reason);
    return fmt::format("{}: {} of {} elements outside the {} tolerance", o.name, o.violations, o.compared, o.tolerance);
  }
  return "";
}

/// Names of everything that disagrees: outputs and checks.
std::set<std::string> disagreeing(const CaseResult& r) {
  std::set<std::string> names;
  for (const OutputReport& o : r.outputs) {
    if (o.violations != 0) names.insert(o.name);
  }
  for (const Finding& f : r.findings) names.insert(f.check);
  return names;
}

/// The verdict from what was compared and found. `own_compared`: elements that a scenario's own checks looked at.
void conclude(const Case& c, const Op& op, const KnownFault* fault, const TrialOptions& options,
              std::int64_t own_compared, CaseResult& r) {
  const auto bad = disagreeing(r);
  if (fault != nullptr) r.known_fault = fault->id;
  if (!bad.empty()) {
    const bool excused = fault != nullptr && options.keep_known &&
                         std::ranges::all_of(bad, [&](const std::string& n) { return KnownFaults::covers(*fault, n); });
    r.verdict = excused ? Verdict::kKnown : Verdict::kFailed;
    r.reason = excused ? fmt::format("{} ({})", fault->summary, first_reason(r)) : first_reason(r);
    return;
  }
  r.verdict = Verdict::kPassed;
  r.reason.clear();
  std::int64_t compared = own_compared;
  bool trivial = own_compared == 0;
  for (const OutputReport& o : r.outputs) {
    compared += o.compared;
    trivial = trivial && (o.trivial || o.compared == 0);
  }
  if (op.trivial_by_design(c)) return;
  if (compared == 0) {
    r.verdict = Verdict::kMistrusted;
    r.reason = "no element was compared";
  } else if (trivial) {
    r.verdict = Verdict::kMistrusted;
    r.reason = "every compared element has the same bits: nothing was really tested";
  }
}

/// True if the text contains one of the words "a|b|c", or if there are none.
bool says_one_of(std::string_view text, std::string_view words) {
  while (!words.empty()) {
    const auto end = words.find('|');
    if (text.find(words.substr(0, end)) != std::string_view::npos) return true;
    if (end == std::string_view::npos) return false;
    words.remove_prefix(end + 1);
  }
  return true;
}

class Context final : public ScenarioContext {
 public:
  Context(const Op& o, const Case& k, Caller& s, Caller& r, CaseResult& result)
      : ScenarioContext(o, k, s, r), result_(result) {}

  void expect_agree(const std::string& where, const Observation& got, const Observation& want,
                    const Tolerances& tolerances) override {
    std::vector<OutputReport> reports;
    compare_all(got, want, tolerances, 1.0, "", reports);
    for (OutputReport& r : reports) merge(where, std::move(r));
    add_all(where, got.findings);
  }

  void expect_refused(const std::string& where, const Call& call, const std::string& argument,
                      const std::string& why) override {
    const CallResult r = subject.call(call);
    add_all(where, r.findings);
    compared(1);
    if (!r.refusal) {
      add({"not_refused",
           fmt::format("{}: the call must be refused because of '{}', but it returned as if all were well", where,
                       argument)});
    } else if (subject.errors_name_arguments() && r.refusal->find("'" + argument + "'") == std::string::npos) {
      add({"refusal_names_argument", fmt::format("{}: the error does not name '{}': {}", where, argument, *r.refusal)});
    } else if (subject.errors_name_arguments() && !says_one_of(*r.refusal, why)) {
      add({"refusal_reason", fmt::format("{}: the error must say why (one of {}): {}", where, why, *r.refusal)});
    }
  }

  void expect_clean(const std::string& where, const Call& call) override {
    const CallResult r = subject.call(call);
    add_all(where, r.findings);
    compared(1);
    if (r.refusal) return;
    const Observation got = op.observe(c, call, r);
    const CallResult other = reference.call(call);
    if (other.refusal) {  // then nobody says what the outputs should be, only what none may be
      add_all(where, got.findings);
    } else {
      expect_agree(where, got, op.observe(c, call, other), op.tolerances(c, call, r, got, reference));
    }
  }

  void fail(const std::string& check, const std::string& detail) override { add({check, detail}); }
  void compared(std::int64_t elements) override { compared_ += elements; }

  CallResult call(const std::string& where, const Call& call, const CallOptions& options) override {
    CallResult r = subject.call(call, options);
    add_all(where, r.findings);
    if (r.refusal) throw Refused(fmt::format("{}: a valid call was refused: {}", where, *r.refusal));
    return r;
  }

  [[nodiscard]] std::int64_t own_compared() const { return compared_; }

 private:
  static constexpr std::size_t kMostFindings = 20;  // one broken step repeats itself; the first ones tell the story

  void add(Finding f) {
    if (result_.findings.size() < kMostFindings) result_.findings.push_back(std::move(f));
  }

  void add_all(const std::string& where, const std::vector<Finding>& findings) {
    for (const Finding& f : findings) add({f.check, fmt::format("{}: {}", where, f.detail)});
  }

  /// Reports of one output over all steps become one, which keeps the first violation and the worst.
  void merge(const std::string& where, OutputReport r) {
    const auto it = std::ranges::find(result_.outputs, r.name, &OutputReport::name);
    if (r.violations != 0) r.reason = fmt::format("{} (at {})", r.reason, where);
    if (it == result_.outputs.end()) {
      result_.outputs.push_back(std::move(r));
      return;
    }
    if (it->violations == 0 && r.violations != 0) {
      it->reason = r.reason;
      it->first = r.first;
      it->worst = r.worst;
    }
    it->compared += r.compared;
    it->different += r.different;
    it->violations += r.violations;
    it->certified += r.certified;
    it->tightness = std::max(it->tightness, r.tightness);
    it->trivial = it->trivial && r.trivial;
  }

  CaseResult& result_;
  std::int64_t compared_ = 0;
};

const Op& op_of(const Case& c) {
  const Op* op = find_op(c.op);
  if (op == nullptr) throw Error(fmt::format("unknown op '{}'", c.op));
  return *op;
}

/// What the scenario needs and the set lacks; "" if there is nothing.
std::string why_skipped(const Scenario& scenario, const Caller& subject) {
  if (scenario.needs_device && !subject.has_device())
    return "a set of CPU functions cannot tell device arguments from host arguments";
  if (scenario.needs_overlap && !subject.shows_overlap())
    return "only the host executor shows what a kernel does before its predecessor has ended";
  return "";
}

void try_scenario(const Case& c, const Op& op, Caller& subject, Caller& reference, const KnownFaults& known,
                  const TrialOptions& options, CaseResult& result) {
  const auto scenarios = all_scenarios(op);
  const Scenario* scenario = find_scenario(scenarios, c.scenario);
  if (scenario == nullptr) throw Error(fmt::format("op '{}' has no {}", c.op, c.scenario));
  if (const std::string why = why_skipped(*scenario, subject); !why.empty()) {
    result.verdict = Verdict::kSkipped;
    result.reason = why;
    return;
  }
  Context context(op, c, subject, reference, result);
  const KnownFault* fault = known.match(c, subject.name(), op.facts(c, op.make(c)));
  scenario->run(context);
  conclude(c, op, fault, options, context.own_compared(), result);
}

}  // namespace

Observed observe_case(const Case& c, Caller& subject) {
  const Op& op = op_of(c);
  Observed o;
  o.call = op.make(c);
  o.result = subject.call(o.call);
  if (o.result.refusal) return o;
  try {
    o.observation = op.observe(c, o.call, o.result);
  } catch (const std::exception& e) {
    // For instance a returned tensor that is missing, or has another shape than the op reads. The checks of the call
    // come first: they tell why.
    o.observation.find("unreadable", fmt::format("the outputs are not in the form that the op promises: {}", e.what()));
  }
  return o;
}

void judge(const Case& c, const Observed& got, const Observation& want, Caller& reference, bool want_is_reference,
           const KnownFaults& known, const TrialOptions& options, CaseResult& result) {
  const Op& op = op_of(c);
  const KnownFault* fault = known.match(c, result.set, op.facts(c, got.call));
  if (fault != nullptr) result.known_fault = fault->id;
  result.findings = got.result.findings;
  if (got.result.refusal) {
    result.verdict = Verdict::kError;
    result.reason = "a valid call was refused: " + *got.result.refusal;
    excuse_error(c, known, options, "refusal", result);
    return;
  }
  result.findings.insert(result.findings.end(), got.observation.findings.begin(), got.observation.findings.end());
  const bool readable =
      std::ranges::find(got.observation.findings, "unreadable", &Finding::check) == got.observation.findings.end();
  Tolerances tolerances;
  if (readable) tolerances = op.tolerances(c, got.call, got.result, got.observation, reference);
  // Against another kernel each side is allowed its own error.
  compare_all(got.observation, want, tolerances, want_is_reference ? 1.0 : 2.0, "", result.outputs);
  conclude(c, op, fault, options, 0, result);
}

void judge_against(const Case& c, const Observed& got, Caller& against, Caller& reference, const KnownFaults& known,
                   const TrialOptions& options, CaseResult& result) {
  // The other side gets its own poison, so that two kernels which both leave an element unwritten do not agree on it.
  const CallResult other = against.call(got.call, {.poison = 1});
  result.verdict = Verdict::kError;
  if (other.refusal) {
    result.reason = fmt::format("'{}' refused the call: {}", against.name(), *other.refusal);
    return;
  }
  Observation want = op_of(c).observe(c, got.call, other);
  want.findings.insert(want.findings.begin(), other.findings.begin(), other.findings.end());
  if (against.is_reference() && !want.findings.empty()) {
    result.reason =
        fmt::format("the reference itself breaks '{}': {}", want.findings.front().check, want.findings.front().detail);
    return;
  }
  judge(c, got, want, reference, against.is_reference(), known, options, result);
}

void excuse_error(const Case& c, const KnownFaults& known, const TrialOptions& options, const std::string& check,
                  CaseResult& result) {
  const Op* op = find_op(c.op);
  if (op == nullptr || result.verdict != Verdict::kError) return;
  const KnownFault* fault = known.match(c, result.set, op->facts(c, op->make(c)));
  if (fault == nullptr) return;
  result.known_fault = fault->id;
  if (!options.keep_known || !KnownFaults::covers(*fault, check)) return;
  result.verdict = Verdict::kKnown;
  result.reason = fmt::format("{} ({})", fault->summary, result.reason);
}

CaseResult try_case(const Case& c, Caller& subject, Caller& against, Caller& reference, const KnownFaults& known,
                    const TrialOptions& options) {
  CaseResult result;
  result.id = c.id();
  result.set = subject.name();
  result.against = against.name();
  guarded(c, known, options, result, [&] {
    const Op& op = op_of(c);
    if (!c.scenario.empty()) {
      try {
        try_scenario(c, op, subject, reference, known, options, result);
      } catch (const Refused& e) {
        result.verdict = Verdict::kError;
        result.reason = e.what();
      }
    } else {
      judge_against(c, observe_case(c, subject), against, reference, known, options, result);
    }
  });
  return result;
}

}  // namespace dsv4
