/// The fault of a launch: the error code and a text that says why the launch failed.
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

/// The fault of the launch in progress. Between launches, it is the fault of the last launch. cudaGetErrorString shows
/// its text.
const Fault& last_fault();
void set_fault(int code, std::string text);
void clear_fault();

/// Returns the readable name of a kernel, from the module's symbol table. If the table was removed, returns a text with
/// the kernel's address.
std::string kernel_name(const void* kernel);

std::string to_string(const uint3& index);
std::string to_hex(std::uint32_t value);

/// Whether the caller runs in a kernel.
bool in_kernel();

}  // namespace simt

#pragma GCC visibility pop
