#include "harness/core/paths.h"

#include <filesystem>
#include <vector>

namespace dsv4 {

namespace fs = std::filesystem;

std::string executable_folder() {
  std::error_code error;
  const fs::path exe = fs::read_symlink("/proc/self/exe", error);
  return error ? "." : exe.parent_path().string();
}

namespace {

std::optional<std::string> first_with(const std::vector<fs::path>& folders, const std::string& name) {
  for (const fs::path& folder : folders) {
    std::error_code error;
    if (fs::exists(folder / name, error)) return (folder / name).lexically_normal().string();
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> find_data(const std::string& name) {
  const fs::path exe = executable_folder();
  return first_with({exe, exe / "..", exe / ".." / "share" / "dsv4diff", "."}, name);
}

std::optional<std::string> find_script(const std::string& name) {
  const fs::path exe = executable_folder();
  return first_with({exe / "scripts", exe / ".." / "scripts"}, name);
}

}  // namespace dsv4
