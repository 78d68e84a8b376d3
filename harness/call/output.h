/// The outputs of a call in canonical form, in which two implementations must agree.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/core/tensor.h"

namespace dsv4 {

struct Output {
  std::string name;
  /// The value in canonical form. Elements whose order is free are sorted. Rows are joined by key. Fields that do not
  /// matter are set to a constant.
  HostTensor value;
  /// True for a list of records: a tensor [n, fields] whose rows are sorted by the first field, their key. If a record
  /// is missing on one side, the other records are still compared with their counterparts.
  bool keyed = false;
};

/// Canonical outputs of one call, and errors in them that can be found without the other side (range, duplicates,
/// sentinels, invariants).
struct Observation {
  std::vector<Output> outputs;
  std::vector<Finding> findings;

  Observation& add(std::string name, HostTensor value, bool keyed = false) {
    outputs.push_back({std::move(name), std::move(value), keyed});
    return *this;
  }
  Observation& find(std::string check, std::string detail) {
    findings.push_back({std::move(check), std::move(detail)});
    return *this;
  }
  [[nodiscard]] const HostTensor& output(const std::string& name) const;
};

/// The allowed difference between the two sides' values of one output. The kind and its reason are documented for
/// every op.
struct Tolerance {
  enum class Kind {
    kExact,     ///< same bits
    kExactNan,  ///< same bits, except that any NaN equals any NaN
    kBound,     ///< |got - want| <= bound per element; NaN and infinity are at the same places on both sides
    kInterval,  ///< low <= got <= high in the dtype's order; `got` is certified if its bits differ from want's
  };
  Kind kind = Kind::kExact;
  HostTensor bound;  ///< kBound: f32 or f64, same shape as the output
  HostTensor low;    ///< kInterval: same dtype and shape as the output
  HostTensor high;
  std::string reason = "every implementation must give these bits";  ///< the formula, or why it is exact

  static Tolerance exact(std::string reason);
  static Tolerance exact_nan(std::string reason);
  static Tolerance within(HostTensor bound, std::string reason);
  static Tolerance between(HostTensor low, HostTensor high, std::string reason);
};

using Tolerances = std::map<std::string, Tolerance>;  ///< by output name; an output without an entry is exact

/// What a variant of the op gives instead of the op's outputs. An output without an entry is the same in both.
struct Alternative {
  std::vector<Output> outputs;
  Tolerances tolerances;
};

}  // namespace dsv4
