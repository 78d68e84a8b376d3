/// A worker whose cases misbehave as their names say. The test program itself becomes it when it is started with
/// `misbehaving_worker()`.
#pragma once

#include <string>
#include <vector>

namespace dsv4::testing {

/// Command line of a worker. `mode`: "cases", or how the worker fails to start ("fatal", "dies", "mute").
std::vector<std::string> misbehaving_worker(const std::string& mode = "cases");

}  // namespace dsv4::testing
