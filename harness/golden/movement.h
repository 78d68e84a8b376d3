/// Measures how far the outputs of a new recording are from those of the recording before it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/golden/columns.h"

namespace dsv4 {

/// One output of one case that has other bits in the new recording.
struct Movement {
  std::string id;
  std::string output;
  std::string form = {};  ///< "f32[4] became f32[5]" if dtype or shape changed, or only one recording has the output
  std::int64_t compared = 0;  ///< elements that both recordings keep; a large output is kept as a sample
  std::int64_t of = 0;        ///< elements of the output
  std::int64_t other = 0;     ///< compared elements with other bits
  std::int64_t ulp = 0;       ///< largest distance in units of the last place; NaN has no distance
  double relative = 0;        ///< largest |new - old| / max(|new|, |old|); infinity if one of them is NaN or infinite
};

/// Returns the outputs that moved in the cases that both recordings have, the farthest first.
std::vector<Movement> movements(const Golden& before, const Golden& after);

/// "12 of 512 elements have other bits, at most 3 ulp and 1.8e-07 relative".
std::string describe(const Movement& movement);

/// Returns the cases that passed when the old recording was made, and differ in the new one, sorted by id.
std::vector<std::string> newly_failing(const Golden& before, const Golden& after);

}  // namespace dsv4
