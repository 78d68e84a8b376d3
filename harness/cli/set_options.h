/// Which kernel sets a command puts under test.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "harness/sets/set.h"

namespace dsv4 {

/// A set to be swept: as the user named it, and what that is.
struct ChosenSet {
  std::string label;
  Manifest manifest;
};

/// Finds a set and makes sure that it can run here. Throws Error.
ChosenSet choose_set(const std::string& name_or_path);

/// --set, which may be repeated.
class SetOptions {
 public:
  void add(CLI::App& app);
  /// The sets that were named, each once; without any, `cuda` where a GPU is and else `host`. Throws Error.
  [[nodiscard]] std::vector<ChosenSet> chosen() const;

 private:
  std::vector<std::string> names_;
};

}  // namespace dsv4
