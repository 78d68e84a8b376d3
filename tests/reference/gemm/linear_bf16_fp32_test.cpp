#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;
constexpr const char* kOp = "linear_bf16_fp32";
constexpr float kInf = std::numeric_limits<float>::infinity();

/// The arguments of a call.
struct Linear {
  HostTensor x, y, z;

  Linear(HostTensor left, HostTensor right)
      : x(std::move(left)), y(std::move(right)), z(HostTensor::make(DType::kF32, {x.size(0), y.size(0)})) {
    poison(z, 1);
  }
  Linear(std::int64_t rows, std::int64_t depth, std::int64_t outputs)
      : Linear(HostTensor::make(DType::kBF16, {rows, depth}), HostTensor::make(DType::kBF16, {outputs, depth})) {}

  void call() { call_reference(kOp, "run", {&x, &y, &z}); }
  [[nodiscard]] HostTensor bound() {
    HostTensor bounds = z;
    call_reference(kOp, "bound", {&x, &y, &bounds});
    return bounds;
  }
};

void set(HostTensor& t, const std::vector<float>& values) {
  for (std::size_t i = 0; i < values.size(); ++i) set_float(t, static_cast<std::int64_t>(i), values[i]);
}

/// A float with all bits below the last one cut off: rounded toward zero, unlike double's conversion.
float truncated(double x) {
  const auto nearest = static_cast<float>(x);
  return std::fabs(nearest) > std::fabs(x) ? std::nextafter(nearest, 0.0f) : nearest;
}

TEST(LinearReference, KnownAnswers) {
  Linear c(2, 3, 2);
  set(c.x, {1, 2, 3, -4, 0.5, 6});
  set(c.y, {1, 10, 100, -1, 3, 0.25});
  c.call();
  EXPECT_EQ(c.z.at<float>(0, 0), 321.0f);
  EXPECT_EQ(c.z.at<float>(0, 1), 5.75f);
  EXPECT_EQ(c.z.at<float>(1, 0), 601.0f);
  EXPECT_EQ(c.z.at<float>(1, 1), 7.0f);
}

TEST(LinearReference, SumsHaveMoreBitsThanAFloat) {
  Linear c(1, 4, 1);
  set(c.x, {0x1p20f, 1, 0x1p20f, 1});
  set(c.y, {0x1p20f, 1, -0x1p20f, 1});
  c.call();
  EXPECT_EQ(c.z.at<float>(0, 0), 2.0f);
}

TEST(LinearReference, TheUnitMatrixGivesTheOtherMatrix) {
  Linear c(5, 7, 7);
  Random random(1, "x");
  fill_floats(c.x, [&] { return random.wide(-30, 30); });
  for (std::int64_t i = 0; i < 7; ++i) set_float(c.y, i * 7 + i, 1);
  c.call();
  for (std::int64_t i = 0; i < c.x.numel(); ++i)
    EXPECT_EQ(c.z.get<float>(i), float_from_bf16(c.x.get<std::uint16_t>(i)));
}

TEST(LinearReference, ReadsEveryLayout) {
  Linear plain(3, 4, 2);
  set(plain.x, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  set(plain.y, {1, -1, 2, -2, 0.5, 3, -3, 0.25});
  plain.call();
  Linear other(HostTensor::strided(DType::kBF16, {3, 4}, {1, 5}), HostTensor::strided(DType::kBF16, {2, 4}, {9, 2}));
  for (std::int64_t i = 0; i < 12; ++i) other.x.set(i, plain.x.get<std::uint16_t>(i));
  for (std::int64_t i = 0; i < 8; ++i) other.y.set(i, plain.y.get<std::uint16_t>(i));
  other.call();
  EXPECT_EQ(other.z.storage, plain.z.storage);
}

TEST(LinearReference, NothingToAddGivesZero) {
  Linear c(2, 0, 3);
  c.call();
  for (std::int64_t i = 0; i < 6; ++i) EXPECT_EQ(c.z.get<float>(i), 0.0f);
  const HostTensor bounds = c.bound();
  for (std::int64_t i = 0; i < 6; ++i) EXPECT_EQ(bounds.get<float>(i), 0.0f);
  Linear none(0, 4, 3);
  none.call();
}

TEST(LinearReference, InfinitiesAndNanFollowTheRulesOfFloat) {
  Linear c(4, 2, 1);
  set(c.x, {kInf, 1, -kInf, 1, std::nanf(""), 1, kInf, kInf});
  set(c.y, {2, -3});
  c.call();
  EXPECT_EQ(c.z.at<float>(0, 0), kInf);
  EXPECT_EQ(c.z.at<float>(1, 0), -kInf);
  EXPECT_TRUE(std::isnan(c.z.at<float>(2, 0)));
  EXPECT_TRUE(std::isnan(c.z.at<float>(3, 0)));
  set(c.y, {0, 1});
  c.call();
  EXPECT_TRUE(std::isnan(c.z.at<float>(0, 0)));
}

TEST(LinearReference, RefusesWrongArguments) {
  const auto message = [](Linear c) { return refusal(kOp, "run", {&c.x, &c.y, &c.z}); };
  Linear depth(2, 3, 4);
  depth.y = HostTensor::make(DType::kBF16, {4, 5});
  EXPECT_THAT(message(depth), HasSubstr("'y': expected size 3 in dimension 1, got 5"));
  Linear rows(2, 3, 4);
  rows.z = HostTensor::make(DType::kF32, {3, 4});
  EXPECT_THAT(message(rows), HasSubstr("'z': expected size 2 in dimension 0, got 3"));
  Linear outputs(2, 3, 4);
  outputs.z = HostTensor::make(DType::kF32, {2, 3});
  EXPECT_THAT(message(outputs), HasSubstr("'z': expected size 4 in dimension 1, got 3"));
  Linear wide(2, 3, 4);
  wide.x = HostTensor::make(DType::kF32, {2, 3});
  EXPECT_THAT(message(wide), HasSubstr("'x': expected bfloat16, got float32"));
}

/// The largest error/bound of sums that are computed by `add`, over rows of `fill`.
template <class Next, class Add>
double worst_share(std::int64_t depth, Next next, Add add) {
  Linear c(24, depth, 16);
  Random random(5, "x");
  fill_floats(c.x, [&] { return next(random); });
  fill_floats(c.y, [&] { return next(random); });
  c.call();
  const HostTensor bounds = c.bound();
  double worst = 0;
  for (std::int64_t i = 0; i < c.z.numel(); ++i) {
    std::vector<double> products;
    for (std::int64_t l = 0; l < depth; ++l) {
      const auto value = [l, depth](const HostTensor& t, std::int64_t row) {
        return static_cast<double>(float_from_bf16(t.get<std::uint16_t>(row * depth + l)));
      };
      products.push_back(value(c.x, i / 16) * value(c.y, i % 16));
    }
    const double error = std::fabs(add(products) - static_cast<double>(c.z.get<float>(i)));
    if (error > 0) worst = std::max(worst, error / static_cast<double>(bounds.get<float>(i)));
  }
  return worst;
}

double in_order(const std::vector<double>& products) {
  float sum = 0;
  for (const double p : products) sum = static_cast<float>(static_cast<double>(sum) + p);
  return sum;
}
double cut_off(const std::vector<double>& products) {
  float sum = 0;
  for (const double p : products) sum = truncated(static_cast<double>(sum) + p);
  return sum;
}
double pairwise(std::vector<double> products) {
  for (std::size_t n = products.size(); n > 1; n = (n + 1) / 2) {
    for (std::size_t i = 0; i < n / 2; ++i) products[i] = static_cast<float>(products[i] + products[n - 1 - i]);
  }
  return products[0];
}
double bfloat16_sums(const std::vector<double>& products) {
  float sum = 0;
  for (const double p : products)
    sum = float_from_bf16(bf16_from_float(static_cast<float>(static_cast<double>(sum) + p)));
  return sum;
}

TEST(LinearBound, AdmitsEveryOrderAndTruncation) {
  const auto gauss = [](Random& r) { return r.gauss(); };
  const auto positive = [](Random& r) { return 1 + r.unit(); };
  for (const std::int64_t depth : {2, 3, 16, 65, 1024}) {
    EXPECT_LE(worst_share(depth, gauss, in_order), 1.0);
    EXPECT_LE(worst_share(depth, gauss, pairwise), 1.0);
    EXPECT_LE(worst_share(depth, gauss, cut_off), 1.0);
    EXPECT_LE(worst_share(depth, positive, cut_off), 1.0);
  }
  // The errors of sums of positive products do not cancel, and the bound is not far above them.
  EXPECT_GT(worst_share(1024, positive, cut_off), 0.05);
}

TEST(LinearBound, RejectsTheUsualMistakes) {
  const auto gauss = [](Random& r) { return r.gauss(); };
  for (const std::int64_t depth : {8, 64, 512}) EXPECT_GT(worst_share(depth, gauss, bfloat16_sums), 4.0);
  const auto rounded_result = [](const std::vector<double>& p) {
    return static_cast<double>(float_from_bf16(bf16_from_float(static_cast<float>(pairwise(p)))));
  };
  for (const std::int64_t depth : {8, 64, 512}) EXPECT_GT(worst_share(depth, gauss, rounded_result), 4.0);
  const auto missing = [](std::vector<double> p) {
    p.pop_back();
    return p.empty() ? 0.0 : pairwise(p);
  };
  EXPECT_GT(worst_share(4096, gauss, missing), 4.0);
}

TEST(LinearBound, IsZeroWhereEveryOrderIsExact) {
  Linear c(1, 3, 1);
  set(c.x, {3, -5, 0x1p11f});
  set(c.y, {7, 0.5, 0x1p11f});  // multiples of 1/2, and the sum of the magnitudes is 2^22 + 23.5 <= 2^23
  EXPECT_EQ(c.bound().get<float>(0), 0.0f);
  set(c.y, {7, 0.5, 0x1p12f});  // now it is more than 2^23
  EXPECT_GT(c.bound().get<float>(0), 0.0f);
  set(c.x, {0, 0, 1});
  EXPECT_EQ(c.bound().get<float>(0), 0.0f);
}

TEST(LinearBound, IsTheFormulaOfThePage) {
  Linear c(1, 2, 1);
  set(c.x, {1, 0x1p-20f});
  set(c.y, {1, 0x1p-20f});
  const double magnitude = 1 + 0x1p-40, share = 2 * 0x1p-23;
  const double want = share / (1 - share) * magnitude + 2 * 0x1p-53 * magnitude + 0x1p-24 * magnitude;
  EXPECT_FLOAT_EQ(c.bound().get<float>(0), static_cast<float>(want));
}

TEST(LinearBound, SubnormalFactorsMayBeZeroAndSmallSumsMayBeFlushed) {
  Linear c(1, 2, 1);
  set(c.x, {0x1p-130f, 1});
  set(c.y, {0x1p120f, 1});
  EXPECT_GE(c.bound().get<float>(0), 0x1p-10f);
  set(c.x, {0x1p-70f, 0x1p-70f});
  set(c.y, {0x1p-70f, 0x1p-70f});
  c.call();
  EXPECT_GE(c.bound().get<float>(0), c.z.get<float>(0));
}

TEST(LinearBound, IsInfiniteWhereAnOrderMayOverflow) {
  Linear c(1, 3, 1);
  set(c.x, {0x1p100f, 0x1p100f, 0x1p100f});
  set(c.y, {0x1p27f, 0x1p27f, -0x1p27f});
  EXPECT_EQ(c.bound().get<float>(0), kInf);
}

}  // namespace
}  // namespace dsv4::testing
