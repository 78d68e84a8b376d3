#include "harness/generate/random.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "harness/core/bits.h"
#include "harness/core/error.h"

namespace dsv4 {

Random::Random(std::uint64_t seed, std::string_view stream) {
  const std::uint64_t key = XXH3_64bits_withSeed(stream.data(), stream.size(), seed);
  key_[0] = static_cast<std::uint32_t>(key);
  key_[1] = static_cast<std::uint32_t>(key >> 32);
}

std::uint32_t Random::u32() {
  if (used_ == 4) {
    block_ = generator_(counter_, key_);
    counter_.incr();
    used_ = 0;
  }
  return block_[used_++];
}

std::int64_t Random::below(std::int64_t n) {
  if (n <= 1) return 0;
  return static_cast<std::int64_t>((static_cast<unsigned __int128>(u64()) * static_cast<std::uint64_t>(n)) >> 64);
}

float Random::unit() { return static_cast<float>(u32() >> 8) * 0x1p-24f; }

float Random::gauss() {
  std::int32_t sum = 0;
  for (int i = 0; i < 6; ++i) {
    const std::uint32_t bits = u32();
    sum += static_cast<std::int32_t>(bits & 0xffffu) + static_cast<std::int32_t>(bits >> 16);
  }
  return static_cast<float>(sum - 6 * 65535) * 0x1p-16f;  // exact, because |sum| < 2^19
}

float Random::wide(int low_exponent, int high_exponent) {
  const auto exponent = static_cast<std::uint32_t>(between(low_exponent, high_exponent) + 127);
  const std::uint32_t bits = u32();
  return std::bit_cast<float>((bits & 0x807fffffu) | (exponent << 23));
}

std::vector<std::int64_t> Random::permutation(std::int64_t n) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  for (std::int64_t i = n - 1; i > 0; --i)
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(below(i + 1))]);
  return order;
}

void fill_integers(HostTensor& tensor, std::int64_t low, std::int64_t high, Random random) {
  for (std::int64_t i = 0, n = tensor.numel(); i < n; ++i) set_integer(tensor, i, random.between(low, high));
}

void set_float(HostTensor& tensor, std::int64_t linear, double value) {
  const auto single = static_cast<float>(value);
  switch (tensor.dtype) {
    case DType::kF32:
      return tensor.set(linear, single);
    case DType::kF64:
      return tensor.set(linear, value);
    case DType::kBF16:
      return tensor.set(linear, bf16_from_float(single));
    default:
      throw Error("set_float: the tensor is not f32, f64 or bf16");
  }
}

std::int64_t integer_at(const HostTensor& tensor, std::int64_t linear) {
  return tensor.dtype == DType::kI64 ? tensor.get<std::int64_t>(linear) : tensor.get<std::int32_t>(linear);
}

void set_integer(HostTensor& tensor, std::int64_t linear, std::int64_t value) {
  if (is_floating(tensor.dtype))
    throw Error("set_integer: the elements are not integers: the tensor is " + tensor.describe());
  std::memcpy(tensor.element(linear), &value, static_cast<std::size_t>(size_of(tensor.dtype)));
}

}  // namespace dsv4
