/// Fills: named distributions of input values, in one table for all ops. An op lists the fills that it uses, and can
/// add its own.
///
///   Fills({fills::gauss(), fills::wide(-40, 40), {"steps", [](Random& r, Elements x) { ... }}})
///       .apply("wide", random, elements)
///
/// A fill draws its values in a fixed order, so a case has the same input bits on every machine.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/tensor.h"
#include "harness/generate/random.h"

namespace dsv4 {

/// Elements of an f32 or bf16 tensor that are adjacent in memory: a row, or a group that shares a scale.
class Elements {
 public:
  /// `count` elements in row-major order, beginning with the element of index `first`. Throws Error if they are not
  /// adjacent in memory, or if the tensor is not f32 or bf16.
  Elements(HostTensor& tensor, std::int64_t first, std::int64_t count);
  /// All elements of a contiguous tensor.
  explicit Elements(HostTensor& tensor) : Elements(tensor, 0, tensor.numel()) {}

  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] std::int64_t size() const { return size_; }
  /// Writes `value`, rounded to the nearest number of the dtype, ties to even. A NaN becomes quiet in f32, and 0x7fff
  /// in bf16.
  void set(std::int64_t i, float value);
  /// Writes the bits of a float; an element of bf16 takes the upper half of the bits. A NaN keeps its payload.
  void set_bits(std::int64_t i, std::uint32_t f32);
  /// Sets every element, in order, to a value from `next()`.
  template <class Next>
  void set_all(Next next) {
    for (std::int64_t i = 0; i < size_; ++i) set(i, static_cast<float>(next()));
  }

 private:
  DType dtype_;
  std::uint8_t* data_ = nullptr;
  std::int64_t size_;
};

/// One distribution: its name in case ids, and the function that writes the elements.
struct Fill {
  std::string name;
  std::function<void(Random&, Elements)> apply;
};

/// The fills of an op.
class Fills {
 public:
  Fills(std::initializer_list<Fill> list) : list_(list) {}

  [[nodiscard]] std::vector<std::string> names() const;
  /// Fills the elements. Throws Error for an unknown name.
  void apply(std::string_view name, Random& random, Elements elements) const;

 private:
  std::vector<Fill> list_;
};

namespace fills {

/// Sets each element, in order, to a value from `next`.
Fill each(std::string name, std::function<float(Random&)> next);

// Any elements.

/// Roughly normal numbers with full mantissas.
Fill gauss();
/// Uniform in [low, high), computed in float.
Fill uniform(float low, float high, std::string name = "uniform");
/// Integers in [low, high]. These are few values, so that sums are exact and many elements are equal.
Fill integers(std::int64_t low, std::int64_t high, std::string name = "integers");
/// Numbers of both signs with full mantissas and exponents uniform in [low_exponent, high_exponent] (Random::wide).
Fill wide(int low_exponent, int high_exponent, std::string name = "wide");
/// The same random value for all elements.
Fill equal();
/// Zeros of both signs.
Fill zeros();
/// f32 numbers with an exponent field of zero: subnormals and zeros, of both signs.
Fill denormal();
/// Random bits, so also NaN, infinities and subnormals.
Fill bits();
/// A quarter of the elements are special, with both signs: zeros, subnormals, the greatest numbers, 1, infinities, and
/// quiet and signalling NaN. The other elements are as in gauss().
Fill special();
/// One positive infinity at a random place. The other elements are as in gauss().
Fill one_inf();
/// Quiet NaN of both signs: one at a random place, about half of the elements, or all elements.
Fill one_nan();
Fill half_nan();
Fill all_nan();

// Fills of rows from which the `k` greatest elements are selected.

/// The numbers 0 ... n-1 in random order or in ascending order, or 0 ... -(n-1) in descending order.
Fill permutation();
Fill ascending();
Fill descending();
/// The greatest value occurs k-1, k or k+1 times.
Fill maxima(std::int64_t k);
/// k-129 elements are the greatest. Below them, more than 129 elements are equal, so that only some of these equal
/// elements are selected.
Fill plateau(std::int64_t k);
/// The last element is the greatest.
Fill last_best();
/// Zeros of both signs, and k/2 other numbers.
Fill signed_zeros(std::int64_t k);
/// The output of a rectifier: positive numbers and many zeros.
Fill relu();
/// Numbers in a narrow interval, numbers near 10, and tiny numbers. In each of these fills, all elements are in a few
/// coarse bins. A coarse bin holds the binary16 numbers with the same high byte.
Fill cluster();
Fill offset();
Fill tiny();
/// Numbers of magnitude 2^15 and more, most of them too large for binary16. Some are the greatest float.
Fill huge();
/// Numbers halfway between two neighbouring binary16 numbers. About half of them are at the border of two coarse bins.
Fill f16_midpoints();
/// About k positive infinities. The other elements are negative infinities and great numbers.
Fill many_inf(std::int64_t k);
/// Negative infinities and k-5 numbers.
Fill minus_inf(std::int64_t k);

// Fills of groups. A quantiser scales each group so that its greatest magnitude becomes 448, the greatest E4M3 number.

/// Sets one element, at a random place, to `greatest` or -`greatest`. The magnitudes of the other elements must
/// be smaller.
void set_greatest(Elements x, double greatest, Random& random);

/// Integers of magnitude up to 16, and one element of magnitude 448. So the scale is exactly 1, and each code stands
/// for the integer itself.
Fill scaled_integers();
/// The scale is exactly 1. An element is halfway between two E4M3 numbers, or one step of the dtype away from
/// that midpoint.
Fill e4m3_midpoints();
/// The greatest magnitude is 448 times a power of two, or the next number above or below.
Fill scale_edges();
/// Tiny numbers. One element of every second group is just above or just below `least`. The scale of a group is
/// computed from at least `least`, even if its greatest magnitude is smaller.
Fill tiny_groups(double least = 1e-4);
/// Normal numbers and zeros. A group also has one infinity, or none, or it has only infinities.
Fill inf_groups();
/// The same with NaN instead of infinities. They are quiet or signalling, and of both signs.
Fill nan_groups();

}  // namespace fills
}  // namespace dsv4
