#include "harness/ops/attn/row_fills.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "harness/core/bits.h"
#include "harness/core/error.h"

namespace dsv4 {
namespace {

/// Next number of the element's type away from zero, or towards it.
double neighbour(DType dtype, double x, bool away) {
  const auto f = static_cast<float>(x);
  if (dtype == DType::kF32) return std::nextafter(f, away ? std::numeric_limits<float>::infinity() : 0.0f);
  return float_from_bf16(static_cast<std::uint16_t>(bf16_from_float(f) + (away ? 1 : -1)));
}

/// One element that makes the group's greatest magnitude `greatest`, at a random place; all others are smaller.
void plant(HostTensor& x, std::int64_t first, std::int64_t group, double greatest, Random& random) {
  const std::int64_t at = first + random.below(group);
  set_float(x, at, random.chance(2) ? greatest : -greatest);
}

}  // namespace

const std::vector<std::string>& row_fills() {
  static const std::vector<std::string> kFills{"gauss", "integers", "midpoints", "scale_edges",
                                               "zeros", "tiny",     "denormal",  "wide",
                                               "huge",  "bits",     "one_nan",   "one_inf"};
  return kFills;
}

void fill_group(HostTensor& x, std::int64_t first, std::int64_t group, const std::string& fill, Random& r) {
  const DType dtype = x.dtype;
  const auto each = [&](auto next) {
    for (std::int64_t i = first; i < first + group; ++i) set_float(x, i, next());
  };
  const auto bits = [&](std::int64_t i, std::uint32_t f32) {
    // Patterns are chosen as bfloat16 where the tensor is, so that NaN payloads survive.
    const auto h = static_cast<std::uint16_t>(f32 >> 16);
    if (dtype == DType::kF32) std::memcpy(x.element(i), &f32, sizeof f32);
    if (dtype == DType::kBF16) std::memcpy(x.element(i), &h, sizeof h);
  };
  if (fill == "gauss") {
    each([&] { return r.gauss(); });
  } else if (fill == "integers") {
    // Scale exactly 1: codes are the integers themselves.
    each([&] { return static_cast<float>(r.between(-16, 16)); });
    plant(x, first, group, 448.0, r);
  } else if (fill == "midpoints") {
    // Scale exactly 1, and values halfway between two codes, or one step beside it.
    each([&] {
      const auto code = static_cast<std::uint8_t>(r.below(0x7e));
      double middle = (double_from_e4m3(code) + double_from_e4m3(static_cast<std::uint8_t>(code + 1))) / 2;
      if (r.chance(2)) middle = neighbour(dtype, middle, r.chance(2));
      return r.chance(2) ? -middle : middle;
    });
    plant(x, first, group, 448.0, r);
  } else if (fill == "scale_edges") {
    // The greatest magnitude on, just above or just below a power of two times 448.
    const double power = std::ldexp(1.0, static_cast<int>(r.between(-20, 100)));
    each([&] { return power * r.between(-200, 200); });
    const double edge = 448.0 * power;
    const std::int64_t side = r.below(3);
    plant(x, first, group, side == 0 ? edge : neighbour(dtype, edge, side == 1), r);
  } else if (fill == "zeros") {
    each([&] { return r.chance(2) ? 0.0f : -0.0f; });
  } else if (fill == "tiny") {
    // On both sides of the floor of 1e-4 that the greatest magnitude has.
    each([&] { return r.wide(-34, -13); });
    if (r.chance(2)) plant(x, first, group, neighbour(dtype, 1e-4, r.chance(2)), r);
  } else if (fill == "denormal") {
    each([&] { return r.wide(-149, -126); });
  } else if (fill == "wide") {
    each([&] { return r.wide(-140, 120); });
  } else if (fill == "huge") {
    each([&] { return r.wide(100, 127); });
  } else if (fill == "bits") {
    for (std::int64_t i = first; i < first + group; ++i) bits(i, r.u32());
  } else if (fill == "one_nan" || fill == "one_inf") {
    // Quiet and signalling NaN of both signs; in some groups every element is one.
    static constexpr std::uint32_t kNans[] = {0x7fc00000u, 0xffc00000u, 0x7f810000u, 0xff810000u};
    const auto special = [&] {
      const std::uint32_t sign = r.u32() & 0x80000000u;
      return fill == "one_inf" ? (sign | 0x7f800000u) : kNans[r.below(4)];
    };
    each([&] { return r.chance(8) ? (r.chance(2) ? 0.0f : -0.0f) : r.gauss(); });
    if (r.chance(4)) {
      for (std::int64_t i = first; i < first + group; ++i) bits(i, special());
    } else if (!r.chance(4)) {
      bits(first + r.below(group), special());
    }
  } else {
    throw Error(fmt::format("unknown fill '{}'", fill));
  }
}

std::int64_t fill_around_reciprocal(HostTensor& x, std::int64_t first, std::int64_t group, Random& r) {
  const float greatest = 1.0f + r.unit();
  const float scale = greatest / 448.0f;
  const float inverse = 1.0f / scale;
  std::int64_t found = 0;
  for (std::int64_t i = first; i < first + group; ++i) {
    const auto code = static_cast<std::uint8_t>(r.between(8, 0x7d));
    const double middle = (double_from_e4m3(code) + double_from_e4m3(static_cast<std::uint8_t>(code + 1))) / 2;
    const auto nearest = static_cast<float>(middle * scale);
    float value = nearest;
    for (const float towards : {0.0f, greatest}) {
      float candidate = nearest;
      for (int step = 0; step < 4; ++step, candidate = std::nextafter(candidate, towards)) {
        if (e4m3_from_double(candidate * inverse) != e4m3_from_double(candidate / scale)) value = candidate;
      }
    }
    found += e4m3_from_double(value * inverse) != e4m3_from_double(value / scale) ? 1 : 0;
    set_float(x, i, r.chance(2) ? value : -value);
  }
  plant(x, first, group, greatest, r);
  return found;
}

}  // namespace dsv4
