/// Known faults and the code of sets, for tests.
#pragma once

#include <string>
#include <vector>

#include "harness/run/known_faults.h"

namespace dsv4::testing {

/// The code of release 1.2 of a package, in which known_fault() is. It does not tell its sources.
inline SetCode release_1_2() { return {.label = "old", .package = "upstream", .version = "1.2", .ops = {}}; }

/// A fault of an op in releases 1.0 to 2.0 of that package.
inline KnownFault known_fault(const std::string& id, const std::string& op, std::vector<std::string> covers = {}) {
  KnownFault f;
  f.id = id;
  f.ops = {op};
  f.package = "upstream";
  f.since = "1.0";
  f.fixed = "2.0";
  f.covers = std::move(covers);
  f.summary = "it does that";
  return f;
}

/// A policy that knows this fault, for a set made from release_1_2().
inline Policy policy_of(const KnownFault& fault, bool keep_known = true) {
  return {.known = KnownFaults({fault}), .keep_known = keep_known, .subject = release_1_2()};
}

}  // namespace dsv4::testing
