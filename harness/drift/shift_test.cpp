#include "harness/drift/shift_test.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

namespace dsv4 {
namespace {

/// How far the net movements of cases of other shapes and data are assumed to lie apart.
constexpr double kCaseSpread = 0.25;

double two_sided_p(double t, double degrees) {
  if (!std::isfinite(t)) return 0;
  const boost::math::students_t distribution(degrees);
  return std::min(1.0, 2 * boost::math::cdf(boost::math::complement(distribution, std::fabs(t))));
}

/// The t that has this two-sided p.
double critical_t(double p, double degrees) {
  const boost::math::students_t distribution(degrees);
  return boost::math::quantile(boost::math::complement(distribution, p / 2));
}

}  // namespace

bool ShiftTest::shifted() const { return adjusted <= kFalseAlarms && std::fabs(net) >= kLeastNet; }

ShiftTest test_shift(const std::vector<CaseMovement>& cases) {
  ShiftTest test{.cases = cases.size()};
  // A weight is the inverse of the variance of a case: that of its rows, and a spread between cases. Without the
  // spread, a few large cases would outweigh all others. Weights do not depend on directions, so they affect only the
  // power.
  struct Term {
    double net, variance, weight;
  };
  std::vector<Term> terms;
  double total = 0, squares = 0;
  for (const CaseMovement& c : cases) {
    const double variance = c.variance / (c.sum_abs * c.sum_abs);
    const double weight = 1 / (variance + kCaseSpread * kCaseSpread);
    terms.push_back({c.sum / c.sum_abs, variance, weight});
    total += weight;
    squares += weight * weight;
  }
  if (terms.empty()) return test;
  for (const Term& term : terms) test.net += term.weight * term.net / total;
  const double effective = total * total / squares;  // number of equally weighted cases with the same information
  // With two cases, Student's t has one degree of freedom and no practical power.
  if (terms.size() < 2 || effective < 1.5) return test;
  double between = 0, within = 0;
  for (const Term& term : terms) {
    const double share = term.weight / total;
    between += share * share * (term.net - test.net) * (term.net - test.net);
    within += share * share * term.variance;
  }
  test.degrees = effective - 1;
  test.error = std::sqrt(std::max(between * effective / test.degrees, within));
  test.least_p = std::exp2(1 - effective);
  test.p = test.net == 0 ? 1 : std::max(two_sided_p(std::fabs(test.net) / test.error, test.degrees), test.least_p);
  return test;
}

void adjust(const std::vector<ShiftTest*>& family) {
  std::vector<ShiftTest*> sorted = family;
  std::ranges::stable_sort(sorted, {}, [](const ShiftTest* t) { return t->p; });
  double largest = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    ShiftTest& test = *sorted[i];
    largest = std::max(largest, std::min(1.0, static_cast<double>(sorted.size() - i) * test.p));
    test.adjusted = largest;
    if (test.degrees == 0) continue;
    // Holm's first step is the strictest one, so this is what the test finds whatever the other tests give.
    const double strictest = kFalseAlarms / static_cast<double>(sorted.size());
    test.detectable =
        test.least_p > strictest ? 1.0 : std::clamp(critical_t(strictest, test.degrees) * test.error, kLeastNet, 1.0);
  }
}

}  // namespace dsv4
