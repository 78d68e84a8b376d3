/// The kernel sets that a command tests.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "harness/sets/set.h"

namespace dsv4 {

/// A set to be swept: the name that the user gave, and its manifest.
struct ChosenSet {
  std::string label;
  Manifest manifest;
};

/// Finds a set. Throws Error if there is none, or if it cannot run here.
ChosenSet choose_set(const std::string& name_or_path);

/// --set, which may be repeated.
class SetOptions {
 public:
  void add(CLI::App& app);
  /// The sets that were named, each once. If none was named: `cuda` if it is installed and there is a GPU, else `host`.
  /// Throws Error as choose_set does.
  [[nodiscard]] std::vector<ChosenSet> chosen() const;

 private:
  std::vector<std::string> names_;
};

}  // namespace dsv4
