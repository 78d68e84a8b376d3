/// The option --set and the kernel sets that it names.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "harness/sets/set.h"

namespace dsv4 {

/// A set that a command tests: the name that the user gave, and the manifest of the set.
struct ChosenSet {
  std::string label;
  Manifest manifest;
};

/// Finds a set by its name or folder. Throws Error if there is no such set, or if the set cannot run on this machine.
ChosenSet choose_set(const std::string& name_or_path);

/// The option --set, which may be repeated.
class SetOptions {
 public:
  void add(CLI::App& app);
  /// Returns the sets that the user named, each once. If the user named no set, returns `cuda` if it is installed and
  /// the machine has a GPU, else `host`. Throws Error in the same cases as choose_set().
  [[nodiscard]] std::vector<ChosenSet> chosen() const;

 private:
  std::vector<std::string> names_;
};

}  // namespace dsv4
