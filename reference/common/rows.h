/// Rows of views as Eigen arrays, and the reductions over them whose result must not depend on Eigen.
///
/// Eigen's arithmetic by coefficient rounds as the same scalar expression does. Two parts of Eigen do not, and
/// references avoid them: `.sum()` adds in an order of its own (sum_in_order() does not), and `.exp()` and its like are
/// approximations of its own (`.unaryExpr()` with the standard function is not).
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "reference/common/view.h"

namespace dsv4::reference {

/// Throws std::out_of_range: an index or a size that does not fit, by the condition that failed.
[[noreturn]] inline void refuse_access(const char* condition) {
  throw std::out_of_range(std::string("an Eigen array was used out of bounds: ") + condition);
}

}  // namespace dsv4::reference

// Eigen checks indices and sizes in every build, as a View does.
#define eigen_assert(condition) ((condition) ? static_cast<void>(0) : ::dsv4::reference::refuse_access(#condition))
#include <Eigen/Core>

namespace dsv4::reference {

/// Elements of a tensor of T, const or not, as an Eigen array of one column. Refers to the tensor's memory.
template <class T>
using Row = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Eigen::ArrayX<std::remove_const_t<T>>,
                                          Eigen::ArrayX<std::remove_const_t<T>>>,
                       Eigen::Unaligned, Eigen::InnerStride<>>;

/// The elements of `view` along its last dimension, at these indices of the others; throws if one is out of bounds.
template <class T, int Rank, class... I>
Row<T> row_of(const View<T, Rank>& view, I... index) {
  static_assert(sizeof...(I) == Rank - 1, "one index per dimension but the last");
  const std::int64_t size = view.size(Rank - 1);
  const std::int64_t stride = size > 1 ? view.stride(Rank - 1) : 1;  // a stride between fewer elements means nothing
  return Row<T>(size > 0 ? &view(index..., 0) : nullptr, size, Eigen::InnerStride<>(stride));
}

/// The sum in double, one term after the other from the first.
template <class Terms>
double sum_in_order(const Eigen::ArrayBase<Terms>& terms) {
  double sum = 0.0;
  for (Eigen::Index i = 0; i < terms.size(); ++i) sum += terms(i);
  return sum;
}

/// The greatest magnitude of `values`, of which there is at least one. NaN does not count: 0 if nothing else is there.
template <class Values>
float greatest_magnitude(const Eigen::ArrayBase<Values>& values) {
  return values.isNaN().select(0.0f, values.abs()).maxCoeff();
}

}  // namespace dsv4::reference
