/// Excuses single elements of outputs: a known fault explains their difference.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/call/output.h"

namespace dsv4 {

/// The elements of one output that a known fault explains. Each condition that is present must hold.
struct Excuse {
  /// A number for each row of the output, and the range in which the fault shows. The shape of `values`, i64, is the
  /// beginning of the output's shape: [tokens] or [tokens, columns] for an output [tokens, columns]. If the output is
  /// keyed, the key of a record takes the place of its row.
  struct Fact {
    HostTensor values;
    std::int64_t low = 0;
    std::int64_t high = 0;
  };
  std::string id;  ///< of the known fault
  std::string output;
  std::vector<Fact> facts;
  /// If present, the element must have the value that the variant gives, within the variant's tolerance.
  std::optional<Alternative> alternative{};
  bool of_other_side = false;  ///< the variant is of the other side, so the other side's element must have this value
};

/// For each element of an output, the excuse that holds for it.
struct ExcusedElements {
  HostTensor by;                 ///< i32, the shape of the output: 0, or 1 + the index in `ids`; empty: no element
  std::vector<std::string> ids;  ///< of the known faults
};

/// The two sides of a keyed output, so that each row has the same key on both sides.
struct JoinedRecords {
  Output got;
  Output want;
  std::vector<bool> got_has;   ///< false: this side has no such record; its row then differs in each element
  std::vector<bool> want_has;  ///< false: the other side has no such record
};

/// Joins two keyed outputs, i32 [n, fields] and i32 [m, fields], by their keys. Both are sorted by key. If a key occurs
/// several times, its records are joined in order. nullopt if the outputs are not keyed or have another form, or if
/// their keys are equal already.
std::optional<JoinedRecords> join_records(const Output& got, const Output& want);

/// Finds the elements that are excused. `joined` is null if the sides were not joined. `scale` multiplies the bounds of
/// alternatives.
ExcusedElements excused_elements(const Output& got, const Output& want, const std::vector<Excuse>& excuses,
                                 double scale = 1.0, const JoinedRecords* joined = nullptr);

}  // namespace dsv4
