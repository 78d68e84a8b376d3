/// Where tests find what the build made. Test programs lie in the build folder, beside the kernel sets, and are asked
/// where they are: so they also run where a build was carried to (scripts/gpu_bundle --tests).
#pragma once

#include <filesystem>
#include <string>

namespace dsv4::testing {

inline std::string build_folder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

/// The repository, or the bundle that is laid out like it.
inline std::string source_folder() {
  const auto above = std::filesystem::path(build_folder()).parent_path();
  return std::filesystem::exists(above / "known_faults.json") ? above.string() : DSV4_SOURCE_DIR;
}

}  // namespace dsv4::testing
