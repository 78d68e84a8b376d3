/// Rows of views as Eigen arrays, and the reductions over them whose result must not depend on Eigen.
///
/// Eigen's coefficient-wise arithmetic rounds like the same scalar expression. Two parts of Eigen do not, and
/// references avoid them. `.sum()` adds in Eigen's own order; sum_in_order() replaces it. `.exp()` and similar
/// functions are Eigen's own approximations; `.unaryExpr()` with the standard function replaces them.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "reference/common/view.h"

namespace dsv4::reference {

/// Throws std::out_of_range for an index or a size that does not fit. The text names the condition that failed.
[[noreturn]] inline void refuse_access(const char* condition) {
  throw std::out_of_range(std::string("an Eigen array was used out of bounds: ") + condition);
}

}  // namespace dsv4::reference

// Eigen checks indices and sizes in every build, as a View does.
#define eigen_assert(condition) ((condition) ? static_cast<void>(0) : ::dsv4::reference::refuse_access(#condition))
#include <Eigen/Core>

namespace dsv4::reference {

/// Elements of a tensor of T, const or not, as an Eigen array of one column. It refers to the tensor's memory.
template <class T>
using Row = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Eigen::ArrayX<std::remove_const_t<T>>,
                                          Eigen::ArrayX<std::remove_const_t<T>>>,
                       Eigen::Unaligned, Eigen::InnerStride<>>;

/// The elements of `view` along its last dimension, at these indices of the other dimensions. Throws if an index is
/// out of bounds.
template <class T, int Rank, class... I>
Row<T> row_of(const View<T, Rank>& view, I... index) {
  static_assert(sizeof...(I) == Rank - 1, "row_of needs one index for each dimension except the last");
  const std::int64_t size = view.size(Rank - 1);
  const std::int64_t stride = size > 1 ? view.stride(Rank - 1) : 1;  // with fewer elements, the stride has no meaning
  return Row<T>(size > 0 ? &view(index..., 0) : nullptr, size, Eigen::InnerStride<>(stride));
}

/// The sum in double, one term after the other from the first.
template <class Terms>
double sum_in_order(const Eigen::ArrayBase<Terms>& terms) {
  double sum = 0.0;
  for (Eigen::Index i = 0; i < terms.size(); ++i) sum += terms(i);
  return sum;
}

/// The greatest magnitude of `values`, which must not be empty. NaN is ignored; if all values are NaN, the result is 0.
template <class Values>
float greatest_magnitude(const Eigen::ArrayBase<Values>& values) {
  return values.isNaN().select(0.0f, values.abs()).maxCoeff();
}

}  // namespace dsv4::reference
