#include "harness/compare/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "harness/core/poison.h"

namespace dsv4 {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// The comparison of one element.
struct ElementComparison {
  bool same_bits = false;
  bool violation = false;
  bool certified = false;
  double error = 0;
  double bound = 0;
};

/// Distance between two values. It is 0 if the values are equal, even if they are infinite. It is NaN if a value
/// is NaN.
double distance(double got, double want) {
  if (got == want) return 0;
  if (std::isnan(got) || std::isnan(want)) return kNan;
  return std::fabs(got - want);
}

ElementComparison compare_exact(DType dtype, const std::uint8_t* got, const std::uint8_t* want, bool any_nan) {
  ElementComparison element;
  element.same_bits = std::memcmp(got, want, static_cast<std::size_t>(size_of(dtype))) == 0;
  if (element.same_bits) return element;
  const double got_value = value_of(dtype, got);
  const double want_value = value_of(dtype, want);
  element.error = distance(got_value, want_value);
  element.violation = !(any_nan && std::isnan(got_value) && std::isnan(want_value));
  return element;
}

ElementComparison compare_bound(DType dtype, const std::uint8_t* got, const std::uint8_t* want, double bound) {
  ElementComparison element;
  element.same_bits = std::memcmp(got, want, static_cast<std::size_t>(size_of(dtype))) == 0;
  const double got_value = value_of(dtype, got);
  const double want_value = value_of(dtype, want);
  element.error = distance(got_value, want_value);
  element.bound = bound;
  if (element.same_bits) return element;
  if (std::isnan(got_value) || std::isnan(want_value)) {
    element.violation = std::isnan(got_value) != std::isnan(want_value);
    return element;
  }
  // Infinity must be at the same place with the same sign on both sides, unless the bound itself is infinite. Then the
  // reference says that the value may overflow or not.
  element.violation = !(element.error <= bound);
  return element;
}

ElementComparison compare_interval(DType dtype, const std::uint8_t* got, const std::uint8_t* want,
                                   const std::uint8_t* low, const std::uint8_t* high) {
  ElementComparison element;
  const auto bytes = static_cast<std::size_t>(size_of(dtype));
  element.same_bits = std::memcmp(got, want, bytes) == 0;
  element.error = element.same_bits ? 0 : distance(value_of(dtype, got), value_of(dtype, want));
  const auto low_key = order_key(dtype, low);
  const auto high_key = order_key(dtype, high);
  const auto got_key = order_key(dtype, got);
  if (!low_key || !high_key) {
    // An end of the interval is NaN. Then the element must have the bits of one of the ends.
    element.violation = std::memcmp(got, low, bytes) != 0 && std::memcmp(got, high, bytes) != 0;
    element.certified = !element.violation && !element.same_bits;
    return element;
  }
  element.violation = !got_key || *got_key < *low_key || *got_key > *high_key;
  element.certified = !element.violation && !element.same_bits;
  element.bound = value_of(dtype, high) - value_of(dtype, low);
  return element;
}

/// The value and bits of an element; or the fact that nobody wrote it.
std::string describe_value(const HostTensor& t, std::int64_t i) {
  const std::string poison = describe_poison(t, i);
  return poison.empty() ? format_element(t.dtype, t.element(i)) : poison;
}

/// The share of the bound that the error uses; 0 if there is no finite bound above 0 or no finite error.
double share_of_bound(Tolerance::Kind kind, const ElementComparison& element) {
  const bool defined = kind == Tolerance::Kind::kBound && element.bound > 0 && std::isfinite(element.bound) &&
                       std::isfinite(element.error);
  return defined ? element.error / element.bound : 0;
}

/// Compares element i of `got` with element j of `want`. `tolerance` has the shape of `want`.
ElementComparison compare_element(const HostTensor& got, std::int64_t i, const HostTensor& want, std::int64_t j,
                                  const Tolerance& tolerance, double scale) {
  const std::uint8_t *a = got.element(i), *b = want.element(j);
  switch (tolerance.kind) {
    case Tolerance::Kind::kExact:
      return compare_exact(got.dtype, a, b, false);
    case Tolerance::Kind::kExactNan:
      return compare_exact(got.dtype, a, b, true);
    case Tolerance::Kind::kBound:
      return compare_bound(got.dtype, a, b, scale * value_of(tolerance.bound.dtype, tolerance.bound.element(j)));
    case Tolerance::Kind::kInterval:
      return compare_interval(got.dtype, a, b, tolerance.low.element(j), tolerance.high.element(j));
  }
  return {};
}

ElementDifference describe(const HostTensor& got, const HostTensor& want, std::int64_t i,
                           const ElementComparison& element) {
  return {got.coordinates(i), describe_value(got, i), describe_value(want, i), element.error, element.bound};
}

/// How bad a violation is; larger is worse. An undefined distance (NaN against a number) is the worst. So is any
/// distance with a bound of zero, because error/bound is infinite there.
double badness(Tolerance::Kind kind, const ElementComparison& element) {
  if (kind != Tolerance::Kind::kBound && !std::isnan(element.error)) return element.error;
  return element.bound > 0 && !std::isnan(element.error) ? element.error / element.bound
                                                         : std::numeric_limits<double>::infinity();
}

}  // namespace

bool agrees(const HostTensor& got, std::int64_t i, const HostTensor& want, std::int64_t j, const Tolerance& tolerance,
            double scale) {
  return !compare_element(got, i, want, j, tolerance, scale).violation;
}

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

std::int64_t ulp_distance(DType dtype, const std::uint8_t* a, const std::uint8_t* b) {
  const auto key_a = order_key(dtype, a);
  const auto key_b = order_key(dtype, b);
  if (!key_a || !key_b) return 0;
  const auto [low, high] = std::minmax(*key_a, *key_b);
  // The difference of two keys may need 64 bits without a sign.
  const std::uint64_t distance = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  return static_cast<std::int64_t>(std::min<std::uint64_t>(distance, std::numeric_limits<std::int64_t>::max()));
}

OutputReport compare_output(const Output& got_output, const Output& want_output, const Tolerance& tolerance,
                            double scale, const ExcusedElements& excused, bool exact) {
  const HostTensor& got = got_output.value;
  const HostTensor& want = want_output.value;
  OutputReport report;
  report.name = got_output.name;
  report.tolerance = name_of_kind(tolerance.kind);
  report.reason = tolerance.reason;
  if (exact) {
    report.tolerance = name_of_kind(Tolerance::Kind::kExact);
    report.reason = "--exact allows no other bits";
  }
  const auto same_form = [&](const HostTensor& t) { return t.shape == got.shape; };
  std::string mismatch;
  if (got.dtype != want.dtype || !same_form(want)) {
    mismatch = fmt::format("got {}, want {}", got.describe(), want.describe());
  } else if (tolerance.kind == Tolerance::Kind::kBound && !same_form(tolerance.bound)) {
    mismatch = fmt::format("the bound is {}, but the output is {}", tolerance.bound.describe(), got.describe());
  } else if (tolerance.kind == Tolerance::Kind::kInterval &&
             (!same_form(tolerance.low) || !same_form(tolerance.high) || tolerance.low.dtype != got.dtype ||
              tolerance.high.dtype != got.dtype)) {
    mismatch = fmt::format("the interval is {} to {}, but the output is {}", tolerance.low.describe(),
                           tolerance.high.describe(), got.describe());
  }
  if (!mismatch.empty()) {
    report.violations = report.different = 1;
    report.bits = BitComparison{.other = 1, .outside = 1};
    report.first = report.worst = ElementDifference{{}, got.describe(), want.describe(), kNan, 0};
    report.reason = mismatch;
    return report;
  }

  const std::int64_t n = got.numel();
  const auto bytes = static_cast<std::size_t>(size_of(got.dtype));
  report.compared = n;
  report.trivial = n > 0;
  BitComparison bits{.compared = n};
  double worst = -1;
  for (std::int64_t i = 0; i < n; ++i) {
    ElementComparison element = compare_element(got, i, want, i, tolerance, scale);
    if (report.trivial && i > 0) report.trivial = std::memcmp(got.element(i), got.element(0), bytes) == 0;
    if (element.certified) ++report.certified;
    const double share = share_of_bound(tolerance.kind, element);
    report.tightness = std::max(report.tightness, share);
    if (!element.same_bits) {
      ++bits.other;
      if (element.violation) {
        ++bits.outside;
      } else {
        bits.ulp = std::max(bits.ulp, ulp_distance(got.dtype, got.element(i), want.element(i)));
        bits.share = std::max(bits.share, share);
      }
      element.violation = element.violation || exact;
    }
    if (!element.violation) continue;
    if (const std::int32_t by = excused.ids.empty() ? 0 : excused.by.get<std::int32_t>(i); by != 0) {
      if (report.excused++ == 0) report.excused_by = excused.ids[static_cast<std::size_t>(by - 1)];
      continue;
    }
    ++report.violations;
    if (!report.places) report.places = DifferencePlaces(got.shape);
    report.places->add(i);
    if (!report.first) report.first = describe(got, want, i, element);
    if (const double bad = badness(tolerance.kind, element); bad > worst) {
      worst = bad;
      report.worst = describe(got, want, i, element);
    }
  }
  report.different = bits.other;
  report.bits = bits;
  return report;
}

OutputReport compare_records(const Output& got, const Output& want, const Tolerance& tolerance, double scale,
                             const std::vector<Excuse>& excuses, bool exact) {
  const auto joined = tolerance.kind == Tolerance::Kind::kExact ? join_records(got, want) : std::nullopt;
  if (!joined) return compare_output(got, want, tolerance, scale, excused_elements(got, want, excuses, scale), exact);
  OutputReport report =
      compare_output(joined->got, joined->want, tolerance, scale,
                     excused_elements(joined->got, joined->want, excuses, scale, &joined.value()), exact);
  for (auto* difference : {&report.first, &report.worst}) {
    if (!difference->has_value()) continue;
    const auto row = static_cast<std::size_t>((*difference)->at.at(0));
    if (!joined->got_has[row]) (*difference)->got = "no such record";
    if (!joined->want_has[row]) (*difference)->want = "no such record";
    if (!joined->got_has[row] || !joined->want_has[row]) (*difference)->error = kNan;
  }
  return report;
}

std::vector<OutputReport> compare_outputs(const Observation& got, const Observation& want, const Tolerances& tolerances,
                                          double scale, const std::vector<Excuse>& excuses, bool exact) {
  static const Tolerance kExact;
  std::vector<OutputReport> reports;
  for (const Output& output : got.outputs) {
    const auto other = std::ranges::find(want.outputs, output.name, &Output::name);
    const auto tolerance = tolerances.find(output.name);
    reports.push_back(other == want.outputs.end()
                          ? incomparable(output.name, "the other side has no such output")
                          : compare_records(output, *other, tolerance == tolerances.end() ? kExact : tolerance->second,
                                            scale, excuses, exact));
  }
  for (const Output& output : want.outputs) {
    if (std::ranges::find(got.outputs, output.name, &Output::name) == got.outputs.end())
      reports.push_back(incomparable(output.name, "this side has no such output"));
  }
  return reports;
}

OutputReport incomparable(const std::string& name, const std::string& reason) {
  OutputReport report;
  report.name = name;
  report.tolerance = "exact";
  report.reason = reason;
  report.violations = report.different = 1;
  report.bits = BitComparison{.other = 1, .outside = 1};
  return report;
}

}  // namespace dsv4
