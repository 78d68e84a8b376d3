/// Reads known_faults.json.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/run/known_faults.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using Texts = std::vector<std::string>;

/// A range [low, high]. An end that is null means "no limit".
KnownFault::Range range_of(const json& j) {
  const auto limit = [&](std::size_t i, std::int64_t none) {
    return j.at(i).is_null() ? none : j.at(i).get<std::int64_t>();
  };
  return {limit(0, std::numeric_limits<std::int64_t>::min()), limit(1, std::numeric_limits<std::int64_t>::max())};
}

std::map<std::string, KnownFault::Range> ranges_of(const json& j) {
  std::map<std::string, KnownFault::Range> ranges;
  for (const auto& fact : j.items()) ranges[fact.key()] = range_of(fact.value());
  return ranges;
}

KnownFault::Kind kind_of(const std::string& name) {
  for (const auto kind : {KnownFault::Kind::kFault, KnownFault::Kind::kVariant, KnownFault::Kind::kUndefined}) {
    if (name_of(kind) == name) return kind;
  }
  throw Error(fmt::format("its kind '{}' is not fault, variant or undefined", name));
}

/// Refuses an entry whose fields contradict each other.
void check(const KnownFault& f) {
  const bool undefined = f.kind == KnownFault::Kind::kUndefined;
  const bool names_differences = !f.covers.empty() || !f.elements.empty() || !f.variant.empty();
  if (undefined && names_differences)
    throw Error("its kind is undefined, which covers every difference: leave out covers, elements and variant");
  if (!undefined && !names_differences) throw Error("it has neither covers nor elements nor a variant");
  for (const std::string& version : {f.since, f.fixed.empty() ? f.since : f.fixed}) {
    if (!is_version(version)) throw Error(fmt::format("'{}' is not a version such as 0.5.13", version));
  }
  if (!f.fixed.empty() && !in_range(f.since, f.since, f.fixed))
    throw Error(fmt::format("it was fixed in {}, which is not after {}", f.fixed, f.since));
}

KnownFault parse(const json& j) {
  // Unknown keys are refused. If a condition were misspelt and ignored, the entry would apply to more cases than
  // it says.
  static const std::set<std::string> kKeys{"id",       "op",      "kind",    "package",  "since",     "fixed",
                                           "sources",  "devices", "params",  "facts",    "scenarios", "covers",
                                           "elements", "variant", "summary", "evidence", "fix"};
  for (const auto& [key, value] : j.items()) {
    if (!kKeys.contains(key)) throw Error(fmt::format("it has an unknown key '{}'", key));
  }
  KnownFault f;
  f.id = j.at("id").get<std::string>();
  f.ops = j.at("op").is_string() ? Texts{j.at("op").get<std::string>()} : j.at("op").get<Texts>();
  f.kind = kind_of(j.value("kind", std::string("fault")));
  f.package = j.at("package").get<std::string>();
  f.since = j.at("since").get<std::string>();
  f.fixed = j.value("fixed", std::string());
  f.sources = j.value("sources", Texts{});
  f.devices = j.value("devices", Texts{});
  f.scenarios = j.value("scenarios", Texts{});
  if (j.contains("params")) f.params = j.at("params").get<std::map<std::string, Texts>>();
  if (j.contains("facts")) f.facts = ranges_of(j.at("facts"));
  f.covers = j.value("covers", Texts{});
  if (j.contains("elements")) {
    for (const auto& output : j.at("elements").items()) f.elements[output.key()] = ranges_of(output.value());
  }
  f.variant = j.value("variant", std::string());
  f.summary = j.at("summary").get<std::string>();
  f.evidence = j.at("evidence").get<std::string>();
  f.fix = j.at("fix").get<std::string>();
  check(f);
  return f;
}

}  // namespace

KnownFaults KnownFaults::load(const std::string& path) {
  std::error_code none;
  std::ifstream file;
  // Only a regular file is accepted. A pipe could be read only once, and every worker reads the list.
  if (std::filesystem::is_regular_file(path, none)) file.open(path);
  if (!file.is_open())
    throw Error(fmt::format(
        "{}: the list of known faults is not a readable file; name another file with --known FILE, or use --no-known",
        shortened(path)));
  json root;
  std::size_t entry = 0;
  try {
    root = json::parse(file);
    std::vector<KnownFault> faults;
    for (const json& j : root.at("known_faults")) {
      ++entry;
      faults.push_back(parse(j));
    }
    return KnownFaults(std::move(faults));
  } catch (const std::exception& e) {
    throw Error(fmt::format("{}: {} {}: {}", path, entry == 0 ? "the file" : "entry",
                            entry == 0 ? "is malformed" : std::to_string(entry), e.what()));
  }
}

}  // namespace dsv4
