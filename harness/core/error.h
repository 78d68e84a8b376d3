/// The exceptions of the project, all of them.
#pragma once

#include <stdexcept>
#include <string>

namespace dsv4 {

/// The call or the environment is at fault (exit status 2): the text says what is wrong, where, and what to do.
/// A difference between kernels is never an Error: it is a verdict.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An access to a tensor that its dtype, its shape or its storage does not allow. Where a kernel returned the tensor, its
/// case gets the finding `unreadable`.
class TensorError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The set lacks the op or the compile-time variant: verdict `unsupported` with this reason.
class Unsupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// This machine has too little memory for the call: verdict `skipped` with this reason.
class Unavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A function refused a call that a scenario holds to be valid: verdict `error` with this reason.
class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The GPU context is dead (illegal address, trap, ...): no other kernel can run in this process.
class DeviceLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace dsv4
