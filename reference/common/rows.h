/// Gives the rows of a View as Eigen arrays. It also has the reductions over a row whose result must not depend
/// on Eigen.
///
/// Eigen's coefficient-wise arithmetic rounds like the same expression with scalars. References avoid two parts of
/// Eigen that give other results. `.sum()` adds in Eigen's own order; references use sum_in_order() instead.
/// `.exp()` and similar functions are Eigen's own approximations; references use `.unaryExpr()` with the standard
/// function instead.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "reference/common/view.h"

namespace dsv4::reference {

/// Throws std::out_of_range for an index or a size that does not fit. The message names the condition that failed.
[[noreturn]] inline void refuse_access(const char* condition) {
  throw std::out_of_range(std::string("an Eigen array was used out of bounds: ") + condition);
}

}  // namespace dsv4::reference

// With this macro, Eigen checks indices and sizes in every build, like a View.
#define eigen_assert(condition) ((condition) ? static_cast<void>(0) : ::dsv4::reference::refuse_access(#condition))
#include <Eigen/Core>

namespace dsv4::reference {

/// Elements of a tensor as an Eigen array with one column. T is the element type and may be const. The array refers to
/// the tensor's memory.
template <class T>
using Row = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Eigen::ArrayX<std::remove_const_t<T>>,
                                          Eigen::ArrayX<std::remove_const_t<T>>>,
                       Eigen::Unaligned, Eigen::InnerStride<>>;

/// Returns the elements of `view` along its last dimension. `index` has the indices of the other dimensions. Throws if
/// an index is out of bounds.
template <class T, int Rank, class... I>
Row<T> row_of(const View<T, Rank>& view, I... index) {
  static_assert(sizeof...(I) == Rank - 1, "row_of needs one index for each dimension except the last");
  const std::int64_t size = view.size(Rank - 1);
  const std::int64_t stride = size > 1 ? view.stride(Rank - 1) : 1;  // the stride of one element has no meaning
  return Row<T>(size > 0 ? &view(index..., 0) : nullptr, size, Eigen::InnerStride<>(stride));
}

/// Returns the sum in double. The terms are added in their order, beginning with the first.
template <class Terms>
double sum_in_order(const Eigen::ArrayBase<Terms>& terms) {
  double sum = 0.0;
  for (Eigen::Index i = 0; i < terms.size(); ++i) sum += terms(i);
  return sum;
}

/// Returns the greatest magnitude of `values`, which must not be empty. NaN is ignored. If all values are NaN, the
/// result is 0.
template <class Values>
float greatest_magnitude(const Eigen::ArrayBase<Values>& values) {
  return values.isNaN().select(0.0f, values.abs()).maxCoeff();
}

}  // namespace dsv4::reference
