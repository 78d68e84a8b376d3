#include "harness/generate/fills.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "harness/core/bits.h"
#include "harness/core/error.h"

namespace dsv4 {

Elements::Elements(HostTensor& tensor, std::int64_t first, std::int64_t count) : dtype_(tensor.dtype), size_(count) {
  if (dtype_ != DType::kF32 && dtype_ != DType::kBF16)
    throw Error("a fill writes f32 or bf16, but the tensor is " + tensor.describe());
  if (count == 0) return;
  const std::size_t begin = tensor.byte_of(first), last = tensor.byte_of(first + count - 1);
  if (last - begin != static_cast<std::size_t>((count - 1) * size_of(dtype_)))
    throw Error(
        fmt::format("elements {} to {} of {} are not adjacent in memory", first, first + count - 1, tensor.describe()));
  data_ = tensor.storage.data() + begin;
}

void Elements::set(std::int64_t i, float value) {
  const std::uint32_t half = bf16_from_float(value);
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  set_bits(i, dtype_ == DType::kBF16 ? half << 16 : nan ? bits | 0x00400000u : bits);
}

void Elements::set_bits(std::int64_t i, std::uint32_t f32) {
  const auto half = static_cast<std::uint16_t>(f32 >> 16);
  if (dtype_ == DType::kF32) std::memcpy(data_ + 4 * i, &f32, sizeof f32);
  if (dtype_ == DType::kBF16) std::memcpy(data_ + 2 * i, &half, sizeof half);
}

std::vector<std::string> Fills::names() const {
  std::vector<std::string> names;
  for (const Fill& fill : list_) names.push_back(fill.name);
  return names;
}

void Fills::apply(std::string_view name, Random& random, Elements elements) const {
  const auto fill = std::ranges::find(list_, name, &Fill::name);
  if (fill == list_.end()) throw Error(fmt::format("unknown fill '{}'", name));
  fill->apply(random, elements);
}

namespace fills {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// Sets `count` elements at random places to values from `next`.
template <class Next>
void scatter(Random& r, Elements x, std::int64_t count, Next next) {
  const auto order = r.permutation(x.size());
  for (std::int64_t i = 0; i < std::min(count, x.size()); ++i) x.set(order[static_cast<std::size_t>(i)], next());
}

float quiet_nan(Random& r) {
  const std::uint32_t sign = r.u32() & 0x80000000u;
  return std::bit_cast<float>(sign | 0x7fc00000u | static_cast<std::uint32_t>(r.below(4)));
}

float signed_zero(Random& r) { return r.chance(2) ? 0.0f : -0.0f; }

}  // namespace

Fill each(std::string name, std::function<float(Random&)> next) {
  return {std::move(name), [next = std::move(next)](Random& r, Elements x) { x.set_all([&] { return next(r); }); }};
}

Fill gauss() {
  return {"gauss", [](Random& r, Elements x) { x.set_all([&] { return r.gauss(); }); }};
}

Fill uniform(float low, float high, std::string name) {
  return each(std::move(name), [low, high](Random& r) { return low + (high - low) * r.unit(); });
}

Fill integers(std::int64_t low, std::int64_t high, std::string name) {
  return each(std::move(name), [low, high](Random& r) { return static_cast<float>(r.between(low, high)); });
}

Fill wide(int low_exponent, int high_exponent, std::string name) {
  return each(std::move(name), [=](Random& r) { return r.wide(low_exponent, high_exponent); });
}

Fill equal() {
  return {"equal", [](Random& r, Elements x) {
            const float value = r.gauss();
            x.set_all([&] { return value; });
          }};
}

Fill zeros() { return each("zeros", signed_zero); }

Fill denormal() {
  return each("denormal", [](Random& r) {
    const std::uint32_t sign = r.u32() & 0x80000000u;
    return std::bit_cast<float>(sign | (r.u32() & 0x7fffffu));
  });
}

Fill bits() {
  return {"bits", [](Random& r, Elements x) {
            for (std::int64_t i = 0; i < x.size(); ++i) x.set_bits(i, r.u32());
          }};
}

Fill special() {
  return {"special", [](Random& r, Elements x) {
            static constexpr std::uint16_t kBits[] = {0x0000, 0x8000, 0x0001, 0x807f, 0x7f7f, 0xff7f, 0x7f80,
                                                      0xff80, 0x7fc0, 0xffc1, 0x7f81, 0xff81, 0x3f80, 0xbf80};
            for (std::int64_t i = 0; i < x.size(); ++i) {
              if (r.chance(4))
                x.set_bits(i, std::uint32_t{kBits[static_cast<std::size_t>(r.below(std::ssize(kBits)))]} << 16);
              else
                x.set(i, r.gauss());
            }
          }};
}

Fill one_inf() {
  return {"one_inf", [](Random& r, Elements x) {
            x.set_all([&] { return r.gauss(); });
            scatter(r, x, 1, [] { return kInf; });
          }};
}

Fill one_nan() {
  return {"one_nan", [](Random& r, Elements x) {
            x.set_all([&] { return r.gauss(); });
            scatter(r, x, 1, [&] { return quiet_nan(r); });
          }};
}

Fill half_nan() {
  return each("half_nan", [](Random& r) { return r.chance(2) ? quiet_nan(r) : r.gauss(); });
}

Fill all_nan() { return each("all_nan", quiet_nan); }

Fill permutation() {
  return {"permutation", [](Random& r, Elements x) {
            const auto order = r.permutation(x.size());
            for (std::size_t i = 0; i < order.size(); ++i)
              x.set(static_cast<std::int64_t>(i), static_cast<float>(order[i]));
          }};
}

Fill ascending() {
  return {"ascending", [](Random&, Elements x) {
            for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<float>(i));
          }};
}

Fill descending() {
  return {"descending", [](Random&, Elements x) {
            for (std::int64_t i = 0; i < x.size(); ++i) x.set(i, -static_cast<float>(i));
          }};
}

Fill maxima(std::int64_t k) {
  return {"maxima", [k](Random& r, Elements x) {
            x.set_all([&] { return r.unit(); });
            scatter(r, x, k + r.between(-1, 1), [] { return 2.0f; });
          }};
}

Fill plateau(std::int64_t k) {
  return {"plateau", [k](Random& r, Elements x) {
            x.set_all([&] { return r.unit(); });
            scatter(r, x, k + 700, [] { return 3.0f; });
            scatter(r, x, k - 129, [&] { return 4.0f + r.unit(); });
          }};
}

Fill last_best() {
  return {"last_best", [](Random& r, Elements x) {
            x.set_all([&] { return r.gauss(); });
            if (x.size() != 0) x.set(x.size() - 1, 100.0f);
          }};
}

Fill signed_zeros(std::int64_t k) {
  return {"signed_zeros", [k](Random& r, Elements x) {
            x.set_all([&] { return signed_zero(r); });
            scatter(r, x, k / 2, [&] { return r.gauss(); });
          }};
}

Fill relu() {
  return each("relu", [](Random& r) { return std::max(r.gauss() - 1.0f, 0.0f); });
}

Fill cluster() {
  return each("cluster", [](Random& r) { return 1.0f + 0.2f * r.unit(); });
}

Fill offset() {
  return each("offset", [](Random& r) { return 10.0f + 0.1f * r.gauss(); });
}

Fill tiny() {
  return each("tiny", [](Random& r) { return 1e-6f * r.gauss(); });
}

Fill huge() {
  return each("huge", [](Random& r) { return r.chance(8) ? std::numeric_limits<float>::max() : r.wide(15, 127); });
}

Fill f16_midpoints() {
  // Rounding moves a midpoint to its even neighbour. A kernel that compares with the middle of two bins instead can put
  // the midpoint into the wrong bin.
  return each("midpoints", [](Random& r) {
    auto h = static_cast<std::uint16_t>(r.between(0x2000, 0x7000));
    if (r.chance(2)) h |= 0xff;
    const double middle = (double_from_f16(h) + double_from_f16(static_cast<std::uint16_t>(h + 1))) / 2;
    return static_cast<float>(r.chance(2) ? -middle : middle);
  });
}

Fill many_inf(std::int64_t k) {
  return {"many_inf", [k](Random& r, Elements x) {
            x.set_all([&] { return r.chance(3) ? -kInf : r.wide(10, 20); });
            scatter(r, x, k + r.between(-3, 40), [] { return kInf; });
          }};
}

Fill minus_inf(std::int64_t k) {
  return {"minus_inf", [k](Random& r, Elements x) {
            x.set_all([] { return -kInf; });
            scatter(r, x, k - 5, [&] { return r.gauss(); });
          }};
}

}  // namespace fills
}  // namespace dsv4
