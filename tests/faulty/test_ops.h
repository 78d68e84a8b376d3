/// Small ops for tests. Their last parameter is the fault that the module under test commits. Two sets implement the
/// ops: `faulty` (tests/faulty/faulty.cpp) and the reference (tests/faulty/right.cpp).
///
///   test_copy    copies f32 rows with strides; the output is a separate argument
///   test_store   writes six bytes into each named slot of eight bytes; it changes an argument in place
///   test_plan    makes (rows, count) from lengths; the function returns both
///   test_broken  calls test_copy; one part of its definition throws, which the parameter `throws` names
#pragma once

#include <memory>
#include <string>

#include "harness/call/call.h"
#include "harness/verdict/result.h"

namespace dsv4::testing {

/// Registers the test ops. It may be called more than once. The test program calls it before main(). A worker starts
/// even earlier (faulty_worker.cpp), so it calls this function itself.
void register_test_ops();

/// Open the module under test and the reference of the test ops. They throw Error if the build did not make
/// these modules.
std::unique_ptr<Caller> open_faulty();
std::unique_ptr<Caller> open_right();

/// Returns the id of a case of a test op with a fault. `op` is "copy", "store", "plan" or "broken". `scenario` is "" or
/// a label. `changes` replaces default parameters, for instance {{"fill", "zeros"}}.
std::string test_case_id(const std::string& op, const std::string& fault, const std::string& scenario = "",
                         const Params& changes = {});

/// Tries the case on the faulty module, with the right module as the reference.
CaseResult try_faulty(const std::string& id);
/// Tries the case on the right module, with the faulty module as the reference.
CaseResult try_with_faulty_reference(const std::string& id);

}  // namespace dsv4::testing
