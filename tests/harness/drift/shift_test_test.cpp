#include "harness/drift/shift_test.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "harness/compare/errors.h"
#include "harness/drift/drift.h"

namespace dsv4 {
namespace {

using Conclusion = OutputDrift::Conclusion;

TEST(ShiftTest, HasTheValuesOfAHandComputation) {
  // Net movements 0.5, 0.3, 0.4, each with variance 0.01, so all weights are equal. Mean 0.4; the variance of the cases
  // is 0.01, so the standard error is sqrt(0.01 / 3) = 0.057735, which is also that of the rows. t = 6.9282 with two
  // degrees of freedom: p = 1 - t / sqrt(t^2 + 2) = 0.0202. Three cases give no p below 2^(1-3).
  const ShiftTest t = test_shift({{5, 10, 1}, {3, 10, 1}, {4, 10, 1}});
  EXPECT_EQ(t.cases, 3u);
  EXPECT_NEAR(t.net, 0.4, 1e-12);
  EXPECT_NEAR(t.error, std::sqrt(0.01 / 3), 1e-12);
  EXPECT_NEAR(t.degrees, 2, 1e-12);
  EXPECT_NEAR(t.p, 0.25, 1e-12);
  // Ten such cases: the standard error is that of the rows, sqrt(0.01 / 10), and t = 12.649 with nine degrees of
  // freedom, which has p = 5e-7. Ten cases give no p below 2^(1-10).
  const ShiftTest many = test_shift(std::vector<CaseMovement>(10, {4, 10, 1}));
  EXPECT_NEAR(many.error, std::sqrt(0.001), 1e-12);
  EXPECT_NEAR(many.p, std::exp2(-9), 1e-12);
}

TEST(ShiftTest, HasThePOfStudentsT) {
  // Twelve cases, half with net 0.4 and half with 0: mean 0.2, sum of squares 12 * 0.04, variance 0.48 / 11, standard
  // error sqrt(0.48 / 11 / 12) = 0.060302, t = 3.3166, 11 degrees of freedom. R: 2 * pt(-3.3166, 11) = 0.006881.
  std::vector<CaseMovement> cases(6, {4, 10, 0.1});
  cases.resize(12, {0, 10, 0.1});
  const ShiftTest t = test_shift(cases);
  EXPECT_NEAR(t.net, 0.2, 1e-12);
  EXPECT_NEAR(t.error, 0.0603023, 1e-6);
  EXPECT_NEAR(t.p, 0.006881, 2e-5);
}

TEST(ShiftTest, OneCaseOrNoneIsNoTest) {
  EXPECT_EQ(test_shift({}).p, 1);
  EXPECT_EQ(test_shift({{5, 5, 0.1}}).p, 1);
  EXPECT_TRUE(test_shift({{5, 5, 0.1}}).blind());
}

TEST(ShiftTest, MovesThatCancelAreNoShift) {
  ShiftTest t = test_shift(std::vector<CaseMovement>(20, {0, 10, 0}));
  EXPECT_EQ(t.p, 1);
  adjust({&t});
  EXPECT_FALSE(t.shifted());
}

TEST(ShiftTest, HolmMultipliesTheSmallestByAll) {
  std::vector<ShiftTest> tests(4);
  for (std::size_t i = 0; i < 4; ++i) tests[i].p = std::vector{0.02, 0.01, 0.04, 0.03}[i];
  adjust({&tests[0], &tests[1], &tests[2], &tests[3]});
  EXPECT_NEAR(tests[1].adjusted, 0.04, 1e-12);  // 4 * 0.01
  EXPECT_NEAR(tests[0].adjusted, 0.06, 1e-12);  // 3 * 0.02
  EXPECT_NEAR(tests[3].adjusted, 0.06, 1e-12);  // 2 * 0.03
  EXPECT_NEAR(tests[2].adjusted, 0.06, 1e-12);  // 0.04, but not below the one before
}

TEST(ShiftTest, ANegligibleMovementIsNoShift) {
  ShiftTest small = test_shift(std::vector<CaseMovement>(40, {0.04, 1, 1e-9}));
  ShiftTest large = test_shift(std::vector<CaseMovement>(40, {0.06, 1, 1e-9}));
  adjust({&small, &large});
  EXPECT_LT(small.adjusted, 1e-6);
  EXPECT_FALSE(small.shifted());
  EXPECT_TRUE(large.shifted());
}

TEST(ShiftTest, TellsWhatItCouldHaveFound) {
  // With seven cases in one direction, the smallest p is 2^-6, which is never significant.
  ShiftTest few = test_shift(std::vector<CaseMovement>(7, {1, 1, 1e-6}));
  adjust({&few});
  EXPECT_TRUE(few.blind());
  EXPECT_FALSE(few.shifted());
  ShiftTest enough = test_shift(std::vector<CaseMovement>(12, {1, 1, 1e-6}));
  adjust({&enough});
  EXPECT_FALSE(enough.blind());
  EXPECT_TRUE(enough.shifted());
  EXPECT_EQ(enough.detectable, kLeastNet);
}

/// The elements of one case depend on each other completely: each case moves as a whole. Either direction is equally
/// likely. Whatever the rows say, the test must not tell a shift more often than it promises.
TEST(ShiftTest, CasesThatMoveAsAWholeGiveNoMoreFalseAlarms) {
  std::mt19937 random(1);
  constexpr int kTrials = 4000;
  for (const std::size_t n : {3u, 5u, 8u, 12u, 20u, 60u}) {
    int alarms = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      std::vector<CaseMovement> cases;
      for (std::size_t i = 0; i < n; ++i) cases.push_back({random() % 2 == 0 ? 1.0 : -1.0, 1, 1e-4});
      ShiftTest t = test_shift(cases);
      adjust({&t});
      alarms += t.shifted() ? 1 : 0;
    }
    // The expected number is at most 40, its standard deviation 6.3.
    EXPECT_LE(alarms, 40 + 3 * 6.3) << n << " cases";
  }
}

/// A reduction of random products in float, in the two orders of addition that kernels use, and truncated instead of
/// rounded to the nearest.
class Reduction {
 public:
  enum class Way { kInTurn, kTree, kTruncated };

  explicit Reduction(std::uint32_t seed) : random_(seed) {}

  /// Adds one case to the pair: `rows` rows of sums, computed in two ways.
  OutputReport next(Way other, Way subject) {
    constexpr std::int64_t kColumns = 24;
    const std::int64_t rows = 1 + static_cast<std::int64_t>(random_() % 8);
    const Shape shape{rows, kColumns};
    HostTensor want = HostTensor::make(DType::kF32, shape), a = want, b = want;
    HostTensor bound = HostTensor::make(DType::kF64, shape);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < rows * kColumns; ++i) {
      double exact = 0, magnitude = 0;
      for (double& x : terms_) {
        x = normal(random_);
        x = static_cast<float>(x);
        exact += x;
        magnitude += std::fabs(x);
      }
      want.set(i, static_cast<float>(exact));
      a.set(i, computed(other));
      b.set(i, computed(subject));
      bound.set(i, static_cast<double>(terms_.size()) * 0x1p-24 * magnitude);
    }
    const Tolerance t = Tolerance::within(bound, "test");
    OutputReport report;
    report.name = "out";
    report.tolerance = "bound";
    report.errors = error_statistics({"out", b}, {"out", want}, t);
    report.paired = paired_errors({"out", b}, t, {"out", a}, t, {"out", want});
    return report;
  }

 private:
  [[nodiscard]] float computed(Way way) const {
    if (way == Way::kTree) return tree(0, terms_.size());
    float sum = 0;
    for (std::size_t i = 0; i + 1 < terms_.size(); ++i) sum += static_cast<float>(terms_[i]);
    // The last addition gives the output. Its sum of two floats is exact in double, and is rounded once.
    const double exact = static_cast<double>(sum) + terms_.back();
    const auto nearest = static_cast<float>(exact);
    const bool up = std::fabs(static_cast<double>(nearest)) > std::fabs(exact);
    return way == Way::kTruncated && up ? std::nextafterf(nearest, 0.0f) : nearest;
  }
  [[nodiscard]] float tree(std::size_t from, std::size_t to) const {
    if (to - from == 1) return static_cast<float>(terms_[from]);
    const std::size_t middle = (from + to) / 2;
    return tree(from, middle) + tree(middle, to);
  }

  std::mt19937 random_;
  std::array<double, 32> terms_{};
};

/// The pair of 20 cases.
PairDrift pair_with(Reduction::Way other, Reduction::Way subject, std::uint32_t seed) {
  Reduction reduction(seed);
  std::vector<CaseResult> results;
  for (int i = 0; i < 20; ++i) {
    CaseResult r;
    r.id = "sum/n=" + std::to_string(10 + i) + "/seed=1";
    r.verdict = Verdict::kPassed;
    r.outputs = {reduction.next(other, subject)};
    results.push_back(r);
  }
  std::vector<PairDrift> pairs{pair_of("a", "b", results)};
  find_shifts(pairs);
  return pairs.front();
}

TEST(ShiftTest, AChangedOrderOfAdditionIsNoShift) {
  int alarms = 0;
  double largest = 0;
  constexpr int kTrials = 300;
  for (int seed = 0; seed < kTrials; ++seed) {
    const PairDrift pair = pair_with(Reduction::Way::kInTurn, Reduction::Way::kTree, static_cast<std::uint32_t>(seed));
    const OutputDrift& o = pair.outputs.front();
    EXPECT_GT(o.differing, 15u);
    alarms += o.conclusion == Conclusion::kShift ? 1 : 0;
    largest = std::max(largest, std::fabs(o.decisive().net));
  }
  // At most 3 are expected, and more than 8 in 0.4 % of all such series.
  EXPECT_LE(alarms, 8);
  EXPECT_LT(largest, 0.2);
}

TEST(ShiftTest, TruncationIsFoundBehindAnotherOrderOfAddition) {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    const PairDrift same = pair_with(Reduction::Way::kInTurn, Reduction::Way::kTruncated, seed);
    EXPECT_EQ(same.outputs.front().conclusion, Conclusion::kShift) << seed;
    EXPECT_STREQ(same.outputs.front().direction(), "toward zero");
    EXPECT_NEAR(same.outputs.front().away.net, -1, 1e-9) << "every element that moves goes toward zero";
    const PairDrift other = pair_with(Reduction::Way::kTree, Reduction::Way::kTruncated, seed);
    EXPECT_EQ(other.outputs.front().conclusion, Conclusion::kShift) << seed;
    EXPECT_STREQ(other.outputs.front().direction(), "toward zero");
    EXPECT_FALSE(other.outputs.front().up.shifted()) << "as many elements are positive as negative";
  }
}

TEST(ShiftTest, TheSameBitsAreNoTest) {
  const PairDrift pair = pair_with(Reduction::Way::kTree, Reduction::Way::kTree, 1);
  EXPECT_EQ(pair.outputs.front().conclusion, Conclusion::kSame);
  EXPECT_EQ(exit_status({pair}), 0);
}

}  // namespace
}  // namespace dsv4
