/// Kernel sets on disk: the manifest, and a Caller made from it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/call/call.h"

namespace dsv4 {

enum class DeviceKind { kCpu, kSimt, kCuda };
std::string_view name_of(DeviceKind kind);

struct ManifestEntry {
  std::string op;
  std::string aux;
  std::map<std::string, std::string> params;
  std::string module;
  std::string function;
  std::string abi;
  int arity = 0;
};

struct ManifestModule {
  std::string sha256;
  std::string source;
  std::vector<std::string> flags;
  std::vector<std::string> edits;
};

struct AbsentOp {
  std::string op;
  std::string reason;
};

struct Manifest {
  std::string folder;  ///< where it was read from
  std::string name;
  DeviceKind device = DeviceKind::kCpu;
  bool errors_name_arguments = false;
  std::map<std::string, std::string> provenance;
  std::map<std::string, ManifestModule> modules;
  std::vector<ManifestEntry> entries;
  std::vector<AbsentOp> absent;

  /// Reads `<folder>/manifest.json` (schema 1). Throws an Error that names the file and the wrong field. Refuses a
  /// newer schema, a module path outside the folder, and an oversized file.
  static Manifest load(const std::string& folder);

  /// The entry that serves a call. Returns nullptr if there is none; then `why` receives the reason.
  [[nodiscard]] const ManifestEntry* find(const Call& call, std::string* why = nullptr) const;
  [[nodiscard]] bool has_op(const std::string& op) const;
};

/// Folders in which sets are searched by name: those in $DSV4DIFF_SETS (colon-separated), then `sets/` beside the
/// executable, `lib/dsv4diff/sets` of an installation, and `build/sets`.
std::vector<std::string> set_roots();
/// Names of the sets found in the roots, sorted.
std::vector<std::string> installed_sets();
/// Loads a set by its name, or by the path of a folder with a manifest. Throws an Error with a suggestion if there
/// is none.
Manifest find_set(const std::string& name_or_path);

/// For each op, the signature variants that this tool can call.
using KnownAbis = std::map<std::string, std::vector<std::string>>;

/// Opens a set for calling. Throws Error if the device is absent (no CUDA driver or no LibTorch). Each module's SHA-256
/// is verified when it is first used. If the module is missing or was changed, the call throws an Error that names set,
/// op and function. A call of an op in `abis` throws Unsupported unless its signature variant is listed there.
std::unique_ptr<Caller> open_set(const Manifest& manifest, KnownAbis abis = {});

/// True if sets of this kind can run here; otherwise `why` receives the reason.
bool device_available(DeviceKind kind, std::string* why = nullptr);

/// The manifest's provenance and, for a set that runs on a GPU, the name of this machine's GPU and the version of
/// its driver.
std::map<std::string, std::string> origin_of(const Manifest& manifest);

/// SHA-256 of a file as lower-case hex. Throws Error if it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace dsv4
