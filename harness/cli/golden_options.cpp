#include "harness/cli/golden_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "harness/case/case.h"
#include "harness/core/error.h"
#include "harness/core/paths.h"
#include "harness/core/text.h"
#include "harness/golden/file.h"

namespace dsv4 {

namespace fs = std::filesystem;

std::string golden_root(const std::string& given) {
  return given.empty() ? find_data("golden").value_or("golden") : given;
}

std::string golden_root_to_write(const std::string& given) {
  std::string root = golden_root(given);
  // Missing folders are made later. So the nearest parent that exists must be a folder, and it must be writable.
  fs::path there = fs::absolute(root).lexically_normal();
  std::error_code error;
  if (::access(there.c_str(), F_OK) != 0 && errno != ENOENT && errno != ENOTDIR) {
    throw Error(
        fmt::format("--golden {}: {}", shortened(root), describe_errno(errno)));  // such as a name that is too long
  }
  while (!fs::exists(there, error) && there.has_relative_path()) there = there.parent_path();
  if (!fs::is_directory(there, error))
    throw Error(fmt::format("--golden {}: {} is not a folder", shortened(root), shortened(there.string())));
  if (::access(there.c_str(), W_OK | X_OK) != 0) {
    throw Error(
        fmt::format("--golden {}: folder {}: {}", shortened(root), shortened(there.string()), describe_errno(errno)));
  }
  return root;
}

std::vector<RecordedSet> find_goldens(const std::string& golden, const std::vector<std::string>& recorded) {
  const std::string root = golden_root(golden);
  std::error_code error;
  if (fs::is_regular_file(root, error)) {
    // The path has the form <root>/<op>/<set>.h5, so the name of the folder is the op.
    const fs::path path = fs::absolute(root);
    if (!recorded.empty() && recorded != std::vector{path.stem().string()}) {
      throw Error(fmt::format("--recorded chooses among the goldens of a folder, but --golden {} is one file", root));
    }
    return {{"", "golden:" + root, {{path.parent_path().filename().string(), path.string()}}}};
  }
  if (!golden.empty() && !fs::is_directory(root, error)) {
    throw Error(fmt::format("--golden {}: there is no such file or folder", shortened(golden)));
  }
  const auto there = recorded_sets(root);
  if (there.empty()) {
    throw Error(fmt::format(
        "{}: there are no goldens; make some with 'dsv4diff record --set SET', or name another folder with --golden",
        fs::absolute(root).lexically_normal().string()));
  }
  std::vector<RecordedSet> found;
  for (const std::string& set : recorded.empty() ? there : recorded) {
    if (std::ranges::find(there, set) == there.end()) {
      throw Error(fmt::format("--recorded {}: there is no golden of this set{}; there are goldens of {}",
                              shortened(set), did_you_mean(set, there), fmt::join(there, ", ")));
    }
    RecordedSet r{set, "golden:" + set, {}};
    for (const std::string& op : recorded_ops(root, set))
      r.files[op] = fs::absolute(golden_path(root, op, set)).string();
    found.push_back(std::move(r));
  }
  return found;
}

}  // namespace dsv4
