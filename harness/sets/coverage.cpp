#include "harness/sets/coverage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/core/text.h"

namespace dsv4 {
namespace {

std::string provenance(const Manifest& manifest, const char* name) {
  const auto found = manifest.provenance.find(name);
  return found == manifest.provenance.end() ? std::string() : one_line(found->second);
}

}  // namespace

std::string coverage_summary(const Manifest& manifest) {
  if (manifest.uncovered.empty()) return "";
  std::string paths;
  for (const UncoveredSource& source : manifest.uncovered) {
    paths += fmt::format("{}{}", paths.empty() ? "" : ", ", one_line(source.path));
  }
  return fmt::format("{}: no module includes {} of upstream's source files: {}", one_line(manifest.name),
                     manifest.uncovered.size(), paths);
}

std::vector<std::string> unmapped_functions(const Manifest& manifest) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& path, const std::vector<std::string>& functions) {
    const std::string names = one_line(fmt::format("{}", fmt::join(functions, ", ")));
    lines.push_back(fmt::format("unmapped: {}: {}", one_line(path), names.empty() ? "exports no function" : names));
  };
  for (const UncoveredSource& source : manifest.uncovered) {
    if (source.unmapped) add(source.path, source.functions);
  }
  for (const UncalledFunctions& file : manifest.uncalled) add(file.path, file.functions);
  return lines;
}

std::vector<std::string> coverage_warnings(const Manifest& manifest) {
  const std::string package = provenance(manifest, "package"), release = provenance(manifest, "release");
  const std::string differs = release.empty() ? fmt::format("is of no known release of {}", package)
                                              : fmt::format("differs from {} {}", package, release);
  std::vector<std::string> lines;
  for (const UncoveredSource& source : manifest.uncovered) {
    if (!source.changed) continue;
    lines.push_back(fmt::format("WARNING: {} {} and NO MODULE COVERS IT", one_line(source.path), differs));
  }
  return lines;
}

}  // namespace dsv4
