#include "harness/cli/drift_sides.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "harness/cli/both_sides.h"
#include "harness/cli/lacking.h"
#include "harness/cli/set_code.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/report/run_report.h"
#include "harness/report/summary.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

bool has_statistics(const std::vector<CaseResult>& results) {
  return std::ranges::any_of(results, [](const CaseResult& r) {
    return std::ranges::any_of(r.outputs, [](const OutputReport& o) { return o.errors.has_value(); });
  });
}

std::vector<CaseResult> results_of_file(const std::string& path) {
  RunReport report = read_results(path);
  if (report.unfinished)
    throw Error(fmt::format("{}: the run that writes this file did not finish; run it again", shortened(path)));
  if (report.runs.size() != 1) {
    throw Error(fmt::format("{}: has the results of {}, but a side is one set; run each set with its own --json",
                            shortened(path), count_of(report.runs.size(), "set")));
  }
  std::vector<CaseResult> results = std::move(report.runs.front().results);
  if (!has_statistics(results)) {
    throw Error(fmt::format(
        "{}: has no statistics of errors; write it with 'dsv4diff run --set SET --errors --own-seeds --json {}'",
        shortened(path), shortened(path)));
  }
  std::erase_if(results, [&](const CaseResult& r) {
    try {
      return !parse_case_id(r.id).scenario.empty();
    } catch (const Error& e) {
      throw Error(fmt::format("{}: {}", shortened(path), e.what()));
    }
  });
  std::ranges::sort(results, {}, &CaseResult::id);
  return results;
}

/// True if the filter selects a case of a file. Files may be of any tier and seed.
bool takes(const CaseFilter& filter, const CaseResult& r) {
  return (filter.ops.empty() || any_glob_match(filter.ops, r.op())) &&
         (filter.cases.empty() || any_glob_match(filter.cases, r.id)) && !excluded(filter, r.id) &&
         filter.shard.contains(r.id);
}

}  // namespace

std::vector<DriftSide> sides_of(const std::vector<std::string>& names) {
  std::vector<DriftSide> sides;
  for (const std::string& name : names) {
    if (std::ranges::any_of(sides, [&](const DriftSide& s) { return s.label == name; })) {
      throw Error(
          fmt::format("the side '{}' is given twice; a copy of a set under another name shows whether results "
                      "repeat",
                      shortened(name)));
    }
    DriftSide side{.label = name, .set = {}, .results = {}};
    std::error_code none;
    if (std::filesystem::is_regular_file(name, none)) {
      side.results = results_of_file(name);
    } else {
      side.set = choose_set(name);
    }
    sides.push_back(std::move(side));
  }
  return sides;
}

std::vector<CaseResult> DriftSweeps::sweep_one(const ChosenSet& set, const ChosenSet& against,
                                               std::vector<std::string> cases, const char* mode,
                                               const std::vector<std::string>& reproduce) {
  if (InterruptGuard::signal() != 0 || !failure.empty()) return {};
  const std::vector<std::string> words{mode, "--against", std::filesystem::absolute(against.manifest.folder).string(),
                                       "--against-label", against.label};
  SweepOptions options = workers.sweep_options(set, against.label, words, reproduce);
  if (!is_reference(against)) options.policy.other = code_of(against.manifest, against.label);
  options.journal = &journal;
  options.confirm.most = 0;  // a shift is a property of many cases
  options.progress.total = cases.size();
  announce(set, against.label, cases.size(), options);
  SweepResult swept = sweep(options, source_of(std::move(cases)));
  failure = swept.failure;
  return std::move(swept.results);
}

std::vector<PairDrift> DriftSweeps::of_sets(const std::vector<DriftSide>& sides) {
  std::vector<PairDrift> pairs;
  const ChosenSet& first = *sides.front().set;
  for (std::size_t i = 1; i < sides.size(); ++i) {
    const ChosenSet& set = *sides[i].set;
    const LackingOps lacking(filter, set.manifest, &first.manifest);
    PairDrift pair = pair_of(first.label, set.label,
                             sweep_one(set, first, lacking.left(ids), "--drift", {"drift", first.label, set.label}));
    for (const auto& [kind, ops] : lacking.not_covered()) {
      if (!ops.empty()) pair.ops_lacking[kind == kOpsNotInSet ? set.label : first.label] = {ops.begin(), ops.end()};
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::vector<PairDrift> DriftSweeps::of_runs(std::vector<DriftSide> sides) {
  const ChosenSet reference = choose_set("reference");
  std::map<std::string, NotCovered> left_out;
  for (DriftSide& side : sides) {
    if (side.is_file()) continue;
    const LackingOps lacking(filter, side.set->manifest, &reference.manifest);
    side.results = sweep_one(*side.set, reference, lacking.left(ids), "--errors", {"run", "--set", side.label});
    left_out[side.label] = lacking.not_covered();
  }
  const std::set<std::string> chosen(ids.begin(), ids.end());
  for (DriftSide& side : sides) {
    std::erase_if(side.results,
                  [&](const CaseResult& r) { return ids.empty() ? !takes(filter, r) : !chosen.contains(r.id); });
  }
  std::vector<PairDrift> pairs;
  for (std::size_t i = 1; i < sides.size(); ++i) {
    PairDrift pair = pair_of_runs(sides[0].label, sides[0].results, sides[i].label, sides[i].results);
    for (const DriftSide* side : {&sides[0], &sides[i]}) {
      for (const auto& [kind, ops] : left_out[side->label]) {
        if (kind == kOpsNotInSet && !ops.empty()) pair.ops_lacking[side->label] = {ops.begin(), ops.end()};
      }
    }
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

}  // namespace dsv4
