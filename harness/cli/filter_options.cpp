#include "harness/cli/filter_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/report/run_report.h"

namespace dsv4 {

namespace {

std::vector<std::string> differing_cases(const std::string& path) {
  std::set<std::string> ids;
  const RunReport report = read_results(path);
  if (report.unfinished) {
    throw Error(
        fmt::format("--last-failed {}: the run that writes this file did not finish, so it names no case; "
                    "'dsv4diff run --resume JOURNAL' continues a run",
                    shortened(path)));
  }
  for (const SetRun& run : report.runs) {
    for (const CaseResult& r : run.results) {
      if (is_difference(r.verdict)) ids.insert(r.id);
    }
  }
  if (ids.empty()) throw Error(fmt::format("--last-failed {}: no case differs in these results", shortened(path)));
  return {ids.begin(), ids.end()};
}

}  // namespace

void FilterOptions::add_op(CLI::App& app) {
  repeatable(app.add_option("--op", ops_, "Only ops whose name matches; *, ? and [abc] are wildcards. May be repeated"))
      ->type_name("GLOB");
}

void FilterOptions::add_tier(CLI::App& app) {
  app.add_option("--tier", tier_,
                 "Which cases run: smoke (takes seconds), quick (for pull requests) or full (every dimension)")
      ->type_name("TIER")
      ->capture_default_str();
}

void FilterOptions::add_basic(CLI::App& app) {
  add_op(app);
  repeatable(app.add_option("--case", cases_,
                            "Only the case with this id, or all cases whose id matches this pattern. May be repeated"))
      ->type_name("ID|GLOB");
  repeatable(app.add_option("--exclude", excludes_,
                            "Leave out the cases whose op or id matches this pattern. May be repeated"))
      ->type_name("GLOB")
      ->check(not_empty());
  app.add_option("--shard", shard_,
                 "Only the K-th of N parts of the cases. A stable hash of the id decides the part of a case")
      ->type_name("K/N");
}

void FilterOptions::add(CLI::App& app) {
  add_basic(app);
  add_tier(app);
  app.add_option("--seed", seed_, "Seed of the tier's cases. Another seed gives other data with the same shapes")
      ->type_name("N")
      ->check(natural_number())
      ->capture_default_str();
}

void FilterOptions::add_own_seeds(CLI::App& app) {
  app.add_flag(
      "--own-seeds", own_seeds_,
      "Give each case of the tier a seed of its own, which follows from its id. The data of cases do not repeat "
      "then, as 'dsv4diff drift' needs it");
}

void FilterOptions::add_reruns(CLI::App& app) {
  app.add_option("--last-failed", last_failed_,
                 "Only the cases that differ in this results file, which --json wrote: failed, error and mistrusted")
      ->type_name("FILE")
      ->check(not_empty())
      ->excludes("--case");
  CLI::Option* option = repeatable(app.add_option(
      "--sequence", sequence_,
      "Run this case, and those of the other --sequence options, in this order in one new process. Shows what a "
      "kernel keeps from call to call. May be repeated"));
  option->type_name("ID")->excludes("--case")->excludes("--op")->excludes("--shard")->excludes("--exclude");
  option->excludes("--last-failed");
}

CaseFilter FilterOptions::filter() const {
  CaseFilter f;
  f.ops = ops_;
  f.cases = cases_;
  f.tier = tier_from_name(tier_);
  f.seed = seed_;
  f.shard = parse_shard(shard_);
  f.excludes = excludes_;
  f.own_seeds = own_seeds_;
  if (!last_failed_.empty()) f.cases = differing_cases(last_failed_);
  return f;
}

std::map<std::string, std::string> FilterOptions::described() const {
  if (!sequence_.empty()) return {{"sequence", fmt::format("{}", fmt::join(sequence_, " "))}};
  std::map<std::string, std::string> options{{"op", fmt::format("{}", fmt::join(ops_, " "))},
                                             {"case", fmt::format("{}", fmt::join(cases_, " "))},
                                             {"tier", tier_},
                                             {"seed", std::to_string(seed_)}};
  if (!excludes_.empty()) options["exclude"] = fmt::format("{}", fmt::join(excludes_, " "));
  if (own_seeds_) options["own_seeds"] = "yes";
  if (!last_failed_.empty()) options["last_failed"] = last_failed_;
  return options;
}

}  // namespace dsv4
