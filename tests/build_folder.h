/// Paths of the build folder and of the repository. Both are derived from the path of the running test program, which
/// is in the build folder, beside the kernel sets. So the tests can also run from a copy of the build on another
/// machine (scripts/gpu_bundle --tests).
#pragma once

#include <filesystem>
#include <string>

namespace dsv4::testing {

inline std::string build_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

/// The repository. In a bundle made by scripts/gpu_bundle it is the bundle's folder, which has the same layout.
inline std::string source_folder() {
  const auto above = std::filesystem::path(build_folder()).parent_path();
  return std::filesystem::exists(above / "known_faults.json") ? above.string() : DSV4_SOURCE_DIR;
}

}  // namespace dsv4::testing
