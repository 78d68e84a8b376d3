/// A kernel set in a temporary folder: the faulty module, and a manifest that the test may change.
#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "harness/sets/set.h"
#include "tests/build_folder.h"

namespace dsv4::testing {

class SetFolder {
 public:
  SetFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dsv4-set-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
    const auto source = std::filesystem::path(build_folder()) / "sets-test" / "faulty";
    std::filesystem::copy_file(source / "faulty.so", path_ / "faulty.so");
    std::ifstream file(source / "manifest.json");
    manifest = nlohmann::json::parse(file);
  }
  ~SetFolder() { std::filesystem::remove_all(path_); }
  SetFolder(const SetFolder&) = delete;
  SetFolder& operator=(const SetFolder&) = delete;

  nlohmann::json manifest;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  void write(const std::string& text) const { std::ofstream(path_ / "manifest.json") << text; }
  /// Writes the manifest and loads it.
  [[nodiscard]] Manifest load() const {
    write(manifest.dump());
    return Manifest::load(path_.string());
  }

 private:
  std::filesystem::path path_;
};

}  // namespace dsv4::testing
