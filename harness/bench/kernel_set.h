/// A kernel set of the benchmark, which loads modules and finds their functions.
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
  /// Opens a set, by its name or its folder. Throws Error if the set cannot be read, or does not run on a GPU.
  explicit KernelSet(const std::string& name_or_folder);

  const std::string& name() const { return manifest_.name; }
  /// The manifest's texts on where the set comes from: package, version, compiler, ...
  const std::map<std::string, std::string>& provenance() const { return manifest_.provenance; }

  /// Returns the function for a call of `op`. Loads the function's module, whose SHA-256 must be the one in the
  /// manifest. The result is empty if the set does not have an entry for the call, or if the op cannot call the entry's
  /// signature variant.
  std::optional<tvm::ffi::Function> find(const Op& op, const Call& call);

 private:
  Manifest manifest_;
  std::map<std::string, tvm::ffi::Module> loaded_;
};

}  // namespace dsv4::bench
