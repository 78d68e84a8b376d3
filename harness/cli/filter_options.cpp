#include "harness/cli/filter_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/cli/validators.h"

namespace dsv4 {

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

CaseFilter FilterOptions::filter() const {
  CaseFilter f;
  f.ops = ops_;
  f.cases = cases_;
  f.tier = tier_from_name(tier_);
  f.seed = seed_;
  f.shard = parse_shard(shard_);
  return f;
}

std::map<std::string, std::string> FilterOptions::described() const {
  return {{"op", fmt::format("{}", fmt::join(ops_, " "))},
          {"case", fmt::format("{}", fmt::join(cases_, " "))},
          {"tier", tier_},
          {"seed", std::to_string(seed_)}};
}

}  // namespace dsv4
