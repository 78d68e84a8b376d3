#include "bench/bench_set.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "harness/core/error.h"
#include "interface/sha256.h"

namespace dsv4::bench {

using nlohmann::json;

KernelSet::KernelSet(const std::string& folder) : folder_(folder) {
  const std::string path = (std::filesystem::path(folder) / "manifest.json").string();
  std::ifstream file(path);
  if (!file) throw Error(fmt::format("{}: cannot be read. Name a kernel set's folder, such as build/sets/cuda", path));
  try {
    manifest_ = json::parse(file);
    if (manifest_.at("schema") != 1) throw Error(fmt::format("{}: only schema 1 can be read", path));
    name_ = manifest_.at("name").get<std::string>();
    if (manifest_.at("device") != "cuda") {
      throw Error(
          fmt::format("{}: set '{}' does not run on a GPU; only sets with device 'cuda' can be timed", path, name_));
    }
    (void)manifest_.at("provenance");
    (void)manifest_.at("modules");
    (void)manifest_.at("ops");
  } catch (const json::exception& e) {
    throw Error(fmt::format("{}: {}", path, e.what()));
  }
}

std::optional<tvm::ffi::Function> KernelSet::find(const std::string& op, const std::string& abi, const Params& params) {
  for (const json& entry : manifest_.at("ops")) {
    if (entry.at("op") != op || entry.at("abi") != abi || !entry.value("aux", std::string()).empty()) continue;
    bool serves = true;
    for (const auto& [name, value] : entry.at("params").items()) {
      const auto wanted = params.find(name);
      if (wanted == params.end() || value != wanted->second) serves = false;
    }
    if (!serves) continue;

    const auto module = entry.at("module").get<std::string>();
    if (!loaded_.contains(module)) {
      const std::string file = (std::filesystem::absolute(folder_) / module).string();
      if (sha256_of(file) != manifest_.at("modules").at(module).at("sha256").get<std::string>()) {
        throw Error(
            fmt::format("{}: is not the file that the manifest of '{}' describes. Build the set again", file, name_));
      }
      loaded_.emplace(module, tvm::ffi::Module::LoadFromFile(file));
    }
    const auto function = entry.at("function").get<std::string>();
    auto found = loaded_.at(module)->GetFunction(function);
    if (!found.has_value()) throw Error(fmt::format("{}/{}: exports no function '{}'", folder_, module, function));
    return found.value();
  }
  return std::nullopt;
}

}  // namespace dsv4::bench
