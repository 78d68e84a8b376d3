#include "harness/core/paths.h"

#include <filesystem>

namespace dsv4 {

namespace fs = std::filesystem;

std::string executable_folder() {
  std::error_code error;
  const fs::path exe = fs::read_symlink("/proc/self/exe", error);
  return error ? "." : exe.parent_path().string();
}

std::optional<std::string> find_data(const std::string& name) {
  const fs::path exe = executable_folder();
  for (const fs::path& folder : {exe, exe / "..", exe / ".." / "share" / "dsv4diff", fs::path(".")}) {
    std::error_code error;
    if (fs::exists(folder / name, error)) return (folder / name).lexically_normal().string();
  }
  return std::nullopt;
}

}  // namespace dsv4
