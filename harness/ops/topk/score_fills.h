/// Distributions of scores. Top-k kernels have failed with such scores or could fail.
#pragma once

#include <bit>
#include <cstdint>

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

}  // namespace dsv4
