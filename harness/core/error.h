/// All exceptions of the project.
#pragma once

#include <stdexcept>
#include <string>

namespace dsv4 {

/// The command or the environment is wrong (exit status 2). The text says what is wrong, where, and what to do. A
/// difference between kernels is never an Error but a verdict.
class Error : public std::runtime_error {
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

/// A function refused a call that is valid according to a scenario: verdict `error` with this reason.
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
