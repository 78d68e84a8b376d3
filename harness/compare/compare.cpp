#include "harness/compare/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace dsv4 {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

const char* name_of_kind(Tolerance::Kind kind) {
  switch (kind) {
    case Tolerance::Kind::kExact:
      return "exact";
    case Tolerance::Kind::kExactNan:
      return "exact_nan";
    case Tolerance::Kind::kBound:
      return "bound";
    case Tolerance::Kind::kInterval:
      return "interval";
  }
  return "?";
}

/// The comparison of one element.
struct Outcome {
  bool same_bits = false;
  bool violation = false;
  bool certified = false;
  double error = 0;
  double bound = 0;
};

/// Distance between two values: 0 for equal ones (infinities included), NaN if either is NaN.
double distance(double got, double want) {
  if (got == want) return 0;
  if (std::isnan(got) || std::isnan(want)) return kNan;
  return std::fabs(got - want);
}

Outcome compare_exact(DType dtype, const std::uint8_t* got, const std::uint8_t* want, bool any_nan) {
  Outcome o;
  o.same_bits = std::memcmp(got, want, static_cast<std::size_t>(size_of(dtype))) == 0;
  if (o.same_bits) return o;
  const double g = value_of(dtype, got);
  const double w = value_of(dtype, want);
  o.error = distance(g, w);
  o.violation = !(any_nan && std::isnan(g) && std::isnan(w));
  return o;
}

Outcome compare_bound(DType dtype, const std::uint8_t* got, const std::uint8_t* want, double bound) {
  Outcome o;
  o.same_bits = std::memcmp(got, want, static_cast<std::size_t>(size_of(dtype))) == 0;
  const double g = value_of(dtype, got);
  const double w = value_of(dtype, want);
  o.error = distance(g, w);
  o.bound = bound;
  if (o.same_bits) return o;
  if (std::isnan(g) || std::isnan(w)) {
    o.violation = std::isnan(g) != std::isnan(w);
    return o;
  }
  // Infinity must be at the same place with the same sign on both sides, unless the bound itself is infinite. Then the
  // reference says that the value may overflow or not.
  o.violation = !(o.error <= bound);
  return o;
}

Outcome compare_interval(DType dtype, const std::uint8_t* got, const std::uint8_t* want, const std::uint8_t* low,
                         const std::uint8_t* high) {
  Outcome o;
  const auto bytes = static_cast<std::size_t>(size_of(dtype));
  o.same_bits = std::memcmp(got, want, bytes) == 0;
  o.error = o.same_bits ? 0 : distance(value_of(dtype, got), value_of(dtype, want));
  const auto l = order_key(dtype, low);
  const auto h = order_key(dtype, high);
  const auto g = order_key(dtype, got);
  if (!l || !h) {
    // An end of the interval is NaN. Then only the bits of either end are allowed.
    o.violation = std::memcmp(got, low, bytes) != 0 && std::memcmp(got, high, bytes) != 0;
    o.certified = !o.violation && !o.same_bits;
    return o;
  }
  o.violation = !g || *g < *l || *g > *h;
  o.certified = !o.violation && !o.same_bits;
  o.bound = value_of(dtype, high) - value_of(dtype, low);
  return o;
}

ElementDifference describe(const Output& got, const Output& want, std::int64_t i, const Outcome& o) {
  return {got.value.coordinates(i), format_element(got.value.dtype, got.value.element(i)),
          format_element(want.value.dtype, want.value.element(i)), o.error, o.bound};
}

/// How bad a violation is; larger is worse. An undefined distance (NaN against a number) is the worst. So is any
/// distance with a bound of zero, because error/bound is infinite there.
double badness(Tolerance::Kind kind, const Outcome& o) {
  if (kind != Tolerance::Kind::kBound && !std::isnan(o.error)) return o.error;
  return o.bound > 0 && !std::isnan(o.error) ? o.error / o.bound : std::numeric_limits<double>::infinity();
}

}  // namespace

OutputReport compare_output(const Output& got, const Output& want, const Tolerance& tolerance, double scale) {
  OutputReport r;
  r.name = got.name;
  r.tolerance = name_of_kind(tolerance.kind);
  r.reason = tolerance.reason;
  const HostTensor& g = got.value;
  const HostTensor& w = want.value;
  const auto same_form = [&](const HostTensor& t) { return t.shape == g.shape; };
  std::string mismatch;
  if (g.dtype != w.dtype || !same_form(w)) {
    mismatch = fmt::format("got {}, want {}", g.describe(), w.describe());
  } else if (tolerance.kind == Tolerance::Kind::kBound && !same_form(tolerance.bound)) {
    mismatch = fmt::format("the bound is {}, the output {}", tolerance.bound.describe(), g.describe());
  } else if (tolerance.kind == Tolerance::Kind::kInterval &&
             (!same_form(tolerance.low) || !same_form(tolerance.high) || tolerance.low.dtype != g.dtype ||
              tolerance.high.dtype != g.dtype)) {
    mismatch = fmt::format("the interval is {} to {}, the output {}", tolerance.low.describe(),
                           tolerance.high.describe(), g.describe());
  }
  if (!mismatch.empty()) {
    r.violations = r.different = 1;
    r.first = r.worst = ElementDifference{{}, g.describe(), w.describe(), kNan, 0};
    r.reason = mismatch;
    return r;
  }

  const std::int64_t n = g.numel();
  r.compared = n;
  r.trivial = n > 0;
  double worst = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::uint8_t* ge = g.element(i);
    const std::uint8_t* we = w.element(i);
    Outcome o;
    switch (tolerance.kind) {
      case Tolerance::Kind::kExact:
        o = compare_exact(g.dtype, ge, we, false);
        break;
      case Tolerance::Kind::kExactNan:
        o = compare_exact(g.dtype, ge, we, true);
        break;
      case Tolerance::Kind::kBound:
        o = compare_bound(g.dtype, ge, we, scale * value_of(tolerance.bound.dtype, tolerance.bound.element(i)));
        break;
      case Tolerance::Kind::kInterval:
        o = compare_interval(g.dtype, ge, we, tolerance.low.element(i), tolerance.high.element(i));
        break;
    }
    if (r.trivial && i > 0) r.trivial = std::memcmp(ge, g.element(0), static_cast<std::size_t>(size_of(g.dtype))) == 0;
    if (!o.same_bits) ++r.different;
    if (o.certified) ++r.certified;
    if (tolerance.kind == Tolerance::Kind::kBound && o.bound > 0 && std::isfinite(o.bound) && std::isfinite(o.error)) {
      r.tightness = std::max(r.tightness, o.error / o.bound);
    }
    if (!o.violation) continue;
    ++r.violations;
    if (!r.first) r.first = describe(got, want, i, o);
    if (const double bad = badness(tolerance.kind, o); bad > worst) {
      worst = bad;
      r.worst = describe(got, want, i, o);
    }
  }
  return r;
}

std::vector<OutputReport> compare_outputs(const Observation& got, const Observation& want, const Tolerances& tolerances,
                                          double scale) {
  static const Tolerance kExact;
  std::vector<OutputReport> reports;
  for (const Output& output : got.outputs) {
    const auto other = std::ranges::find(want.outputs, output.name, &Output::name);
    const auto tolerance = tolerances.find(output.name);
    reports.push_back(
        other == want.outputs.end()
            ? incomparable(output.name, "the other side has no such output")
            : compare_output(output, *other, tolerance == tolerances.end() ? kExact : tolerance->second, scale));
  }
  for (const Output& output : want.outputs) {
    if (std::ranges::find(got.outputs, output.name, &Output::name) == got.outputs.end())
      reports.push_back(incomparable(output.name, "this side has no such output"));
  }
  return reports;
}

OutputReport incomparable(const std::string& name, const std::string& reason) {
  OutputReport r;
  r.name = name;
  r.tolerance = "exact";
  r.reason = reason;
  r.violations = r.different = 1;
  return r;
}

}  // namespace dsv4
