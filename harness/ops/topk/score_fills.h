/// Distributions of scores. Top-k kernels have failed with such scores or could fail.
#pragma once

#include <bit>
#include <cstdint>
#include <set>
#include <string>

#include "harness/generate/fills.h"

namespace dsv4 {

/// Fills of a row from which `k` elements are selected.
inline Fills score_fills(std::int64_t k) {
  using namespace fills;
  // Numbers of all magnitudes, and quiet and signalling NaN.
  const auto wide_bits = [](Random& r, Elements x) {
    for (std::int64_t i = 0; i < x.size(); ++i) x.set_bits(i, std::bit_cast<std::uint32_t>(r.wide(-140, 127)));
  };
  return {gauss(),
          uniform(0, 1),
          {"wide", wide_bits},
          permutation(),
          ascending(),
          descending(),
          integers(-3, 3, "ties"),
          equal(),
          maxima(k),
          plateau(k),
          last_best(),
          signed_zeros(k),
          relu(),
          denormal(),
          cluster(),
          offset(),
          tiny(),
          huge(),
          f16_midpoints(),
          one_inf(),
          many_inf(k),
          minus_inf(k),
          one_nan(),
          half_nan(),
          all_nan()};
}

/// True if with this fill all selected scores may be equal, so that all compared values are equal. Such a case still
/// tests that the positions are distinct, in range and correctly mapped.
inline bool may_select_equal_scores(const std::string& fill) {
  static const std::set<std::string> kFills{"equal", "maxima", "ties", "many_inf", "huge", "half_nan", "all_nan"};
  return kFills.contains(fill);
}

}  // namespace dsv4
