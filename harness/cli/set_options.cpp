#include "harness/cli/set_options.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/sets/sanitizer.h"

namespace dsv4 {

ChosenSet choose_set(const std::string& name_or_path) {
  ChosenSet set{name_or_path, find_set(name_or_path)};
  std::string why;
  if (!device_available(set.manifest.device, &why)) {
    throw Error(fmt::format(
        "set '{}' needs a GPU: {}. Choose a CPU set (for instance --set host), or run on a machine with a GPU",
        name_or_path, why));
  }
  if (why = why_other_sanitizer(set.manifest); !why.empty()) throw Error(why);
  return set;
}

void SetOptions::add(CLI::App& app) {
  repeatable(app.add_option("--set", names_,
                            "Kernel set under test, by name or folder (default: cuda if there is a GPU, else host). "
                            "May be repeated"))
      ->type_name("SET");
}

std::vector<ChosenSet> SetOptions::chosen() const {
  std::vector<std::string> wanted = names_;
  if (wanted.empty()) {
    const auto installed = installed_sets();
    const bool cuda = std::ranges::find(installed, "cuda") != installed.end() && device_available(DeviceKind::kCuda);
    wanted = {cuda ? "cuda" : "host"};
  }
  std::vector<ChosenSet> sets;
  for (const std::string& name : wanted) {
    const bool again = std::ranges::any_of(sets, [&](const ChosenSet& s) { return s.label == name; });
    if (!again) sets.push_back(choose_set(name));
  }
  return sets;
}

}  // namespace dsv4
