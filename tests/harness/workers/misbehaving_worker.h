/// A worker whose cases fail in the way that their ids say. It is the test program, started with the command line of
/// `misbehaving_worker()`.
#pragma once

#include <string>
#include <vector>

namespace dsv4::testing {

/// Returns the command line of a worker. `mode` is "cases", or says how the worker fails to start: "fatal", "dies" or
/// "mute".
std::vector<std::string> misbehaving_worker(const std::string& mode = "cases");

}  // namespace dsv4::testing
