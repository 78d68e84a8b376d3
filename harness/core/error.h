/// All exceptions of the project.
#pragma once

#include <stdexcept>
#include <string>

namespace dsv4 {

/// The command or the environment is wrong (exit status 2). The text says what is wrong, where, and what to do. A
/// difference between kernels is a verdict, never an Error.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A kernel set cannot be used, for example because a module was altered or does not match the manifest.
class SetError : public Error {
 public:
  using Error::Error;
};

/// dsv4diff itself is wrong (exit status 2): its own code threw an exception that it must not throw. The exception says
/// nothing about a kernel or the user's command.
class InternalError : public std::runtime_error {
 public:
  /// `where` names the code that threw: the op, the case and the step. `what` is the text of the exception.
  InternalError(const std::string& where, const std::string& what)
      : std::runtime_error(std::string(kStart) + where + ": " + what +
                           ". This is a fault of dsv4diff, not of the kernel") {}

  /// True if `text` contains the text of an InternalError. Other text, such as the name of a file, may come first.
  static bool is_in(const std::string& text) { return text.find(kStart) != std::string::npos; }

 private:
  static constexpr const char* kStart = "internal error: ";
};

/// An access to a tensor does not fit the dtype, the shape or the storage of the tensor. If a kernel returned the
/// tensor, the case gets the finding `unreadable`.
class TensorError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Base of the exceptions that end a case with a verdict.
class CaseEnd : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The set lacks the op or the compile-time variant: verdict `unsupported` with this reason.
class Unsupported : public CaseEnd {
 public:
  using CaseEnd::CaseEnd;
};

/// This machine has too little memory for the call: verdict `skipped` with this reason.
class Unavailable : public CaseEnd {
 public:
  using CaseEnd::CaseEnd;
};

/// A function refused a call that is valid according to a scenario: verdict `error` with this reason.
class Refused : public CaseEnd {
 public:
  using CaseEnd::CaseEnd;
};

/// The GPU context is dead (illegal address, trap, ...): no other kernel can run in this process.
class DeviceLost : public CaseEnd {
 public:
  using CaseEnd::CaseEnd;
};

}  // namespace dsv4
