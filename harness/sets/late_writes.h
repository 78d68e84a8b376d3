/// Finds out what a call writes after it has let the stream's next kernel begin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/sets/module.h"

namespace dsv4 {

/// Finds out what a call writes after it has let the stream's next kernel begin.
class LateWriteWatch {
 public:
  explicit LateWriteWatch(Module& module) : module_(module) {}
  ~LateWriteWatch();
  LateWriteWatch(const LateWriteWatch&) = delete;
  LateWriteWatch& operator=(const LateWriteWatch&) = delete;

  /// Throws Unsupported if the module does not have the functions that watch a call, and Error if the options do not
  /// allow it.
  void require(const CallOptions& options) const;
  /// Watches `bytes` bytes at `memory`; `name` is their name in findings.
  void add(std::string name, const void* memory, std::size_t bytes);
  /// For each byte of watched memory: 1 if the next kernel may miss it. Empty if there is no such byte.
  [[nodiscard]] std::vector<std::uint8_t> late_bytes(const void* memory) const;
  /// A finding "written_late" for each kernel and memory.
  [[nodiscard]] std::vector<Finding> findings() const;

 private:
  struct Memory {
    std::string name;
    std::size_t bytes;
  };
  Module& module_;
  std::map<std::int64_t, Memory> watched_;  ///< by address
};

}  // namespace dsv4
