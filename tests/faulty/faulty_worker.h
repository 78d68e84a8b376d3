/// A worker process that tries cases of the test ops on the faulty module. It is the test program, started with a flag.
#pragma once

#include <string>
#include <vector>

namespace dsv4::testing {

/// The command line that starts the worker.
std::vector<std::string> faulty_worker();

}  // namespace dsv4::testing
