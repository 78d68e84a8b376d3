/// Exceptions of dsv4diff's own code, which must never be blamed on a kernel.
#pragma once

#include <exception>
#include <string>
#include <string_view>

#include "harness/case/case.h"
#include "harness/core/error.h"

namespace dsv4 {

/// True for an exception whose type says what it is about: a verdict of the case (CaseEnd), a set that cannot be used
/// (SetError), memory that ran out, an InternalError. Any other exception says only that some code failed.
bool says_its_cause(const std::exception& e);

/// The InternalError of a case: it names the op, the case and the step that failed.
InternalError internal_error(const Case& c, std::string_view step, const std::exception& e);

/// Runs code of an op or of the harness, no kernel. What it throws becomes an InternalError of this step, unless the
/// exception says its cause.
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
