/// Options that select cases. Several commands have them.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "harness/run/select.h"

namespace dsv4 {

class FilterOptions {
 public:
  void add_op(CLI::App& app);
  void add_tier(CLI::App& app);
  /// Adds --op, --case and --shard.
  void add_basic(CLI::App& app);
  /// Adds --op, --case, --shard, --tier and --seed.
  void add(CLI::App& app);

  /// Returns the filter that the options describe. Throws Error if the tier or the shard is invalid.
  [[nodiscard]] CaseFilter filter() const;
  /// Returns the options by name, except --shard, in the form in which a report stores them.
  [[nodiscard]] std::map<std::string, std::string> described() const;

 private:
  std::vector<std::string> ops_;
  std::vector<std::string> cases_;
  std::string tier_ = "quick";
  std::uint64_t seed_ = 1;
  std::string shard_ = "1/1";
};

}  // namespace dsv4
