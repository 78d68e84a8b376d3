#include "harness/run/drift_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "harness/compare/compare.h"
#include "harness/compare/errors.h"
#include "harness/core/error.h"
#include "harness/run/own_code.h"

namespace dsv4 {
namespace {

/// A set's response, and how it compares with the reference.
struct Measured {
  Observation observation;
  Tolerances tolerances;
  std::vector<OutputReport> reports;
  std::vector<Finding> findings;

  /// The outputs and checks that are wrong.
  [[nodiscard]] std::set<std::string> wrong() const {
    std::set<std::string> names;
    for (const OutputReport& o : reports) {
      if (o.violations != 0) names.insert(o.name);
    }
    for (const Finding& f : findings) names.insert(f.check);
    return names;
  }
};

std::string change_of(const std::set<std::string>& wrong, const std::set<std::string>& other) {
  if (wrong.empty() && other.empty()) return "";
  if (other.empty()) return "new";
  if (wrong.empty()) return "mended";
  return wrong == other ? "alike" : "changed";
}

std::string describe_wrong(const std::string& set, const Measured& measured) {
  std::string text;
  for (const Finding& f : measured.findings) text += fmt::format("; {}: {}: {}", set, f.check, f.detail);
  for (const OutputReport& o : measured.reports) {
    if (o.violations == 0) continue;
    text += fmt::format("; {}: {}: {} of {} elements outside the {} tolerance", set, o.name, o.violations,
                        std::max(o.compared, o.violations), o.tolerance);
  }
  return text;
}

class DriftTrial final : public Trial {
 public:
  using Trial::Trial;

 private:
  void steps() override {
    const CallResult wanted = sides().reference.call(call());
    if (wanted.refusal) {
      result().cause = "refusal";
      return end(Verdict::kError, fmt::format("the reference refused the call: {}", *wanted.refusal));
    }
    const Observation want = own_code(tried_case(), "reading the reference's outputs",
                                      [&] { return op().observe(tried_case(), call(), wanted); });
    Measured a, b;
    if (!measure(sides().against, sides().names.against, want, b) ||
        !measure(sides().subject, sides().names.set_label, want, a)) {
      return;
    }
    pair(a, b, want);
    result().outputs = a.reports;
    result().findings = a.findings;
    const auto wrong = a.wrong(), other_wrong = b.wrong();
    result().change = change_of(wrong, other_wrong);
    if (result().change.empty()) return end(Verdict::kPassed, "");
    const std::string text = describe_wrong(sides().names.set_label, a) + describe_wrong(sides().names.against, b);
    const KnownMatch* mine = explaining(wrong, false);
    const KnownMatch* others = explaining(other_wrong, true);
    const bool known = (wrong.empty() || mine != nullptr) && (other_wrong.empty() || others != nullptr);
    if (known) result().known_fault = (mine != nullptr ? mine : others)->fault->id;
    end(known ? Verdict::kKnown : Verdict::kFailed, text.substr(2));
  }

  /// Calls the set and compares it with the reference. Returns false if the call was refused or its result cannot be
  /// read; then the case has its verdict.
  bool measure(Caller& set, const std::string& label, const Observation& want, Measured& m) {
    const CallResult answer = set.call(call());
    if (answer.refusal) {
      result().cause = "refusal";
      end(Verdict::kError, fmt::format("'{}' refused a valid call: {}", label, *answer.refusal));
      apply_faults("refusal");
      return false;
    }
    try {
      m.observation = op().observe(tried_case(), call(), answer);
    } catch (const std::exception& e) {
      if (says_its_cause(e)) throw;
      end(Verdict::kError,
          fmt::format("'{}': the outputs are not in the form that the op promises: {}", label, e.what()));
      return false;
    }
    m.findings = answer.findings;
    m.findings.insert(m.findings.end(), m.observation.findings.begin(), m.observation.findings.end());
    m.tolerances = own_code(tried_case(), "computing the tolerances", [&] {
      return op().tolerances(tried_case(), call(), answer, m.observation, sides().reference);
    });
    m.reports = compare_outputs(m.observation, want, m.tolerances, 1.0, excuses_of(&set == &sides().against));
    for (OutputReport& report : m.reports) report.bits.reset();
    return true;
  }

  /// A known fault of one set that explains what is wrong there. Null if nothing is wrong, or if no known fault
  /// explains one of the names.
  const KnownMatch* explaining(const std::set<std::string>& wrong, bool other_side) {
    KnownMatches of_side;
    const KnownMatch* first = nullptr;
    for (const KnownMatch& m : faults()) {
      if (m.other_side.empty() == !other_side) of_side.push_back(m);
    }
    for (const std::string& name : wrong) {
      const KnownMatch* match = policy().covering(of_side, name);
      if (match == nullptr) return nullptr;
      if (first == nullptr) first = &*std::ranges::find(faults(), match->fault, &KnownMatch::fault);
    }
    return first;
  }

  /// The known faults of one set, as excuses in a comparison of this set with the reference.
  std::vector<Excuse> excuses_of(bool other_side) {
    std::vector<Excuse> list = excuses();
    std::erase_if(list, [&](const Excuse& e) { return e.of_other_side != other_side; });
    for (Excuse& excuse : list) excuse.of_other_side = false;
    return list;
  }

  /// Adds the statistics of both sets to the reports of `a`.
  void pair(Measured& a, const Measured& b, const Observation& want) {
    const std::vector<Excuse> list = excuses();
    for (OutputReport& report : a.reports) {
      const auto of = [&](const Observation& o) { return std::ranges::find(o.outputs, report.name, &Output::name); };
      const auto got = of(a.observation), other = of(b.observation), reference = of(want);
      const auto allowed = a.tolerances.find(report.name);
      const auto other_allowed = b.tolerances.find(report.name);
      if (got == a.observation.outputs.end() || other == b.observation.outputs.end() ||
          reference == want.outputs.end() || allowed == a.tolerances.end() || other_allowed == b.tolerances.end()) {
        continue;
      }
      if (got->value.shape != other->value.shape) continue;
      // The known faults of both sets are left out on both sides, so that the same elements are compared.
      const ExcusedElements excused = excused_elements(*got, *other, list);
      report.errors = error_statistics(*got, *reference, allowed->second, excused);
      report.paired = paired_errors(*got, allowed->second, *other, other_allowed->second, *reference, excused);
      if (!report.errors) report.paired.reset();
      const auto other_report = std::ranges::find(b.reports, report.name, &OutputReport::name);
      if (report.paired && other_report != b.reports.end()) report.paired->other_violations = other_report->violations;
    }
  }
};

}  // namespace

CaseResult drift_case(const CheckedCase& c, const Sides& sides, const Policy& policy) {
  return DriftTrial(c, sides, policy).run();
}

}  // namespace dsv4
