/// Counter-based random numbers (Philox 4x32-10 of Random123). They use integer arithmetic alone, so their bits are the
/// same on every machine and do not depend on the order in which arguments are filled.
#pragma once

#include <Random123/philox.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "harness/core/tensor.h"

namespace dsv4 {

/// A stream of random numbers. Each pair of seed and name has its own, so give each argument its own name: then the
/// data of one argument do not depend on another.
class Random {
 public:
  Random(std::uint64_t seed, std::string_view stream);

  std::uint32_t u32();
  std::uint64_t u64() { return (static_cast<std::uint64_t>(u32()) << 32) | u32(); }
  /// Uniform in [0, n), n >= 1. The bias is below n / 2^64.
  std::int64_t below(std::int64_t n);
  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
  bool chance(std::int64_t one_in) { return below(one_in) == 0; }

  /// Uniform in [0, 1) with 24 random bits: exact in float.
  float unit();
  /// Roughly normal, mean 0 and variance 1 (sum of twelve 16-bit uniforms), exact in float, within [-6, 6].
  float gauss();
  /// A float with a full random mantissa, a random sign and an exponent uniform in [low, high] (powers of two).
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

/// Sets every element of the view from `next()`, in row-major order. F32 and BF16 (rounded to nearest even) only.
template <class Next>
void fill_floats(HostTensor& tensor, Next next);

/// Sets every element of an integer tensor, in row-major order, uniformly from [low, high].
void fill_integers(HostTensor& tensor, std::int64_t low, std::int64_t high, Random random);

/// Writes `value` as the element's type (F32, BF16 or F64).
void set_float(HostTensor& tensor, std::int64_t linear, double value);

/// The value of an integer element, i32 or i64.
std::int64_t integer_at(const HostTensor& tensor, std::int64_t linear);

/// Writes the low bytes of `value` as the element's type, any integer.
void set_integer(HostTensor& tensor, std::int64_t linear, std::int64_t value);

template <class Next>
void fill_floats(HostTensor& tensor, Next next) {
  for (std::int64_t i = 0, n = tensor.numel(); i < n; ++i) set_float(tensor, i, next());
}

}  // namespace dsv4
