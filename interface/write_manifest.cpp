/// Writes the manifest.json of an in-tree kernel set (schema 1, docs/sets.md).
///
///     write_manifest RECIPE FOLDER REVISION
///
/// RECIPE is a JSON file with the facts that the build knows: name, device, provenance, and the file, source and
/// compiler flags of each module. FOLDER has the modules, and the manifest is written there. REVISION is the revision
/// in the manifest's provenance. Every in-tree module exports `dsv4_manifest` (interface/entry.h), which returns the
/// op, the parameters and the ABI of each of its functions.
///
/// The text of the manifest depends only on these inputs. If the file already has this text, it is not written again.

#include <dlfcn.h>
#include <tvm/ffi/any.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/string.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

#include "interface/sha256.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;  // sorts the keys, so the text is deterministic

std::optional<std::string> read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string digest_of(const fs::path& path) {
  const auto digest = sha256_of(path.string());
  if (!digest) throw std::runtime_error("cannot read " + path.string());
  return *digest;
}

/// Returns the records of the functions that a module exports. The module stays loaded. Otherwise its destructors would
/// run before those of TVM-FFI.
Json describe(const fs::path& module) {
  void* handle = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw std::runtime_error("cannot load " + module.string() + ": " + dlerror());
  auto* call = reinterpret_cast<TVMFFISafeCallType>(dlsym(handle, "__tvm_ffi_dsv4_manifest"));
  if (!call) {
    throw std::runtime_error(module.string() +
                             " exports no dsv4_manifest: its source must include interface/entry.h and use DSV4_ENTRY");
  }
  tvm::ffi::Any text;
  if (call(nullptr, nullptr, 0, reinterpret_cast<TVMFFIAny*>(&text)) != 0) {
    throw std::runtime_error(module.string() + ": its function dsv4_manifest returned an error");
  }
  const auto string = text.cast<tvm::ffi::String>();
  Json entries = Json::parse(std::string(string.data(), string.size()));
  if (entries.empty()) throw std::runtime_error(module.string() + " exports no op: its source must use DSV4_ENTRY");
  return entries;
}

Json make_manifest(const Json& recipe, const fs::path& folder, const std::string& revision) {
  Json manifest = {{"schema", 1},
                   {"name", recipe.at("name")},
                   {"device", recipe.at("device")},
                   {"errors_name_arguments", true},
                   {"provenance", recipe.at("provenance")},
                   {"modules", Json::object()},
                   {"ops", Json::array()},
                   {"absent", Json::array()}};
  manifest["provenance"]["revision"] = revision;

  std::set<std::string> served;
  for (const Json& module : recipe.at("modules")) {
    const auto file = module.at("file").get<std::string>();
    const auto source = module.at("source").get<std::string>();
    const std::string source_sha256 = digest_of(module.at("path").get<std::string>());
    manifest["modules"][file] = {
        {"sha256", digest_of(folder / file)},
        {"source", source},
        {"source_sha256", source_sha256},
        {"flags", module.at("flags")},
        {"edits", Json::array()},
        {"sources", Json::array({{{"path", source}, {"sha256", source_sha256}, {"releases", Json::array()}}})}};
    for (Json entry : describe(folder / file)) {
      const std::string key = entry.at("op").get<std::string>() + "/" + entry.at("aux").get<std::string>() + " " +
                              entry.at("abi").get<std::string>() + " " + entry.at("params").dump();
      if (!served.insert(key).second) {
        throw std::runtime_error(source + ": set '" + manifest["name"].get<std::string>() + "' has two functions for " +
                                 key + ". Remove one DSV4_ENTRY or DSV4_AUX");
      }
      if (entry.at("aux") == "") entry.erase("aux");
      entry["module"] = file;
      manifest["ops"].push_back(std::move(entry));
    }
  }
  return manifest;
}

/// Writes a temporary file and renames it. So a reader sees either the complete old manifest or the complete new one.
void write_if_changed(const fs::path& path, const std::string& text) {
  if (read_text(path) == text) return;
  const fs::path temporary = path.string() + ".new";
  std::ofstream file(temporary, std::ios::binary);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + temporary.string());
  fs::rename(temporary, path);
}

void write_manifest(const fs::path& recipe_path, const fs::path& folder, const std::string& revision) {
  const auto recipe = read_text(recipe_path);
  if (!recipe) throw std::runtime_error("cannot read the recipe " + recipe_path.string());
  write_if_changed(folder / "manifest.json", make_manifest(Json::parse(*recipe), folder, revision).dump(2) + "\n");
}

}  // namespace
}  // namespace dsv4

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: write_manifest RECIPE FOLDER REVISION\n";
    return 2;
  }
  try {
    dsv4::write_manifest(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::cerr << "write_manifest: " << error.what() << "\n";
    return 2;
  }
  return 0;
}
