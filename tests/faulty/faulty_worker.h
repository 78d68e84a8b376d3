/// A worker process that tries cases of the test ops on the faulty module. The test program itself becomes it.
#pragma once

#include <string>
#include <vector>

namespace dsv4::testing {

/// Command line of the worker.
std::vector<std::string> faulty_worker();

}  // namespace dsv4::testing
