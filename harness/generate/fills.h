/// Named distributions of input values: one table for all ops. An op lists the ones that it takes and adds its own.
///
///   Fills({fills::gauss(), fills::wide(-40, 40), {"steps", [](Random& r, Elements x) { ... }}}).apply("wide", random, elements)
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

/// Elements of an f32 or bf16 tensor that lie side by side in memory: a row, or a group that shares a scale.
class Elements {
 public:
  /// `count` elements from the one with row-major index `first` on. Throws Error if they do not lie side by side, or if
  /// the tensor is not f32 or bf16.
  Elements(HostTensor& tensor, std::int64_t first, std::int64_t count);
  /// All elements of a contiguous tensor.
  explicit Elements(HostTensor& tensor) : Elements(tensor, 0, tensor.numel()) {}

  [[nodiscard]] DType dtype() const { return dtype_; }
  [[nodiscard]] std::int64_t size() const { return size_; }
  /// Writes `value`, rounded to the nearest number of the dtype, ties to even. A NaN becomes quiet; in bf16 each
  /// becomes 0x7fff.
  void set(std::int64_t i, float value);
  /// Writes the bits of a float; bf16 takes the upper half of them. NaN keeps its payload.
  void set_bits(std::int64_t i, std::uint32_t f32);
  /// Writes every element, in order, from `next()`.
  template <class Next>
  void set_all(Next next) {
    for (std::int64_t i = 0; i < size_; ++i) set(i, static_cast<float>(next()));
  }

 private:
  DType dtype_;
  std::uint8_t* data_ = nullptr;
  std::int64_t size_;
};

/// One distribution: its name, as case ids write it, and what it writes.
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

/// Element after element from `next`.
Fill each(std::string name, std::function<float(Random&)> next);

// Any elements.

/// Roughly normal, full mantissas.
Fill gauss();
/// Uniform in [low, high), computed in float.
Fill uniform(float low, float high, std::string name = "uniform");
/// Integers in [low, high]: few values, so that sums are exact and many elements are equal.
Fill integers(std::int64_t low, std::int64_t high, std::string name = "integers");
/// Full mantissas, both signs, exponents uniform in [low, high] (Random::wide).
Fill wide(int low_exponent, int high_exponent, std::string name = "wide");
/// One value for all.
Fill equal();
/// Zeros of both signs.
Fill zeros();
/// f32 with an exponent field of zero.
Fill denormal();
/// Any bits: NaN, infinities and subnormals among them.
Fill bits();
/// A quarter of zeros, subnormals, the greatest numbers, infinities, and quiet and signalling NaN; the rest normal.
Fill special();
/// One infinity at a random place.
Fill one_inf();
/// One quiet NaN at a random place; every second element; all of them. Of both signs.
Fill one_nan();
Fill half_nan();
Fill all_nan();

// Rows of which the greatest elements are selected. `k` is the number of elements to select.

/// 0 ... n-1 in random order, in ascending order, and negated in descending order.
Fill permutation();
Fill ascending();
Fill descending();
/// k-1, k or k+1 equal greatest elements.
Fill maxima(std::int64_t k);
/// More equal elements than there is room for, below some greater ones: the cut goes through them.
Fill plateau(std::int64_t k);
/// The last element is the greatest.
Fill last_best();
/// Zeros of both signs among k/2 other numbers, and what a rectifier leaves.
Fill signed_zeros(std::int64_t k);
Fill relu();
/// A narrow interval, an offset, and tiny numbers: all elements share a few coarse bins of binary16.
Fill cluster();
Fill offset();
Fill tiny();
/// Numbers beyond binary16, the greatest float among them.
Fill huge();
/// Halfway between two neighbouring binary16 numbers, every second one at the border of two coarse bins.
Fill f16_midpoints();
/// About k infinities among negative ones and great numbers; and k-5 numbers among negative infinities.
Fill many_inf(std::int64_t k);
Fill minus_inf(std::int64_t k);

// Groups of elements that a quantiser scales by their greatest magnitude, so that it becomes 448, the greatest E4M3.

/// Makes `greatest` the group's greatest magnitude: one element at a random place. The others must be smaller.
void set_greatest(Elements x, double greatest, Random& random);

/// Integers up to 16 beside 448: the scale is exactly 1, and the codes are the integers themselves.
Fill scaled_integers();
/// A scale of exactly 1, and elements halfway between two E4M3 codes, or one step of the dtype beside it.
Fill e4m3_midpoints();
/// The greatest magnitude is 448 times a power of two, or the next number above or below.
Fill scale_edges();
/// Both sides of 1e-4, the least greatest magnitude that a scale takes.
Fill tiny_groups();
/// Normal numbers and zeros, with one infinity, none, or infinities alone.
Fill inf_groups();
/// The same with NaN, quiet and signalling, of both signs.
Fill nan_groups();

}  // namespace fills
}  // namespace dsv4
