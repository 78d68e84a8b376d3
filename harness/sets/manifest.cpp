#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "harness/core/error.h"
#include "harness/core/paths.h"
#include "harness/core/text.h"
#include "harness/device/gpu.h"
#include "harness/sets/set.h"
#include "interface/sha256.h"

namespace dsv4 {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kSchema = 1;
constexpr std::uint64_t kLargestArity = 256;
constexpr std::uintmax_t kLargestManifest = 16u << 20;

/// Reads fields of a manifest. Every error message names the file and the field.
class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  [[noreturn]] void bad(const std::string& what) const {
    throw Error(
        fmt::format("{}: {}. Build the set again, or correct the manifest (docs/sets.md describes it)", path_, what));
  }
  const json& field(const json& object, const char* name, const std::string& where) const {
    if (!object.is_object() || !object.contains(name)) bad(fmt::format("{} has no field '{}'", where, name));
    return object.at(name);
  }
  std::string text(const json& object, const char* name, const std::string& where) const {
    const json& value = field(object, name, where);
    if (!value.is_string()) bad(fmt::format("field '{}' of {} is not a string", name, where));
    return value.get<std::string>();
  }
  std::vector<std::string> texts(const json& object, const char* name, const std::string& where) const {
    std::vector<std::string> out;
    if (!object.contains(name)) return out;
    if (!object.at(name).is_array()) bad(fmt::format("field '{}' of {} is not a list", name, where));
    for (const json& v : object.at(name)) {
      if (!v.is_string()) bad(fmt::format("field '{}' of {} contains something that is not a string", name, where));
      out.push_back(v.get<std::string>());
    }
    return out;
  }
  std::map<std::string, std::string> pairs(const json& object, const char* name, const std::string& where) const {
    std::map<std::string, std::string> out;
    if (!object.contains(name)) return out;
    if (!object.at(name).is_object()) bad(fmt::format("field '{}' of {} is not an object", name, where));
    for (const auto& [key, value] : object.at(name).items()) {
      out[key] = value.is_string() ? value.get<std::string>() : value.dump();
    }
    return out;
  }
  bool boolean(const json& object, const char* name, const std::string& where) const {
    if (!object.contains(name)) return false;
    if (!object.at(name).is_boolean()) bad(fmt::format("field '{}' of {} is not true or false", name, where));
    return object.at(name).get<bool>();
  }
  /// The elements of a list of objects that may be missing, each with its name for messages.
  std::vector<std::pair<const json*, std::string>> objects(const json& object, const char* name,
                                                           const std::string& where) const {
    std::vector<std::pair<const json*, std::string>> out;
    if (!object.contains(name)) return out;
    if (!object.at(name).is_array()) bad(fmt::format("field '{}' of {} is not a list", name, where));
    for (const json& v : object.at(name)) {
      out.emplace_back(&v, fmt::format("{}[{}] of {}", name, out.size(), where));
    }
    return out;
  }
  SourceFile source_file(const json& object, const std::string& where) const {
    SourceFile file;
    file.path = text(object, "path", where);
    if (file.path.empty()) bad(fmt::format("field 'path' of {} is empty", where));
    file.sha256 = text(object, "sha256", where);
    if (file.sha256.size() != 64 || file.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
      bad(fmt::format("field 'sha256' of {} is not a SHA-256 in lower-case hex", where));
    }
    file.releases = texts(object, "releases", where);
    return file;
  }

 private:
  std::string path_;
};

DeviceKind device_from_name(const Reader& reader, const std::string& name) {
  if (name == "cpu") return DeviceKind::kCpu;
  if (name == "simt") return DeviceKind::kSimt;
  if (name == "cuda") return DeviceKind::kCuda;
  reader.bad(fmt::format("device '{}' is not cpu, simt or cuda", name));
}

/// True if `name` is only a file name. A module must be in the folder of its set, so that a manifest cannot load
/// another library of the system.
bool plain_file_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos && name != "." && name != "..";
}

}  // namespace

std::string_view name_of(DeviceKind kind) {
  constexpr std::array<std::string_view, 3> kNames{"cpu", "simt", "cuda"};
  return kNames[static_cast<std::size_t>(kind)];
}

Manifest Manifest::load(const std::string& folder) {
  const fs::path path = fs::path(folder) / "manifest.json";
  const Reader reader(path.string());
  std::error_code code;
  const auto size = fs::file_size(path, code);
  if (code)
    throw Error(fmt::format("{}: there is no manifest ({}). A kernel set is a folder with a manifest.json",
                            path.string(), code.message()));
  if (size > kLargestManifest) reader.bad(fmt::format("{} bytes are too large for a manifest", size));
  std::ifstream file(path);
  if (!file) throw Error(fmt::format("{}: cannot be read", path.string()));
  json root;
  try {
    root = json::parse(file);
  } catch (const json::exception& e) {
    reader.bad(fmt::format("not JSON ({})", e.what()));
  }
  const json& schema = reader.field(root, "schema", "the manifest");
  if (!schema.is_number_integer()) reader.bad("field 'schema' is not an integer");
  // Compare all 64 bits, because a conversion to int could turn another number into the expected one.
  const bool newer = schema.is_number_unsigned() && schema.get<std::uint64_t>() > kSchema;
  if (newer) {
    throw Error(fmt::format("{}: schema {} is newer than this tool, which reads schema {}. Update dsv4diff",
                            path.string(), schema.dump(), kSchema));
  }
  if (!schema.is_number_unsigned() || schema.get<std::uint64_t>() != kSchema)
    reader.bad(fmt::format("schema {} is unknown", schema.dump()));

  Manifest m;
  m.folder = folder;
  m.name = reader.text(root, "name", "the manifest");
  if (m.name.empty()) reader.bad("field 'name' of the manifest is empty");
  m.device = device_from_name(reader, reader.text(root, "device", "the manifest"));
  m.errors_name_arguments = reader.boolean(root, "errors_name_arguments", "the manifest");
  m.provenance = reader.pairs(root, "provenance", "the manifest");
  const json& modules = reader.field(root, "modules", "the manifest");
  if (!modules.is_object()) reader.bad("field 'modules' is not an object");
  for (const auto& [file_name, value] : modules.items()) {
    const std::string where = fmt::format("module '{}'", file_name);
    if (!plain_file_name(file_name)) reader.bad(fmt::format("{} is not a file name in the set's folder", where));
    ManifestModule module;
    module.sha256 = reader.text(value, "sha256", where);
    if (value.contains("source")) module.source = reader.text(value, "source", where);
    module.flags = reader.texts(value, "flags", where);
    module.edits = reader.texts(value, "edits", where);
    for (const auto& [file, file_where] : reader.objects(value, "sources", where)) {
      module.sources.push_back(reader.source_file(*file, file_where));
    }
    m.modules[file_name] = std::move(module);
  }
  const json& ops = reader.field(root, "ops", "the manifest");
  if (!ops.is_array()) reader.bad("field 'ops' is not a list");
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const std::string where = fmt::format("ops[{}]", i);
    ManifestEntry e;
    e.op = reader.text(ops[i], "op", where);
    if (ops[i].contains("aux")) e.aux = reader.text(ops[i], "aux", where);
    e.module = reader.text(ops[i], "module", where);
    e.function = reader.text(ops[i], "function", where);
    e.abi = reader.text(ops[i], "abi", where);
    e.params = reader.pairs(ops[i], "params", where);
    const json& arity = reader.field(ops[i], "arity", where);
    if (!arity.is_number_unsigned() || arity.get<std::uint64_t>() > kLargestArity) {
      reader.bad(fmt::format("field 'arity' of {} is not a number of arguments", where));
    }
    e.arity = arity.get<int>();
    e.behaviour = reader.texts(ops[i], "behaviour", where);
    if (!m.modules.contains(e.module))
      reader.bad(fmt::format("{} names module '{}', which is missing from 'modules'", where, e.module));
    const auto same = [&](const ManifestEntry& old) {
      return old.op == e.op && old.aux == e.aux && old.params == e.params && old.abi == e.abi;
    };
    if (std::ranges::any_of(m.entries, same))
      reader.bad(fmt::format("{} is a second function for the same op, parameters and ABI", where));
    m.entries.push_back(std::move(e));
  }
  for (const auto& [a, where] : reader.objects(root, "absent", "the manifest")) {
    m.absent.push_back({reader.text(*a, "op", where), reader.text(*a, "reason", where),
                        reader.boolean(*a, "left_out", where), reader.pairs(*a, "params", where)});
  }
  for (const auto& [file, where] : reader.objects(root, "uncovered", "the manifest")) {
    UncoveredSource source;
    static_cast<SourceFile&>(source) = reader.source_file(*file, where);
    source.changed = reader.boolean(*file, "changed", where);
    source.unmapped = reader.boolean(*file, "unmapped", where);
    source.functions = reader.texts(*file, "functions", where);
    m.uncovered.push_back(std::move(source));
  }
  for (const auto& [file, where] : reader.objects(root, "uncalled", "the manifest")) {
    m.uncalled.push_back({reader.text(*file, "path", where), reader.texts(*file, "functions", where)});
  }
  return m;
}

const ManifestEntry* Manifest::find(const Call& call, std::string* why) const {
  bool op_known = false;
  std::vector<std::string> built;
  for (const ManifestEntry& e : entries) {
    if (e.op != call.op || e.aux != call.aux) continue;
    op_known = true;
    const bool serves = std::ranges::all_of(e.params, [&](const auto& p) {
      return call.compile.has(p.first) && std::ranges::count(split(p.second, '|'), call.compile.text(p.first)) != 0;
    });
    if (serves) return &e;
    std::string text;
    for (const auto& [k, v] : e.params) text += fmt::format("{}{}={}", text.empty() ? "" : ",", k, v);
    built.push_back(text);
  }
  if (why != nullptr) {
    if (op_known) {
      *why = fmt::format("set '{}' has no variant of '{}' for {}; it has {}", name, call.op, call.compile.str(),
                         fmt::join(built, " | "));
    } else {
      *why = fmt::format("set '{}' has no op '{}'{}", name, call.op,
                         call.aux.empty() ? "" : fmt::format(" with a function '{}'", call.aux));
      for (const AbsentOp& a : absent) {
        if (a.op == call.op) *why += ": " + a.reason;
      }
    }
  }
  return nullptr;
}

bool Manifest::has_op(const std::string& op) const {
  return std::ranges::any_of(entries, [&](const ManifestEntry& e) { return e.op == op && e.aux.empty(); });
}

std::vector<std::string> set_roots() {
  std::vector<std::string> roots;
  if (const char* env = std::getenv("DSV4DIFF_SETS")) roots = split(env, ':');
  const fs::path exe = executable_folder();
  for (const fs::path& candidate :
       {exe / "sets", exe / ".." / "lib" / "dsv4diff" / "sets", fs::path("build") / "sets"}) {
    std::error_code code;
    const fs::path real = fs::weakly_canonical(candidate, code);
    if (!code && fs::is_directory(real) && std::ranges::find(roots, real.string()) == roots.end())
      roots.push_back(real.string());
  }
  return roots;
}

std::vector<std::string> installed_sets() {
  std::vector<std::string> names;
  for (const std::string& root : set_roots()) {
    std::error_code code;
    for (const auto& item : fs::directory_iterator(root, code)) {
      std::error_code none;
      if (fs::exists(item.path() / "manifest.json", none)) names.push_back(item.path().filename().string());
    }
  }
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()),
              names.end());  // clang 14 cannot compile std::ranges::unique of libstdc++ 12
  return names;
}

Manifest find_set(const std::string& name_or_path) {
  // False, without an exception, if the text cannot be a path, for example because it is too long.
  const auto is_set = [](const fs::path& folder) {
    std::error_code code;
    return fs::exists(folder / "manifest.json", code);
  };
  if (!name_or_path.empty() && is_set(name_or_path)) return Manifest::load(name_or_path);
  if (!name_or_path.empty() && name_or_path.find('/') == std::string::npos) {
    for (const std::string& root : set_roots()) {
      const fs::path folder = fs::path(root) / name_or_path;
      if (is_set(folder)) return Manifest::load(folder.string());
    }
  }
  std::error_code none;
  if (!name_or_path.empty() && fs::is_directory(name_or_path, none) &&
      (name_or_path.find('/') != std::string::npos || name_or_path == "." || name_or_path == "..")) {
    throw Error(fmt::format("set '{}': this folder has no manifest.json, so it is not a kernel set. Build it again",
                            name_or_path));
  }
  const auto names = installed_sets();
  throw Error(fmt::format(
      "unknown set '{}'{} Installed: {}. Give a name, or a folder with a manifest.json; scripts/setup builds the sets",
      shortened(name_or_path),
      names.empty() || nearest(name_or_path, names).empty() ? "." : did_you_mean(name_or_path, names),
      names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", "))));
}

bool device_available(DeviceKind kind, std::string* why) {
  if (kind != DeviceKind::kCuda) return true;
  static const std::string reason = gpu_missing();
  if (why != nullptr) *why = reason;
  return reason.empty();
}

std::map<std::string, std::string> origin_of(const Manifest& manifest) {
  auto origin = manifest.provenance;
  if (manifest.device == DeviceKind::kCuda) {
    static const auto facts = gpu_facts();  // cached, because a sweep of several sets or goldens needs them often
    origin.insert(facts.begin(), facts.end());
  }
  return origin;
}

std::string sha256_of_file(const std::string& path) {
  const auto digest = sha256_of(path);
  if (!digest) throw Error(fmt::format("{}: cannot be read", path));
  return *digest;
}

}  // namespace dsv4
