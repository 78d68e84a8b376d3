/// The reason why the last launch failed, as text.
#pragma once

#include <vector_types.h>

#include <cstdint>
#include <string>

#pragma GCC visibility push(hidden)

namespace simt {

struct Fault {
  int code = 0;  ///< a cudaError_t
  std::string text;
};

/// The fault of the launch in progress or, between launches, of the last one. cudaGetErrorString shows its text.
const Fault& last_fault();
void set_fault(int code, std::string text);
void clear_fault();

/// The readable name of a kernel, from the module's symbol table. If the module was stripped, its address.
std::string kernel_name(const void* kernel);

std::string to_string(const uint3& index);
std::string to_hex(std::uint32_t value);

/// Whether the caller runs in a kernel.
bool in_kernel();

}  // namespace simt

#pragma GCC visibility pop
