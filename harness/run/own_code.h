/// Turns exceptions of dsv4diff's own code into InternalError, so that they never count as a fault of a kernel.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "harness/case/case.h"
#include "harness/core/error.h"

namespace dsv4 {

/// True for an exception whose type names its cause: CaseEnd (a verdict of the case), SetError (a set cannot be used),
/// std::bad_alloc (memory ran out) or InternalError. Any other exception says only that some code failed.
bool says_its_cause(const std::exception& e);

/// Makes an InternalError that names the op, the case and the step that failed.
InternalError internal_error(const Case& c, std::string_view step, const std::exception& e);

/// Runs code of an op or of the harness; the kernel under test does not run in it. If the code throws, throws an
/// InternalError that names this step. An exception that names its cause is thrown unchanged (says_its_cause).
template <class Code>
decltype(auto) own_code(const Case& c, std::string_view step, const Code& code) {
  try {
    return code();
  } catch (const std::exception& e) {
    if (says_its_cause(e)) throw;
    throw internal_error(c, step, e);
  }
}

}  // namespace dsv4
