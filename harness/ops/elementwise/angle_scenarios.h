/// What all ops with a table of angles share. The table is the argument freqs_cis. Each row of the batch has a position
/// in it, by default in the argument `positions`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// For each token: 1 if its position is outside the table of angles, or else 0.
HostTensor positions_outside(const Call& call);

/// The parameters about angles (`table`, `angles`, `at`) that are idle at this point. Position 0 does not rotate,
/// except with the angles "wild", which are any numbers. A table of one position has only position 0.
std::vector<std::string> idle_angles(const Params& p);

/// How the positions of a call are read and replaced.
struct PositionsOf {
  std::function<std::vector<std::int64_t>(const Call&)> read;
  std::function<void(Call&, const std::vector<std::int64_t>&)> write;
};
/// The positions in the argument `positions`.
PositionsOf positions_argument();

/// "relation:far_rows": the same angles are 65536 rows further down in the table.
Scenario angles_further_down(PositionsOf positions = positions_argument());

/// "relation:far_freqs_cis": the angles are at offsets beyond 2^32 elements.
Scenario far_angles(Points points, PositionsOf positions = positions_argument());

}  // namespace dsv4
