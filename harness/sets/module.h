/// A module of a kernel set, loaded into this process.
#pragma once

#include <tvm/ffi/extra/module.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dsv4 {

struct Module {
  tvm::ffi::Module module;
  // Only modules of host sets have these functions. simt/configure.cpp describes them.
  std::optional<tvm::ffi::Function> configure;
  std::optional<tvm::ffi::Function> predecessor;
  std::optional<tvm::ffi::Function> no_predecessor;
  std::optional<tvm::ffi::Function> watch;
  std::optional<tvm::ffi::Function> late_writes;
  std::optional<tvm::ffi::Function> late_bytes;
  std::optional<tvm::ffi::Function> no_watch;
  std::uint64_t schedule = 0;
};

/// Loads the module file at `path`. If that fails, throws SetError; `where` says in the message what needs the module.
Module load_module(const std::string& path, const std::string& where);

/// Stands for the stream's previous kernel, which is still writing when the call begins.
class Predecessor {
 public:
  explicit Predecessor(Module& module) : module_(module) {}
  ~Predecessor();
  Predecessor(const Predecessor&) = delete;
  Predecessor& operator=(const Predecessor&) = delete;

  /// Throws Unsupported if the module does not have the functions that simulate a previous kernel.
  void require() const;

  /// Tells the host executor that the previous kernel writes to `memory`. `earlier` is the content of `memory` before
  /// these writes. The executor keeps a copy of `earlier`.
  void writes(void* memory, const std::vector<std::uint8_t>& earlier);

 private:
  Module& module_;
  bool writes_ = false;
};

}  // namespace dsv4
