/// The one error type of the harness.
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

}  // namespace dsv4
