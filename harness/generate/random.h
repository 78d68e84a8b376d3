/// Counter-based random numbers (Philox 4x32-10 of Random123). They are computed with integers only, so their bits are
/// the same on every machine. Each argument has its own stream, so its data do not depend on the order in which
/// arguments are filled.
#pragma once

#include <Random123/philox.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "harness/core/tensor.h"

namespace dsv4 {

/// A stream of random numbers. Each pair of a seed and a name has its own stream. Give each argument its own name, so
/// that its data do not depend on another argument.
class Random {
 public:
  Random(std::uint64_t seed, std::string_view stream);

  std::uint32_t u32();
  std::uint64_t u64() { return (static_cast<std::uint64_t>(u32()) << 32) | u32(); }
  /// Uniform in [0, n), n >= 1. The bias is below n / 2^64.
  std::int64_t below(std::int64_t n);
  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
  /// True with probability 1 / one_in.
  bool chance(std::int64_t one_in) { return below(one_in) == 0; }

  /// Uniform in [0, 1) with 24 random bits, so exact in float.
  float unit();
  /// Roughly normal with mean 0 and variance 1: a sum of twelve uniform 16-bit numbers. It is within [-6, 6] and exact
  /// in float.
  float gauss();
  /// A float with a random sign, a full random mantissa, and a binary exponent uniform in
  /// [low_exponent, high_exponent].
  float wide(int low_exponent, int high_exponent);

  /// Random permutation of 0..n-1.
  std::vector<std::int64_t> permutation(std::int64_t n);

 private:
  r123::Philox4x32 generator_;
  r123::Philox4x32::ctr_type counter_{};
  r123::Philox4x32::key_type key_{};
  r123::Philox4x32::ctr_type block_{};
  unsigned used_ = 4;
};

/// Sets every element of the tensor to a value from `next()`, in row-major order. The dtype must be F32, F64 or BF16
/// (rounded to nearest, ties to even).
template <class Next>
void fill_floats(HostTensor& tensor, Next next);

/// Sets every element of an integer tensor, in row-major order, to a uniform random integer in [low, high].
void fill_integers(HostTensor& tensor, std::int64_t low, std::int64_t high, Random random);

/// Writes `value` to the element with row-major index `linear`. The dtype must be F32, F64 or BF16.
void set_float(HostTensor& tensor, std::int64_t linear, double value);

/// The value of an i32 or i64 element.
std::int64_t integer_at(const HostTensor& tensor, std::int64_t linear);

/// Writes the low bytes of `value` to the element with row-major index `linear`. The dtype must be an integer type.
void set_integer(HostTensor& tensor, std::int64_t linear, std::int64_t value);

template <class Next>
void fill_floats(HostTensor& tensor, Next next) {
  for (std::int64_t i = 0, n = tensor.numel(); i < n; ++i) set_float(tensor, i, next());
}

}  // namespace dsv4
