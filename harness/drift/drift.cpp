#include "harness/drift/drift.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/drift/movement.h"

namespace dsv4 {
namespace {

using Key = std::pair<std::string, std::string>;  // op, output

bool is_exact(const OutputReport& o) { return o.tolerance == "exact" || o.tolerance == "exact_nan"; }

/// True if a known fault explains the elements of an output that are outside the tolerance. Such an output says nothing
/// about a drift.
bool is_known(const CaseResult& r, std::int64_t violations) { return r.verdict == Verdict::kKnown && violations != 0; }

/// Collects the outputs of a pair of sets.
class PairBuilder {
 public:
  PairBuilder(std::string a, std::string b) {
    pair_.a = std::move(a);
    pair_.b = std::move(b);
  }

  PairDrift& pair() { return pair_; }

  /// Takes what does not depend on statistics. Returns true if the case has outputs to compare.
  bool take_verdict(const CaseResult& r) {
    switch (r.verdict) {
      case Verdict::kUnsupported:
      case Verdict::kSkipped:
        ++pair_.not_run[r.reason];
        return false;
      case Verdict::kError:
        pair_.errors[r.id] = r.reason;
        return false;
      case Verdict::kKnown:
        ++pair_.known;
        break;
      default:
        break;
    }
    ++pair_.cases;
    ++seeds_[{r.op(), r.id.substr(r.id.rfind('/') + 1)}];
    for (const OutputReport& o : r.outputs) {
      if (is_exact(o)) pair_.exact.insert(r.op() + " " + o.name);
    }
    return true;
  }

  OutputDrift& output(const CaseResult& r, const std::string& name) {
    OutputDrift& o = outputs_[{r.op(), name}];
    o.op = r.op();
    o.output = name;
    return o;
  }

  PairDrift finished() {
    for (const auto& [op_and_seed, cases] : seeds_) pair_.shared_seeds += cases > 1 ? cases : 0;
    for (auto& [key, output] : outputs_) {
      pair_.excused += output.a.excused;
      pair_.outputs.push_back(std::move(output));
    }
    return std::move(pair_);
  }

 private:
  PairDrift pair_;
  std::map<Key, OutputDrift> outputs_;
  std::map<std::pair<std::string, std::string>, std::size_t> seeds_;  // (op, "seed=N") -> number of cases
};

bool same_elements(const ErrorStatistics& a, const ErrorStatistics& b) {
  return a.elements == b.elements && a.not_finite == b.not_finite && a.excused == b.excused;
}

const CaseResult* find(const std::vector<CaseResult>& results, const std::string& id) {
  const auto it = std::ranges::lower_bound(results, id, {}, &CaseResult::id);
  return it == results.end() || it->id != id ? nullptr : &*it;
}

const OutputReport* find_output(const CaseResult& r, const std::string& name) {
  const auto it = std::ranges::find(r.outputs, name, &OutputReport::name);
  return it == r.outputs.end() ? nullptr : &*it;
}

/// Without the cases whose movement is equal to the last digit to that of another case. They have the same data, for
/// instance because a fill does not depend on the seed, and are one observation.
std::vector<CaseMovement> distinct(std::vector<CaseMovement> cases) {
  std::ranges::sort(cases);
  cases.erase(std::ranges::unique(cases).begin(), cases.end());
  return cases;
}

double mean(double sum, std::int64_t n) { return n == 0 ? 0 : sum / static_cast<double>(n); }

}  // namespace

void OutputErrors::add(const std::string& id, const ErrorStatistics& e, std::int64_t violations) {
  elements += e.elements;
  same += e.same;
  bounded += e.bounded;
  excused += e.excused;
  outside += violations;
  for (const auto& [bucket, count] : e.ulp) ulp[bucket] += count;
  for (std::size_t i = 0; i < share.size(); ++i) share.at(i) += e.share.at(i);
  const auto n = static_cast<double>(e.elements);
  sum_ulp.up += n * e.mean_ulp.up;
  sum_ulp.away += n * e.mean_ulp.away;
  sum_share.up += e.sums.sum.up;
  sum_share.away += e.sums.sum.away;
  sum_squares += e.sums.sum_squares;
  if (!e.worst || (!largest_case.empty() && e.largest_share <= largest_share)) return;
  largest_share = e.largest_share;
  largest_case = id;
  worst = e.worst;
}

Directions OutputErrors::mean_ulp() const { return {mean(sum_ulp.up, elements), mean(sum_ulp.away, elements)}; }
Directions OutputErrors::mean_share() const { return {mean(sum_share.up, bounded), mean(sum_share.away, bounded)}; }
double OutputErrors::rms_share() const { return std::sqrt(mean(sum_squares, bounded)); }

const ShiftTest& OutputDrift::decisive() const {
  if (up.shifted() != away.shifted()) return up.shifted() ? up : away;
  return away.p < up.p ? away : up;
}

const char* OutputDrift::direction() const {
  const ShiftTest& test = decisive();
  if (&test == &up) return test.net < 0 ? "down" : "up";
  return test.net < 0 ? "toward zero" : "away from zero";
}

std::string_view name_of(OutputDrift::Conclusion conclusion) {
  constexpr std::array<std::string_view, 4> kNames{"same", "no shift", "undecided", "shift"};
  return kNames.at(static_cast<std::size_t>(conclusion));
}

std::size_t PairDrift::number_of(OutputDrift::Conclusion conclusion) const {
  return static_cast<std::size_t>(std::ranges::count(outputs, conclusion, &OutputDrift::conclusion));
}

PairDrift pair_of(const std::string& a, const std::string& b, const std::vector<CaseResult>& results) {
  PairBuilder builder(a, b);
  for (const CaseResult& r : results) {
    if (!builder.take_verdict(r)) continue;
    if (r.verdict == Verdict::kFailed && r.change == "alike") ++builder.pair().wrong_alike;
    if (r.verdict == Verdict::kFailed && r.change != "alike") builder.pair().one_sided[r.id] = r.reason;
    for (const OutputReport& o : r.outputs) {
      if (!o.errors || !o.paired || is_known(r, o.violations + o.paired->other_violations)) {
        if (!is_exact(o)) ++builder.pair().not_paired;
        continue;
      }
      OutputDrift& output = builder.output(r, o.name);
      ++output.cases;
      output.a.add(r.id, o.paired->other, o.paired->other_violations);
      output.b.add(r.id, *o.errors, o.violations);
      output.compared = output.compared.value_or(0) + o.paired->compared;
      output.same = output.same.value_or(0) + o.paired->same;
      if (o.paired->same != o.paired->compared) ++output.differing;
      add_movement(output, *o.paired);
    }
  }
  return builder.finished();
}

PairDrift pair_of_runs(const std::string& a, const std::vector<CaseResult>& results_a, const std::string& b,
                       const std::vector<CaseResult>& results_b) {
  PairBuilder builder(a, b);
  PairDrift& pair = builder.pair();
  for (const CaseResult& ra : results_a) {
    const CaseResult* rb = find(results_b, ra.id);
    if (rb == nullptr) {
      ++pair.only_a;
      continue;
    }
    if (ra.verdict == Verdict::kError || rb->verdict == Verdict::kError) {
      const bool is_a = ra.verdict == Verdict::kError;
      pair.errors[ra.id] = is_a ? a + ": " + ra.reason : b + ": " + rb->reason;
      continue;
    }
    // The verdict that says less about the case decides.
    const auto runs = [](const CaseResult& r) {
      return r.verdict != Verdict::kUnsupported && r.verdict != Verdict::kSkipped;
    };
    if (ra.verdict == Verdict::kKnown && runs(*rb) && rb->verdict != Verdict::kKnown) ++pair.known;
    if (!builder.take_verdict(runs(ra) ? *rb : ra)) continue;
    const auto is_wrong = [](const CaseResult& r) {
      return r.verdict == Verdict::kFailed || r.verdict == Verdict::kMistrusted;
    };
    const bool failed = is_wrong(ra) || is_wrong(*rb);
    const bool alike = ra.verdict == rb->verdict && ra.disagreeing() == rb->disagreeing();
    if (failed && alike) ++pair.wrong_alike;
    if (failed && !alike) pair.one_sided[ra.id] = is_wrong(ra) ? a + ": " + ra.reason : b + ": " + rb->reason;
    for (const OutputReport& oa : ra.outputs) {
      const OutputReport* ob = find_output(*rb, oa.name);
      if (ob == nullptr || !oa.errors || !ob->errors || !same_elements(*oa.errors, *ob->errors) ||
          is_known(ra, oa.violations) || is_known(*rb, ob->violations)) {
        if (!is_exact(oa)) ++pair.not_paired;
        continue;
      }
      OutputDrift& output = builder.output(ra, oa.name);
      ++output.cases;
      output.a.add(ra.id, *oa.errors, oa.violations);
      output.b.add(ra.id, *ob->errors, ob->violations);
      if (*oa.errors == *ob->errors) continue;
      ++output.differing;
      add_movement(output, *oa.errors, *ob->errors);
    }
  }
  pair.only_b = static_cast<std::size_t>(
      std::ranges::count_if(results_b, [&](const CaseResult& r) { return find(results_a, r.id) == nullptr; }));
  return builder.finished();
}

void find_shifts(std::vector<PairDrift>& pairs) {
  std::vector<ShiftTest*> family;
  std::vector<OutputDrift*> one_way;
  for (PairDrift& pair : pairs) {
    for (OutputDrift& o : pair.outputs) {
      o.up = test_shift(distinct(o.up_cases));
      o.away = test_shift(distinct(o.away_cases));
      if (o.up_cases.empty()) continue;
      family.push_back(&o.up);
      // Without negative numbers, both directions are one test.
      if (o.up_cases == o.away_cases) {
        one_way.push_back(&o);
      } else {
        family.push_back(&o.away);
      }
    }
  }
  adjust(family);
  for (OutputDrift* o : one_way) o->away = o->up;
  for (PairDrift& pair : pairs) {
    for (OutputDrift& o : pair.outputs) {
      using Conclusion = OutputDrift::Conclusion;
      o.conclusion = o.differing == 0                     ? Conclusion::kSame
                     : o.up.shifted() || o.away.shifted() ? Conclusion::kShift
                     // The sums of files do not show a shift of few elements.
                     : !o.compared || o.up.blind() || o.away.blind() ? Conclusion::kUndecided
                                                                     : Conclusion::kNoShift;
    }
  }
}

int exit_status(const std::vector<PairDrift>& pairs) {
  bool decided = !pairs.empty(), differs = false;
  for (const PairDrift& pair : pairs) {
    decided = decided && pair.number_of(OutputDrift::Conclusion::kUndecided) < pair.outputs.size();
    differs = differs || pair.number_of(OutputDrift::Conclusion::kShift) != 0 || !pair.one_sided.empty() ||
              !pair.errors.empty();
  }
  return differs ? 1 : decided ? 0 : 2;
}

}  // namespace dsv4
