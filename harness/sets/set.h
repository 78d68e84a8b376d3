/// Reads the manifests of kernel sets on disk, and opens sets for calls.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "harness/call/call.h"

namespace dsv4 {

enum class DeviceKind { kCpu, kSimt, kCuda };
std::string_view name_of(DeviceKind kind);

struct ManifestEntry {
  std::string op;
  std::string aux;
  std::map<std::string, std::string> params;  ///< a value may list several: "128|512"
  std::string module;
  std::string function;
  std::string abi;
  int arity = 0;
  /// What this function computes otherwise than other functions of the same ABI, as names (docs/sets.md lists them).
  std::vector<std::string> behaviour;
};

/// A source file of upstream: the bytes that a set was built from.
struct SourceFile {
  std::string path;                   ///< relative to the folder that holds upstream's csrc/ and include/
  std::string sha256;                 ///< of the file as it was found, before any edit of the build
  std::vector<std::string> releases;  ///< the releases in upstream_sources.json in which this path has these bytes
};

/// A source file that no module of the set includes. So no case of the set can show a fault in it.
struct UncoveredSource : SourceFile {
  bool changed = false;   ///< it differs from the release that the set's sources descend from, or is new there
  bool unmapped = false;  ///< no rule maps it to an op; false also if the manifest is older
  std::vector<std::string> functions = {};  ///< the functions that upstream exports from it, such as "MaskKernel::run"
};

/// Functions that upstream exports from a source file that a module includes, and that no op calls.
struct UncalledFunctions {
  std::string path;
  std::vector<std::string> functions;
};

struct ManifestModule {
  std::string sha256;
  std::string source;
  std::vector<SourceFile> sources;  ///< the main source and all files that it includes; empty if the manifest is older
  std::vector<std::string> flags;
  std::vector<std::string> edits;
};

struct AbsentOp {
  std::string op;
  std::string reason;
  bool left_out = false;                      ///< the op was not built because the build was told to build other ops
  std::map<std::string, std::string> params;  ///< if not empty, only the variant with these parameters is missing
};

struct Manifest {
  std::string folder;  ///< folder from which the manifest was read
  std::string name;
  DeviceKind device = DeviceKind::kCpu;
  bool errors_name_arguments = false;
  std::map<std::string, std::string> provenance;
  std::map<std::string, ManifestModule> modules;
  std::vector<ManifestEntry> entries;
  std::vector<AbsentOp> absent;
  std::vector<UncoveredSource> uncovered;
  std::vector<UncalledFunctions> uncalled;  ///< empty also if the manifest is older

  /// Reads `<folder>/manifest.json` (schema 1). Throws an Error that names the file and the wrong field. Refuses a
  /// newer schema, a module path outside the folder, and a file that is too large.
  static Manifest load(const std::string& folder);

  /// Returns the entry for a call. If the set has none, returns nullptr and stores the reason in `*why`, unless `why`
  /// is null.
  [[nodiscard]] const ManifestEntry* find(const Call& call, std::string* why = nullptr) const;
  [[nodiscard]] bool has_op(const std::string& op) const;
};

/// Returns the folders in which a set is searched by its name, in this order: the folders in $DSV4DIFF_SETS (separated
/// by colons), `sets/` in the folder of the executable, `lib/dsv4diff/sets` of an installation, and `build/sets` in the
/// current folder.
std::vector<std::string> set_roots();
/// Returns the names of the sets in these folders, sorted.
std::vector<std::string> installed_sets();
/// Loads the manifest of a set. The set is given by its name or by the path of its folder. If there is no such set,
/// throws an Error with a suggestion.
Manifest find_set(const std::string& name_or_path);

/// For each op, the signature variants that this tool can call.
using KnownAbis = std::map<std::string, std::vector<std::string>>;

/// Opens a set for calls. Throws Error if its device is absent (no CUDA driver or no LibTorch), or if a module and this
/// program are not built with the same sanitizer (harness/sets/sanitizer.h). The SHA-256 of a module is verified when
/// the module is first used. If the module is missing or was changed, the call throws an Error that names set, op and
/// function. `abis` lists ops with their known signature variants. If it lists the op of a call, but not the variant of
/// the set's function, the call throws Unsupported.
std::unique_ptr<Caller> open_set(const Manifest& manifest, KnownAbis abis = {});

/// Throws SetError if a module that a call of these ops may need is missing or was changed.
void require_intact(const Manifest& manifest, const std::set<std::string>& ops);

/// True if sets of this kind can run on this machine. Otherwise stores the reason in `*why`, unless `why` is null.
bool device_available(DeviceKind kind, std::string* why = nullptr);

/// Returns the provenance from the manifest. For a set that runs on a GPU, it also contains the name of this machine's
/// GPU and the version of its driver.
std::map<std::string, std::string> origin_of(const Manifest& manifest);

/// Returns the SHA-256 of a file as lower-case hex. Throws Error if the file cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace dsv4
