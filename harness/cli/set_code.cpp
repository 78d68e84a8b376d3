#include "harness/cli/set_code.h"

#include <algorithm>

namespace dsv4 {
namespace {

/// True if `source`, as a module names it, is the file `path`: "jit_kernel/csrc/a.cuh" is "csrc/a.cuh".
bool is_file(const std::string& source, const std::string& path) {
  return source == path || source.ends_with("/" + path);
}

void add_module(const ManifestModule& module, OpCode& code) {
  for (const SourceFile& file : module.sources) {
    const bool main = is_file(module.source, file.path);
    if (main && std::ranges::find(code.main, file.path) == code.main.end()) code.main.push_back(file.path);
    if (std::ranges::find(code.files, file.path, &CodeFile::path) == code.files.end())
      code.files.push_back({file.path, file.releases});
  }
}

}  // namespace

SetCode code_of(const Manifest& manifest, const std::string& label) {
  const auto told = [&](const char* name) {
    const auto at = manifest.provenance.find(name);
    return at == manifest.provenance.end() ? std::string() : at->second;
  };
  // A copy may not tell its version. Then the release counts from which most of its files are.
  const std::string version = told("version").empty() ? told("release") : told("version");
  SetCode code{.label = label,
               .package = told("package"),
               .version = version,
               .released = told("source") == "wheel",
               .device = std::string(name_of(manifest.device)),
               .ops = {}};
  for (const ManifestEntry& entry : manifest.entries) {
    if (entry.aux.empty()) add_module(manifest.modules.at(entry.module), code.ops[entry.op]);
  }
  return code;
}

}  // namespace dsv4
