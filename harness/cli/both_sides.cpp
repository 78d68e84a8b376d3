#include "harness/cli/both_sides.h"

#include <algorithm>
#include <filesystem>
#include <functional>

#include "harness/case/case.h"
#include "harness/cli/set_code.h"
#include "harness/run/changes.h"
#include "harness/sets/set.h"

namespace dsv4 {
namespace {

constexpr const char* kReference = "reference";

const CaseResult* find(const std::vector<CaseResult>& results, const std::string& id) {
  const auto it = std::ranges::lower_bound(results, id, {}, &CaseResult::id);
  return it == results.end() || it->id != id ? nullptr : &*it;
}

std::vector<std::string> ids_of(const std::vector<CaseResult>& results,
                                const std::function<bool(const CaseResult&)>& wanted) {
  std::vector<std::string> ids;
  for (const CaseResult& r : results) {
    if (wanted(r)) ids.push_back(r.id);
  }
  return ids;
}

/// Compares a set with another one, or with itself. If `code` is given, the known faults of that set apply to `set`.
SweepResult sweep_cases(const ChosenSet& set, const ChosenSet& against, const std::vector<std::string>& ids,
                        const WorkerOptions& workers, Journal& journal, const ChosenSet* code = nullptr) {
  if (ids.empty()) return {};
  SweepOptions options = options_against(set, against, workers);
  if (code != nullptr) {
    options.policy.subject = code_of(code->manifest, set.label);
    const std::string folder = std::filesystem::absolute(code->manifest.folder).string();
    options.pool.command.insert(options.pool.command.end(), {"--code", folder});
  }
  options.journal = &journal;
  options.confirm.most = 0;  // these results only judge those of the main sweep, which is confirmed
  options.fail_fast = false;
  options.earlier.clear();  // verdicts alone would not say in what a case is wrong
  options.progress.total = ids.size();
  announce(set, against.label, ids.size(), options);
  return sweep(options, source_of(ids));
}

/// Excuses the cases in which a set shows a known fault that `old_set` has, and only an edited source file keeps the
/// fault from applying. `old` are the results of `old_set`. Scenarios and comparisons with the reference are judged so.
void excuse_edited(SweepResult& swept, const ChosenSet& set, const ChosenSet& old_set,
                   const std::vector<CaseResult>& old, const WorkerOptions& workers, Journal& journal) {
  const auto ids = ids_of(swept.results, [&](const CaseResult& r) {
    const CaseResult* other = find(old, r.id);
    return other != nullptr && may_have_known_fault(r, *other);
  });
  const SweepResult unedited = sweep_cases(set, choose_set(kReference), ids, workers, journal, &old_set);
  for (CaseResult& r : swept.results) {
    if (const CaseResult* again = find(unedited.results, r.id)) excuse_if_known_unedited(r, *again, old_set.label);
  }
  if (swept.failure.empty()) swept.failure = unedited.failure;
}

}  // namespace

SweepOptions options_against(const ChosenSet& set, const ChosenSet& against, const WorkerOptions& workers,
                             std::vector<std::string> more, const ExactOption& exact) {
  std::vector<std::string> mode{"--against", std::filesystem::absolute(against.manifest.folder).string(),
                                "--against-label", against.label};
  std::vector<std::string> again{"run", "--set", set.label};
  if (against.label != kReference) again.insert(again.end(), {"--against", against.label});
  again.insert(again.end(), more.begin(), more.end());
  exact.add_to(mode, again);
  SweepOptions options = workers.sweep_options(set, against.label, mode, again);
  if (!is_reference(against)) options.policy.other = code_of(against.manifest, against.label);
  return options;
}

bool is_reference(const ChosenSet& set) {
  std::error_code none;
  return std::filesystem::equivalent(set.manifest.folder, find_set(kReference).folder, none);
}

void excuse_what_is_alike(SweepResult& swept, const ChosenSet& set, const ChosenSet& against,
                          const WorkerOptions& workers, Journal& journal) {
  const auto differing = ids_of(swept.results, [](const CaseResult& r) { return is_difference(r.verdict); });
  const SweepResult other = sweep_cases(against, against, differing, workers, journal);
  excuse_edited(swept, set, against, other.results, workers, journal);
  // A case without a scenario does not tell which of two sets is wrong, so the set under test is tried alone as well.
  const auto shared = ids_of(swept.results, [&](const CaseResult& r) {
    const CaseResult* alone = find(other.results, r.id);
    return alone != nullptr && parse_case_id(r.id).scenario.empty() && other_does_it_alone(r, *alone);
  });
  const SweepResult subject = sweep_cases(set, set, shared, workers, journal);
  for (CaseResult& r : swept.results) {
    if (const CaseResult* alone = find(other.results, r.id)) excuse_if_alike(r, *alone, find(subject.results, r.id));
  }
  for (const std::string& failure : {other.failure, subject.failure}) {
    if (swept.failure.empty()) swept.failure = failure;
  }
}

Baseline::Baseline(const ChosenSet& set, const std::vector<std::string>& cases, const WorkerOptions& workers,
                   Journal& journal)
    : set_(set),
      workers_(workers),
      journal_(journal),
      results_(sweep_cases(set, choose_set(kReference), cases, workers, journal)) {}

void Baseline::judge(SweepResult& swept, const ChosenSet& set) const {
  excuse_edited(swept, set, set_, results_.results, workers_, journal_);
  for (CaseResult& r : swept.results) {
    if (const CaseResult* base = find(results_.results, r.id)) compare_with_baseline(r, *base);
  }
  if (swept.failure.empty()) swept.failure = results_.failure;
}

}  // namespace dsv4
