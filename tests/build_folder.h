/// Paths of the build folder and of the repository. They are found from the path of the running test program, which
/// lies in the build folder beside the kernel sets. So tests also run after a build was copied to another machine
/// (scripts/gpu_bundle --tests).
#pragma once

#include <filesystem>
#include <string>

namespace dsv4::testing {

inline std::string build_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

/// The repository, or the bundle of scripts/gpu_bundle, which has the same layout.
inline std::string source_folder() {
  const auto above = std::filesystem::path(build_folder()).parent_path();
  return std::filesystem::exists(above / "known_faults.json") ? above.string() : DSV4_SOURCE_DIR;
}

}  // namespace dsv4::testing
