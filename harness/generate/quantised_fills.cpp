/// Fills of groups that a quantiser scales by their greatest magnitude.
#include <cmath>
#include <limits>

#include "harness/core/bits.h"
#include "harness/generate/fills.h"

namespace dsv4::fills {
namespace {

constexpr double kGreatestE4m3 = 448.0;

/// The neighbour of `x` in the dtype: the next number away from zero if `away`, or else towards zero.
double neighbour(DType dtype, double x, bool away) {
  const auto f = static_cast<float>(x);
  if (dtype == DType::kF32) return std::nextafter(f, away ? std::numeric_limits<float>::infinity() : 0.0f);
  return float_from_bf16(static_cast<std::uint16_t>(bf16_from_float(f) + (away ? 1 : -1)));
}

/// Fills a group. A quarter of the groups have only bit patterns from `next`. The other groups have numbers and zeros,
/// and three quarters of them also have one bit pattern from `next`.
template <class Next>
void write_with_specials(Random& r, Elements x, Next next) {
  x.set_all([&] { return r.chance(8) ? (r.chance(2) ? 0.0f : -0.0f) : r.gauss(); });
  if (r.chance(4)) {
    for (std::int64_t i = 0; i < x.size(); ++i) x.set_bits(i, next());
  } else if (!r.chance(4)) {
    const std::uint32_t pattern = next();
    x.set_bits(r.below(x.size()), pattern);
  }
}

}  // namespace

void set_greatest(Elements x, double greatest, Random& r) {
  const std::int64_t at = r.below(x.size());
  x.set(at, static_cast<float>(r.chance(2) ? greatest : -greatest));
}

Fill scaled_integers() {
  return {"integers", [](Random& r, Elements x) {
            x.set_all([&] { return static_cast<double>(r.between(-16, 16)); });
            set_greatest(x, kGreatestE4m3, r);
          }};
}

Fill e4m3_midpoints() {
  return {"midpoints", [](Random& r, Elements x) {
            x.set_all([&] {
              const auto code = static_cast<std::uint8_t>(r.below(0x7e));
              double middle = (double_from_e4m3(code) + double_from_e4m3(static_cast<std::uint8_t>(code + 1))) / 2;
              if (r.chance(2)) middle = neighbour(x.dtype(), middle, r.chance(2));
              return r.chance(2) ? -middle : middle;
            });
            set_greatest(x, kGreatestE4m3, r);
          }};
}

Fill scale_edges() {
  return {"scale_edges", [](Random& r, Elements x) {
            const double power = std::ldexp(1.0, static_cast<int>(r.between(-20, 100)));
            x.set_all([&] { return power * static_cast<double>(r.between(-200, 200)); });
            const double edge = kGreatestE4m3 * power;
            const std::int64_t side = r.below(3);
            set_greatest(x, side == 0 ? edge : neighbour(x.dtype(), edge, side == 1), r);
          }};
}

Fill tiny_groups(double least) {
  return {"tiny", [least](Random& r, Elements x) {
            const int above = std::ilogb(least) + 1;
            x.set_all([&] { return r.wide(above - 21, above); });
            if (r.chance(2)) set_greatest(x, neighbour(x.dtype(), least, r.chance(2)), r);
          }};
}

Fill inf_groups() {
  return {"one_inf", [](Random& r, Elements x) {
            write_with_specials(r, x, [&] { return (r.u32() & 0x80000000u) | 0x7f800000u; });
          }};
}

Fill nan_groups() {
  return {"one_nan", [](Random& r, Elements x) {
            write_with_specials(r, x, [&] {
              static constexpr std::uint32_t kNans[] = {0x7fc00000u, 0xffc00000u, 0x7f810000u, 0xff810000u};
              r.u32();  // the number is not used, but recorded inputs depend on this draw
              return kNans[r.below(4)];
            });
          }};
}

}  // namespace dsv4::fills
