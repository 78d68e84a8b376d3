/// A worker whose cases fail as their names say. It is the test program, started with the command line
/// of `misbehaving_worker()`.
#pragma once

#include <string>
#include <vector>

namespace dsv4::testing {

/// The command line of a worker. `mode`: "cases", or how the worker fails to start ("fatal", "dies", "mute").
std::vector<std::string> misbehaving_worker(const std::string& mode = "cases");

}  // namespace dsv4::testing
