/// The cases on which references are compared with LibTorch.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/harness/ops/specimen.h"

namespace dsv4::testing {

/// Calls `check(specimen)` for every case of the quick tier without a scenario.
template <class Check>
void for_each_quick_case(const std::string& op, const Check& check) {
  std::size_t cases = 0;
  for (const Case& c : cases_of(*find_op(op), Tier::kQuick)) {
    if (!c.scenario.empty()) continue;
    SCOPED_TRACE(c.id());
    ++cases;
    check(Specimen(c.id()));
    if (::testing::Test::HasFailure()) return;  // the other cases would repeat it
  }
  EXPECT_GT(cases, 20u);
}

}  // namespace dsv4::testing
