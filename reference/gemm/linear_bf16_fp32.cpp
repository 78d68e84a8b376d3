/// Reference of linear_bf16_fp32, and the error bound of its outputs: z = x y^T with sums in float.
///
/// Upstream: sglang 0.5.13, jit_kernel/dsv4/gemm.py:16-24, which calls torch.mm(x, y.t(), out_dtype=torch.float32).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "linear_bf16_fp32";
constexpr double kLargestFloat = std::numeric_limits<float>::max();
constexpr double kSmallestNormal = 0x1p-126;
constexpr int kNoBit = 1 << 20;

/// An element of a matrix.
struct Element {
  double value;
  int lowest_bit;  ///< the value is an odd multiple of 2^lowest_bit; kNoBit for zero, an infinity and NaN
  bool subnormal;
};

Element element_of(Bf16 stored) {
  const double value = to_float(stored);
  int lowest_bit = kNoBit;
  if (value != 0 && std::isfinite(value)) {
    int exponent = 0;
    auto mantissa = static_cast<std::int64_t>(std::ldexp(std::frexp(value, &exponent), 8));
    for (exponent -= 8; mantissa % 2 == 0; mantissa /= 2) ++exponent;
    lowest_bit = exponent;
  }
  return {value, lowest_bit, value != 0 && std::fabs(value) < kSmallestNormal};
}

std::vector<Element> elements_of(const View<const Bf16, 2>& matrix) {
  std::vector<Element> elements;
  elements.reserve(static_cast<std::size_t>(matrix.size(0) * matrix.size(1)));
  for (std::int64_t r = 0; r < matrix.size(0); ++r) {
    for (std::int64_t c = 0; c < matrix.size(1); ++c) elements.push_back(element_of(matrix(r, c)));
  }
  return elements;
}

/// Checks the arguments, and calls visit(row, column, x row, y row, K) for each element of the output.
template <class Visit>
void for_each_output(TensorView x, TensorView y, const View<float, 2>& z, Visit visit) {
  const View<const Bf16, 2> left(kOp, "x", x), right(kOp, "y", y);
  right.expect_size(1, left.size(1));
  z.expect_size(0, left.size(0)).expect_size(1, right.size(0));
  const std::vector<Element> rows = elements_of(left), columns = elements_of(right);
  const std::int64_t depth = left.size(1);
  for (std::int64_t r = 0; r < z.size(0); ++r) {
    for (std::int64_t c = 0; c < z.size(1); ++c)
      visit(r, c, rows.data() + r * depth, columns.data() + c * depth, depth);
  }
}

/// Returns the sum of the products in double. Each product is exact there.
double dot(const Element* a, const Element* b, std::int64_t depth) {
  double sum = 0;
  for (std::int64_t l = 0; l < depth; ++l) sum += a[l].value * b[l].value;
  return sum;
}

/// run: computes z = x y^T.
///
/// @param x  bf16 [M, K], any strides
/// @param y  bf16 [N, K], any strides
/// @param z  f32 [M, N], any strides, out
///
/// The sums are computed in double and rounded once. If K = 0, z is zero. NaN and infinities follow the rules of float
/// arithmetic.
void run(TensorView x, TensorView y, TensorView z) {
  const View<float, 2> out(kOp, "z", z);
  for_each_output(x, y, out,
                  [&](std::int64_t r, std::int64_t c, const Element* a, const Element* b, std::int64_t depth) {
                    out(r, c) = static_cast<float>(dot(a, b, depth));
                  });
}

/// Returns the largest distance between run()'s output and a correct one.
///
/// A product of two bfloat16 has 16 bits, so it is an exact float. An implementation adds the K products in any order,
/// with at least the precision of float; rounding and the handling of subnormal inputs are unspecified (PTX ISA, `mma`,
/// floating-point types). So an addition changes its sum by a factor between 1 - v and 1 + v, with v = 2^-23: all bits
/// below the last one may be cut off. A product passes through at most K additions. With A = sum |x_l y_l|, the bound
/// is the sum of these errors:
///
/// 1. Additions: gamma A with gamma = K v / (1 - K v).
/// 2. The reference's own value: the sum in double, K 2^-53 A, and one rounding to float, 2^-24 |z|.
/// 3. A product with a subnormal factor may be zero: |x_l y_l|. If a sum can be subnormal, each of the K products and K
///    sums may be flushed to zero: 2 K 2^-126.
///
/// If all products are multiples of one power of two q, and A <= 2^24 q, every partial sum is a float, in any order.
/// Then the result is exact, and the bound is zero. If A is too large for a float, an order may overflow and another
/// may not. Then the bound is infinite.
double bound_of(const Element* a, const Element* b, std::int64_t depth) {
  double magnitude = 0, flushed = 0;
  int lowest_bit = kNoBit;
  for (std::int64_t l = 0; l < depth; ++l) {
    if (a[l].lowest_bit == kNoBit || b[l].lowest_bit == kNoBit) continue;  // an exact zero, an infinity or NaN
    const double product = std::fabs(a[l].value * b[l].value);
    magnitude += product;
    if (a[l].subnormal || b[l].subnormal) flushed += product;
    lowest_bit = std::min(lowest_bit, a[l].lowest_bit + b[l].lowest_bit);
  }
  if (magnitude == 0) return 0;
  const bool never_subnormal = lowest_bit >= -126;
  if (never_subnormal && flushed == 0 && magnitude <= std::ldexp(1.0, 24 + lowest_bit) && magnitude <= kLargestFloat) {
    return 0;
  }
  const double n = static_cast<double>(depth), share = n * 0x1p-23;
  if (share >= 0.5 || magnitude * (1 + 2 * share) >= kLargestFloat) return HUGE_VAL;
  const double additions = share / (1 - share) * magnitude;
  const double own = n * 0x1p-53 * magnitude + 0x1p-24 * std::fabs(dot(a, b, depth));
  return additions + own + flushed + (never_subnormal ? 0 : 2 * n * kSmallestNormal);
}

/// Computes the bounds. The arguments are those of `run`, but `bound`, f32 [M, N], replaces z.
void bound(TensorView x, TensorView y, TensorView bounds) {
  const View<float, 2> out(kOp, "z", bounds);
  for_each_output(x, y, out,
                  [&](std::int64_t r, std::int64_t c, const Element* a, const Element* b, std::int64_t depth) {
                    out(r, c) = float_above(bound_of(a, b, depth));
                  });
}

DSV4_ENTRY(run, run, "linear_bf16_fp32", "linear_bf16_fp32/1", "");
DSV4_AUX(bound, bound, "linear_bf16_fp32", "bound", "");

}  // namespace
}  // namespace dsv4::reference
