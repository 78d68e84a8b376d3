#include "harness/ops/topk/score_fills.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "harness/core/bits.h"
#include "harness/core/error.h"

namespace dsv4 {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

using Row = std::span<float>;

float nan_of(Random& r) {
  const std::uint32_t sign = r.u32() & 0x80000000u;
  return std::bit_cast<float>(sign | 0x7fc00000u | static_cast<std::uint32_t>(r.below(4)));
}

/// A value exactly between two neighbouring binary16 numbers: it rounds to even, into a bin that a plain comparison
/// with the middle of two bins gets wrong. Every second one lies on the border of two coarse bins.
float f16_midpoint(Random& r) {
  auto h = static_cast<std::uint16_t>(r.between(0x2000, 0x7000));
  if (r.chance(2)) h |= 0xff;
  const double middle = (double_from_f16(h) + double_from_f16(static_cast<std::uint16_t>(h + 1))) / 2;
  return static_cast<float>(r.chance(2) ? -middle : middle);
}

/// `count` elements at random places get a value from `next`.
void scatter(Random& r, Row row, std::int64_t count, const std::function<float()>& next) {
  const auto order = r.permutation(static_cast<std::int64_t>(row.size()));
  for (std::int64_t i = 0; i < std::min<std::int64_t>(count, std::ssize(row)); ++i) row[order[i]] = next();
}

void fill_with(Row row, const std::function<float()>& next) {
  for (float& x : row) x = next();
}

struct Fill {
  std::string name;
  std::function<void(Random&, Row, std::int64_t k)> apply;
};

const std::vector<Fill>& fills() {
  static const std::vector<Fill> kFills{
      // Full mantissas, where nothing ties.
      {"gauss", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return r.gauss(); }); }},
      {"uniform", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return r.unit(); }); }},
      {"wide", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return r.wide(-140, 127); }); }},
      // Distinct small integers, and sorted ones: the first or the last arrivals are the best.
      {"permutation",
       [](Random& r, Row row, std::int64_t) {
         const auto order = r.permutation(std::ssize(row));
         for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(order[i]);
       }},
      {"ascending",
       [](Random&, Row row, std::int64_t) {
         for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i);
       }},
      {"descending",
       [](Random&, Row row, std::int64_t) {
         for (std::size_t i = 0; i < row.size(); ++i) row[i] = -static_cast<float>(i);
       }},
      // Ties: few values; one value; k-1, k or k+1 equal best ones; a plateau that the cut goes through.
      {"ties",
       [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return static_cast<float>(r.between(-3, 3)); }); }},
      {"equal",
       [](Random& r, Row row, std::int64_t) {
         const float value = r.gauss();
         fill_with(row, [&] { return value; });
       }},
      {"maxima",
       [](Random& r, Row row, std::int64_t k) {
         fill_with(row, [&] { return r.unit(); });
         scatter(r, row, k + r.between(-1, 1), [] { return 2.0f; });
       }},
      {"plateau",
       [](Random& r, Row row, std::int64_t k) {
         fill_with(row, [&] { return r.unit(); });
         scatter(r, row, k + 700, [] { return 3.0f; });
         scatter(r, row, k - 129, [&] { return 4.0f + r.unit(); });
       }},
      {"last_best",
       [](Random& r, Row row, std::int64_t) {
         fill_with(row, [&] { return r.gauss(); });
         if (!row.empty()) row.back() = 100.0f;
       }},
      // Zeros of both signs, as rectified logits have them.
      {"signed_zeros",
       [](Random& r, Row row, std::int64_t k) {
         fill_with(row, [&] { return r.chance(2) ? 0.0f : -0.0f; });
         scatter(r, row, k / 2, [&] { return r.gauss(); });
       }},
      {"relu",
       [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return std::max(r.gauss() - 1.0f, 0.0f); }); }},
      {"denormal",
       [](Random& r, Row row, std::int64_t) {
         fill_with(row, [&] { return std::bit_cast<float>((r.u32() & 0x80000000u) | (r.u32() & 0x7fffffu)); });
       }},
      // What lies in one coarse bin: a narrow interval, an offset, tiny values, values beyond binary16.
      {"cluster", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return 1.0f + 0.2f * r.unit(); }); }},
      {"offset", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return 10.0f + 0.1f * r.gauss(); }); }},
      {"tiny", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return 1e-6f * r.gauss(); }); }},
      {"huge",
       [](Random& r, Row row, std::int64_t) {
         fill_with(row, [&] { return r.chance(8) ? std::numeric_limits<float>::max() : r.wide(15, 127); });
       }},
      {"midpoints", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return f16_midpoint(r); }); }},
      // Infinities and NaN: one, about k, all; of both signs.
      {"one_inf",
       [](Random& r, Row row, std::int64_t) {
         fill_with(row, [&] { return r.gauss(); });
         scatter(r, row, 1, [] { return kInf; });
       }},
      {"many_inf",
       [](Random& r, Row row, std::int64_t k) {
         fill_with(row, [&] { return r.chance(3) ? -kInf : r.wide(10, 20); });
         scatter(r, row, k + r.between(-3, 40), [] { return kInf; });
       }},
      {"minus_inf",
       [](Random& r, Row row, std::int64_t k) {
         fill_with(row, [] { return -kInf; });
         scatter(r, row, k - 5, [&] { return r.gauss(); });
       }},
      {"one_nan",
       [](Random& r, Row row, std::int64_t) {
         fill_with(row, [&] { return r.gauss(); });
         scatter(r, row, 1, [&] { return nan_of(r); });
       }},
      {"half_nan",
       [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return r.chance(2) ? nan_of(r) : r.gauss(); }); }},
      {"all_nan", [](Random& r, Row row, std::int64_t) { fill_with(row, [&] { return nan_of(r); }); }},
  };
  return kFills;
}

}  // namespace

const std::vector<std::string>& score_fills() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Fill& f : fills()) names.push_back(f.name);
    return names;
  }();
  return kNames;
}

void fill_scores(std::string_view fill, std::int64_t k, Random& random, std::span<float> row) {
  for (const Fill& f : fills()) {
    if (f.name == fill) return f.apply(random, row, k);
  }
  throw Error(fmt::format("unknown score fill '{}'", fill));
}

}  // namespace dsv4
