/// The benchmark's view of a kernel set: its manifest and the functions in its modules.
#pragma once

#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace dsv4::bench {

/// Compile-time parameters of an op, as in a manifest.
using Params = std::map<std::string, std::string>;

class KernelSet {
 public:
  /// Reads `<folder>/manifest.json`. Throws Error if it is missing, malformed, of another schema, or not a CUDA set.
  explicit KernelSet(const std::string& folder);

  const std::string& name() const { return name_; }
  /// What the manifest says about where the set comes from: package, version, compiler, ...
  const nlohmann::json& provenance() const { return manifest_.at("provenance"); }

  /// The function that serves `op` under ABI variant `abi` for these parameters: of an entry that names a parameter,
  /// the value must agree; an entry that does not name it serves every value. Loads the module, whose SHA-256 must be
  /// the manifest's. Empty if the set has no such entry.
  std::optional<tvm::ffi::Function> find(const std::string& op, const std::string& abi, const Params& params);

 private:
  std::string folder_;
  std::string name_;
  nlohmann::json manifest_;
  std::map<std::string, tvm::ffi::Module> loaded_;
};

}  // namespace dsv4::bench
