/// A kernel set as the benchmark uses it: the functions in its modules.
#pragma once

#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <map>
#include <optional>
#include <string>

#include "harness/op/op.h"
#include "harness/sets/set.h"

namespace dsv4::bench {

class KernelSet {
 public:
  /// Takes a set's name or its folder. Throws Error if the set cannot be read, or does not run on a GPU.
  explicit KernelSet(const std::string& name_or_folder);

  const std::string& name() const { return manifest_.name; }
  /// What the manifest says about where the set comes from: package, version, compiler, ...
  const std::map<std::string, std::string>& provenance() const { return manifest_.provenance; }

  /// The function that serves a call of `op`. Loads the module, whose SHA-256 must be the one in the manifest. Empty if
  /// the set has no entry for the call, or if the op cannot call the entry's signature variant.
  std::optional<tvm::ffi::Function> find(const Op& op, const Call& call);

 private:
  Manifest manifest_;
  std::map<std::string, tvm::ffi::Module> loaded_;
};

}  // namespace dsv4::bench
