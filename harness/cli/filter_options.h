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
  /// Adds --op, --case, --exclude and --shard.
  void add_basic(CLI::App& app);
  /// Adds the same options, --tier and --seed.
  void add(CLI::App& app);
  /// Adds --own-seeds. Call it after add().
  void add_own_seeds(CLI::App& app);
  /// Adds --sequence and --last-failed. Call it after add() or add_basic().
  void add_reruns(CLI::App& app);

  /// Returns the filter that the options describe. Throws Error if the tier or the shard is invalid, or if the file of
  /// --last-failed cannot be read or has no differing case.
  [[nodiscard]] CaseFilter filter() const;
  /// The cases that --sequence names, in their order; empty if the option was not given.
  [[nodiscard]] const std::vector<std::string>& sequence() const { return sequence_; }
  /// The file that --last-failed names; "" if the option was not given.
  [[nodiscard]] const std::string& last_failed() const { return last_failed_; }
  /// Returns the options by name, except --shard, in the form in which a report stores them.
  [[nodiscard]] std::map<std::string, std::string> described() const;

 private:
  std::vector<std::string> ops_;
  std::vector<std::string> cases_;
  std::vector<std::string> sequence_;
  std::vector<std::string> excludes_;
  std::string last_failed_;
  std::string tier_ = "quick";
  std::uint64_t seed_ = 1;
  std::string shard_ = "1/1";
  bool own_seeds_ = false;
};

}  // namespace dsv4
