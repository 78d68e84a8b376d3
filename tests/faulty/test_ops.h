/// Small ops of the test program, whose last parameter is the fault that the module under test commits, and the
/// two sets that serve them: `faulty` (tests/faulty/faulty.cpp) and the truth (tests/faulty/right.cpp).
///
///   test_copy    out = in, f32, rows strided; the output is a separate argument
///   test_store   six bytes into each named slot of eight; an argument that is changed in place
///   test_plan    (rows, count) from lengths; values that the function returns
///   test_broken  test_copy, but the definition of the op throws where the parameter `throws` says
#pragma once

#include <memory>
#include <string>

#include "harness/call/call.h"
#include "harness/verdict/result.h"

namespace dsv4::testing {

/// Registers the test ops. It may be called more than once. The test program calls it before main(). A worker starts
/// even earlier (faulty_worker.cpp), so it calls this function itself.
void register_test_ops();

/// The module under test, and the reference of the test ops. Each throws Error if the build did not make them.
std::unique_ptr<Caller> open_faulty();
std::unique_ptr<Caller> open_right();

/// Id of a case of a test op: "copy", "store", "plan" or "broken" with a fault. `scenario`: "" or a label. `changes`
/// replaces default parameters: {{"fill", "zeros"}}.
std::string test_case_id(const std::string& op, const std::string& fault, const std::string& scenario = "",
                         const Params& changes = {});

/// Tries the case on the faulty module against the reference.
CaseResult try_faulty(const std::string& id);
/// Tries the case on the right module, with the faulty module as the reference.
CaseResult try_with_faulty_reference(const std::string& id);

}  // namespace dsv4::testing
