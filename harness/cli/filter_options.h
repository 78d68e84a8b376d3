/// The options that select cases, shared by several commands.
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
  /// --op, --case and --shard.
  void add_basic(CLI::App& app);
  /// The same, --tier and --seed.
  void add(CLI::App& app);

  /// Throws Error for a bad tier or shard.
  [[nodiscard]] CaseFilter filter() const;
  /// The options by name, as a report stores them.
  [[nodiscard]] std::map<std::string, std::string> described() const;

 private:
  std::vector<std::string> ops_;
  std::vector<std::string> cases_;
  std::string tier_ = "quick";
  std::uint64_t seed_ = 1;
  std::string shard_ = "1/1";
};

}  // namespace dsv4
