/// Rows of bfloat16 or float whose last 64 elements are rotated after they were normalised and rounded.
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
/// is outside the table has no such pair. With an AngleTable, `token` is the position itself.
template <class Angles, class Each>
void for_each_rotated_pair(std::size_t elements, const Angles& angles, std::int64_t token, Each each) {
  if (!angles.has(token)) return;
  const std::size_t first = elements - static_cast<std::size_t>(kRotaryDim);
  for (std::size_t d = first; d < elements; d += 2)
    each(d, angles.angle(token, static_cast<std::int64_t>((d - first) / 2)));
}

/// Rotates the last 64 elements by the angles of the token, and rounds them again.
template <class Element, class Angles>
void rotate_tail(std::vector<Element>& y, const Angles& angles, std::int64_t token) {
  for_each_rotated_pair(y.size(), angles, token, [&](std::size_t d, Complex angle) {
    const Product product = rotated({widened(y[d]), widened(y[d + 1])}, angle);
    y[d] = rounded_to<Element>(left_exact(product.re));
    y[d + 1] = rounded_to<Element>(left_exact(product.im));
  });
}

/// The interval of each element of a row whose tail is rotated. `ends` are the rows for both ends of the factor.
///
/// A normalised element grows or shrinks with the factor, so its ends are the two elements. Each part of a rotated pair
/// grows or shrinks with each of the two elements, so their ends give its ends, together with the three results of each
/// sum (rotation.h).
template <class Element, class Angles>
std::vector<BracketOf<Element>> brackets_of(const std::array<std::vector<Element>, 2>& ends, const Angles& angles,
                                            std::int64_t token) {
  std::vector<BracketOf<Element>> brackets(ends[0].size());
  for (std::size_t d = 0; d < brackets.size(); ++d) {
    for (const auto& y : ends) brackets[d].include(y[d]);
  }
  for_each_rotated_pair(brackets.size(), angles, token, [&](std::size_t d, Complex angle) {
    brackets[d] = brackets[d + 1] = BracketOf<Element>();
    for (const auto& a : ends) {
      for (const auto& b : ends) {
        const Product product = rotated({widened(a[d]), widened(b[d + 1])}, angle);
        brackets[d].include(product.re);
        brackets[d + 1].include(product.im);
      }
    }
  });
  return brackets;
}

}  // namespace dsv4::reference
