/// Rows of bfloat16 whose last 64 elements are rotated after they were normalised and rounded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reference/common/rows.h"
#include "reference/common/view.h"
#include "reference/elementwise/rotation.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {

/// A row after normalisation, rounded to bfloat16.
using NormedRow = std::vector<Bf16>;

inline NormedRow rounded(const Eigen::ArrayXf& row) {
  NormedRow y;
  for (const float x : row) y.push_back(to_bf16(x));
  return y;
}

/// Calls `each(d, angle)` for each pair of elements that is rotated: `d` is its first element. A token whose position
/// is outside the table has no such pair.
template <class Each>
void for_each_rotated_pair(std::size_t elements, const TokenAngles& angles, std::int64_t token, Each each) {
  if (!angles.has(token)) return;
  const std::size_t first = elements - static_cast<std::size_t>(kRotaryDim);
  for (std::size_t d = first; d < elements; d += 2)
    each(d, angles.angle(token, static_cast<std::int64_t>((d - first) / 2)));
}

/// Rotates the last 64 elements by the angles of the token, and rounds them again.
inline void rotate_tail(NormedRow& y, const TokenAngles& angles, std::int64_t token) {
  for_each_rotated_pair(y.size(), angles, token, [&](std::size_t d, Complex angle) {
    const Product product = rotated({to_float(y[d]), to_float(y[d + 1])}, angle);
    y[d] = to_bf16(left_exact(product.re));
    y[d + 1] = to_bf16(left_exact(product.im));
  });
}

/// The interval of each element of a row whose tail is rotated. `ends` are the rows for both ends of the factor.
///
/// A normalised element grows or shrinks with the factor, so its ends are the two elements. Each part of a rotated pair
/// grows or shrinks with each of the two elements, so their ends give its ends, together with the three results of each
/// sum (rotation.h).
inline std::vector<Bracket> brackets_of(const std::array<NormedRow, 2>& ends, const TokenAngles& angles,
                                        std::int64_t token) {
  std::vector<Bracket> brackets(ends[0].size());
  for (std::size_t d = 0; d < brackets.size(); ++d) {
    for (const NormedRow& y : ends) brackets[d].include(y[d]);
  }
  for_each_rotated_pair(brackets.size(), angles, token, [&](std::size_t d, Complex angle) {
    brackets[d] = brackets[d + 1] = Bracket();
    for (const NormedRow& a : ends) {
      for (const NormedRow& b : ends) {
        const Product product = rotated({to_float(a[d]), to_float(b[d + 1])}, angle);
        brackets[d].include(product.re);
        brackets[d + 1].include(product.im);
      }
    }
  });
  return brackets;
}

}  // namespace dsv4::reference
