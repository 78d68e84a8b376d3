#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;
constexpr float kInf = std::numeric_limits<float>::infinity();

/// One token whose k experts have the given logits. Its expert j has id 10 + j; ids are below 64.
struct Token {
  HostTensor logits = HostTensor::make(DType::kF32, {1, 64});
  HostTensor id = HostTensor::make(DType::kI64, {1});
  HostTensor table;
  HostTensor weights;
  HostTensor ids;
  double scale = 2.5;

  explicit Token(const std::vector<float>& x, std::int64_t shared = 0)
      : table(HostTensor::make(DType::kI32, {2, std::ssize(x)})),
        weights(HostTensor::make(DType::kF32, {1, std::ssize(x) + shared})),
        ids(HostTensor::make(DType::kI32, {1, std::ssize(x) + shared})) {
    fill_floats(logits, [] { return std::nanf(""); });
    id.at<std::int64_t>(0) = 1;
    for (std::size_t j = 0; j < x.size(); ++j) {
      table.at<std::int32_t>(1, j) = static_cast<std::int32_t>(10 + j);
      logits.at<float>(0, 10 + j) = x[j];
    }
  }

  std::vector<float> call(const char* function = "hash_topk") {
    call_reference("hash_topk", function, {&logits, &id, &table, &weights, &ids, scale});
    std::vector<float> out;
    for (std::int64_t j = 0; j < weights.size(1); ++j) out.push_back(weights.at<float>(0, j));
    return out;
  }
};

std::vector<float> weights_of(const std::vector<float>& x) { return Token(x).call(); }

TEST(HashTopKReference, EqualLogitsHaveEqualWeights) {
  EXPECT_EQ(weights_of({0.5f, 0.5f}), (std::vector<float>{0.5f, 0.5f}));
  EXPECT_EQ(weights_of({-3.0f}), (std::vector<float>{1.0f}));
}

TEST(HashTopKReference, KnownWeights) {
  // softplus(0) = ln 2, and softplus(ln(e^4 - 1)) = 4. Their square roots are 0.832554611 and 2.
  const auto w = weights_of({0.0f, static_cast<float>(std::log(std::exp(4.0) - 1.0))});
  EXPECT_NEAR(w[0], 0.29392359, 1e-7);
  EXPECT_NEAR(w[1], 0.70607641, 1e-7);
}

TEST(HashTopKReference, SharedExpertsFollowTheRoutedOnes) {
  Token t({1.0f, 2.0f}, 2);
  const auto w = t.call();
  EXPECT_EQ(w[2], 1.0f / 2.5f);
  EXPECT_EQ(w[3], 1.0f / 2.5f);
  for (const auto& [j, id] : std::vector<std::pair<int, int>>{{0, 10}, {1, 11}, {2, 64}, {3, 65}}) {
    EXPECT_EQ(t.ids.at<std::int32_t>(0, j), id);
  }
}

TEST(HashTopKReference, AScaleOfZeroGivesInfiniteSharedWeights) {
  Token t({1.0f}, 1);
  t.scale = 0.0;
  EXPECT_EQ(t.call()[1], kInf);
}

TEST(HashTopKReference, DuplicatesCountTwice) {
  Token t({0.0f, 0.0f, 0.0f});
  t.table.at<std::int32_t>(1, 2) = 10;
  EXPECT_EQ(t.call(), (std::vector<float>{1.0f / 3, 1.0f / 3, 1.0f / 3}));
  EXPECT_EQ(t.ids.at<std::int32_t>(0, 2), 10);
}

TEST(HashTopKReference, HandlesSpecialLogits) {
  EXPECT_EQ(weights_of({-kInf, 1.0f}), (std::vector<float>{0.0f, 1.0f}));
  EXPECT_EQ(weights_of({-200.0f, 1.0f}), (std::vector<float>{0.0f, 1.0f}));
  const auto infinite = weights_of({kInf, 1.0f});
  EXPECT_TRUE(std::isnan(infinite[0]));
  EXPECT_EQ(infinite[1], 0.0f);
  for (const float w : weights_of({std::nanf(""), 1.0f})) EXPECT_TRUE(std::isnan(w));
  for (const float w : weights_of({-104.0f, -200.0f})) EXPECT_EQ(w, 0.0f);  // the weights are 0, not the NaN of 0 / 0
}

TEST(HashTopKReference, ReadsOnlyTheRowsOfTheTableThatTokensName) {
  Token t({1.0f, 1.0f});
  t.table.at<std::int32_t>(0, 0) = -5;  // no token names row 0
  EXPECT_EQ(t.call(), (std::vector<float>{0.5f, 0.5f}));
}

TEST(HashTopKReference, TheSumOf0523Has1e20MoreThanTheWeights) {
  // sqrt(softplus(-90)) = exp(-45) = 2.8625e-20.
  const double w = std::exp(-45.0);
  EXPECT_NEAR(Token({-90.0f}).call("hash_topk_added")[0], w / (w + 1e-20), 1e-6);
  EXPECT_NEAR(Token({-90.0f, -90.0f}).call("hash_topk_added")[1], w / (2 * w + 1e-20), 1e-6);
  EXPECT_EQ(Token({0.5f, 0.5f}).call("hash_topk_added"), (std::vector<float>{0.5f, 0.5f}));
  EXPECT_EQ(Token({-104.0f, -200.0f}).call("hash_topk_added"), (std::vector<float>{0.0f, 0.0f}));
  EXPECT_EQ(Token({-90.0f}, 1).call("hash_topk_added")[1], 1.0f / 2.5f);
}

/// The weights in float arithmetic before they are normalised, with the functions of the C library. Their errors are
/// within the limits that CUDA documents for its own functions.
std::vector<float> float_terms(const std::vector<float>& x) {
  std::vector<float> terms;
  for (const float v : x) terms.push_back(std::sqrt(std::fmax(v, 0.0f) + std::log1p(std::exp(-std::fabs(v)))));
  return terms;
}

std::vector<float> divided(const std::vector<float>& terms, float sum) {
  std::vector<float> out;
  for (const float term : terms) out.push_back(term / sum);
  return out;
}

float add_in_turn(const std::vector<float>& terms) {
  float sum = 0.0f;
  for (const float term : terms) sum += term;
  return sum;
}

/// Adds the values of 32 lanes as a warp does with shuffles.
float add_as_warp(const std::vector<float>& terms) {
  std::array<float, 32> sum{};
  std::ranges::copy(terms, sum.begin());
  for (const std::size_t offset : {16, 8, 4, 2, 1}) {
    std::array<float, 32> next{};
    for (std::size_t i = 0; i < 32; ++i) next[i] = sum[i] + sum[i ^ offset];
    sum = next;
  }
  return sum[0];
}

/// Adds two terms that are chosen at random, and puts their sum in the place of both, until one term is left.
float add_at_random(std::vector<float> terms, Random& random) {
  while (terms.size() > 1) {
    for (int i = 0; i < 2; ++i) {
      std::swap(terms[static_cast<std::size_t>(random.between(0, std::ssize(terms) - 1 - i))],
                terms[terms.size() - 1 - static_cast<std::size_t>(i)]);
    }
    const float last = terms.back();
    terms.pop_back();
    terms.back() += last;
  }
  return terms[0];
}

/// `added` is added to the sum of the terms.
std::vector<float> float_weights(const std::vector<float>& x, float added = 0.0f) {
  const std::vector<float> terms = float_terms(x);
  return divided(terms, add_as_warp(terms) + added);
}

/// The sums of the terms in many orders.
std::vector<float> sums_in_many_orders(const std::vector<float>& terms, Random& random) {
  std::vector<float> rising = terms, falling = terms, given = terms, reversed = terms;
  std::ranges::sort(rising);
  std::ranges::sort(falling, std::greater{});
  std::ranges::reverse(reversed);
  std::vector<float> sums;
  for (const auto& order : {rising, falling, given, reversed}) {
    sums.push_back(add_in_turn(order));
    sums.push_back(add_as_warp(order));
  }
  for (int i = 0; i < 20; ++i) sums.push_back(add_at_random(terms, random));
  return sums;
}

/// Logits whose sums depend on the order. Form 0: one weight of about 1, and 31 weights of just below half an ulp of 1.
/// If they are added to the large one in turn, every addition loses its term. Form 1: the terms fall by powers of two.
/// Form 2: equal terms, whose partial sums round in one direction. Other forms: random terms of very different size.
std::vector<float> adversarial_logits(int form, Random& random) {
  const auto logit_of = [](double weight) {  // the inverse of sqrt(softplus(x))
    return static_cast<float>(std::log(std::expm1(weight * weight)));
  };
  std::vector<float> x;
  const auto k = static_cast<int>(form == 0 ? 32 : random.between(2, 32));
  for (int i = 0; i < k; ++i) {
    if (form == 0) {
      x.push_back(logit_of(i == 0 ? 1.0 + 0x1p-20 : 0x1.ffp-25));
    } else if (form == 1) {
      x.push_back(logit_of(std::ldexp(1.0 + 0x1p-20 * i, -i)));
    } else if (form == 2) {
      x.push_back(logit_of(1.0 + 0x1.8p-23));
    } else {
      x.push_back(i % 3 == 0 ? 8.0f * random.gauss() : -40.0f * random.unit());
    }
  }
  return x;
}

TEST(HashTopKBound, HoldsForAnyOrderOfTheSum) {
  Random random(5, "orders");
  double most = 0;
  for (int i = 0; i < 600; ++i) {
    const std::vector<float> x = adversarial_logits(i < 3 ? i : 3 + i % 2, random);
    const auto want = weights_of(x);
    const auto bound = Token(x).call("hash_topk_bound");
    const std::vector<float> terms = float_terms(x);
    for (const float sum : sums_in_many_orders(terms, random)) {
      const auto got = divided(terms, sum);
      for (std::size_t j = 0; j < x.size(); ++j) {
        const double error = std::fabs(static_cast<double>(got[j]) - want[j]);
        ASSERT_LE(error, bound[j]) << "form " << i << ", expert " << j << " of " << x.size();
        most = std::max(most, error / bound[j]);
      }
    }
  }
  EXPECT_GE(most, 0.3);  // the form 0 loses 15 of the 32 u that the bound allows
}

// One weight of 1, and 31 weights of just below half an ulp of it: added in turn, only the first one is left. The bound
// of a balanced tree, which is 5 additions deep, would reject this sum.
TEST(HashTopKBound, AdmitsTheWorstOrderOfAnAdversarialSum) {
  Random random(5, "orders");
  const std::vector<float> x = adversarial_logits(0, random);
  const std::vector<float> terms = float_terms(x);
  const float in_turn = add_in_turn(terms);
  ASSERT_EQ(in_turn, terms[0]);
  const double error = std::fabs(static_cast<double>(divided(terms, in_turn)[0]) - weights_of(x)[0]);
  EXPECT_GT(error, 14 * 0x1p-24);
  EXPECT_LE(error, Token(x).call("hash_topk_bound")[0]);
}

TEST(HashTopKBound, RejectsASumThatDropsATerm) {
  Random random(6, "orders");
  for (int i = 0; i < 300; ++i) {
    std::vector<float> x(static_cast<std::size_t>(random.between(2, 32)));
    for (float& v : x) v = 4.0f * random.gauss();
    const auto want = weights_of(x);
    const auto bound = Token(x).call("hash_topk_bound");
    const std::vector<float> terms = float_terms(x);
    for (std::size_t dropped = 0; dropped < x.size(); ++dropped) {
      std::vector<float> left = terms;
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(dropped));
      const auto got = divided(terms, add_in_turn(left));
      for (std::size_t j = 0; j < x.size(); ++j) {
        ASSERT_GT(std::fabs(static_cast<double>(got[j]) - want[j]), bound[j]) << "without term " << dropped;
      }
    }
  }
}

TEST(HashTopKBound, HoldsForTheSumOf0523Too) {
  Random random(4, "logits");
  for (int i = 0; i < 4000; ++i) {
    std::vector<float> x(static_cast<std::size_t>(random.between(1, 32)));
    for (float& v : x) v = -50.0f - 54.0f * random.unit();
    const auto got = float_weights(x, 1e-20f);
    const auto want = Token(x).call("hash_topk_added");
    const auto bound = Token(x).call("hash_topk_added_bound");
    for (std::size_t j = 0; j < x.size(); ++j) {
      EXPECT_LE(std::fabs(static_cast<double>(got[j]) - want[j]), bound[j]);
      // Above -80, where exp(x) has all its bits, the bound is narrow.
      if (*std::ranges::min_element(x) > -80.0f) {
        EXPECT_LE(bound[j], 4e-6 * want[j]);
      }
    }
  }
}

TEST(HashTopKBound, HoldsForFloatArithmeticAndIsTight) {
  Random random(3, "logits");
  double most = 0;
  double relative = 0;
  for (int i = 0; i < 4000; ++i) {
    std::vector<float> x(static_cast<std::size_t>(random.between(2, 32)));
    for (float& v : x) v = i % 2 == 0 ? 8.0f * random.gauss() : -80.0f * random.unit();
    const auto got = float_weights(x);
    const auto want = weights_of(x);
    const auto bound = Token(x).call("hash_topk_bound");
    for (std::size_t j = 0; j < x.size(); ++j) {
      const double error = std::fabs(static_cast<double>(got[j]) - want[j]);
      EXPECT_LE(error, bound[j]);
      most = std::max(most, error / bound[j]);
      relative = std::max(relative, static_cast<double>(bound[j]) / want[j]);
    }
  }
  EXPECT_GE(most, 0.2);       // a bound much wider than the errors would let faults pass
  EXPECT_LE(relative, 3e-6);  // the bound is much smaller than the weight
}

/// The weight of a negative logit, before it is normalised, if every function has its whole documented error in one
/// direction: 2 ulp of expf, 1 ulp of log1pf, and the rounding of the square root. `sign` is the direction.
double farthest_weight(double x, double sign) {
  const auto ulp = [](double v) { return std::ldexp(1.0, std::ilogb(v) - 23); };
  double e = std::exp(x);
  e += sign * 2.0 * ulp(e);
  const double soft = std::log1p(e);
  return std::sqrt(soft + sign * ulp(soft)) * (1.0 + sign * 0x1p-24);
}

TEST(HashTopKBound, AdmitsOppositeErrorsOfOneWeightAndTheOthers) {
  const std::vector<float> x{-5.0f, -5.5f, -6.25f, -4.75f};
  const auto value = Token(x).call(), bound = Token(x).call("hash_topk_bound");
  for (const double sign : {-1.0, 1.0}) {
    for (std::size_t j = 0; j < x.size(); ++j) {
      const double own = farthest_weight(x[j], sign);
      double sum = own;
      for (std::size_t i = 0; i < x.size(); ++i) sum += i == j ? 0.0 : farthest_weight(x[i], -sign);
      // Three additions and the division are rounded in the same direction.
      const double farthest = own / (sum * std::pow(1.0 - sign * 0x1p-24, 3)) * (1.0 + sign * 0x1p-24);
      EXPECT_LE(std::fabs(farthest - value[j]), bound[j]) << j;
      EXPECT_GE(std::fabs(farthest - value[j]), 0.8 * bound[j]) << j;
    }
  }
}

TEST(HashTopKBound, HoldsForSubnormalExponentials) {
  Random random(4, "logits");
  for (int i = 0; i < 4000; ++i) {
    std::vector<float> x(6);
    for (float& v : x) v = -87.0f - 15.0f * random.unit();
    const auto got = float_weights(x);
    const auto want = weights_of(x);
    const auto bound = Token(x).call("hash_topk_bound");
    for (std::size_t j = 0; j < x.size(); ++j) {
      EXPECT_LE(std::fabs(static_cast<double>(got[j]) - want[j]), bound[j]);
      EXPECT_LE(bound[j], 0.5);
    }
  }
}

TEST(HashTopKBound, IsZeroWhereTheWeightIsCertainAndWideWhereItIsNot) {
  Token shared({1.0f, 2.0f}, 1);
  EXPECT_EQ(shared.call("hash_topk_bound")[2], 0.0f);
  EXPECT_EQ(Token({-kInf, 1.0f}).call("hash_topk_bound")[0], 0.0f);
  EXPECT_EQ(Token({kInf, 1.0f}).call("hash_topk_bound")[1], 0.0f);
  for (const float b : Token({-200.0f, -300.0f}).call("hash_topk_bound")) EXPECT_EQ(b, 0.0f);
  // Each of the two exponentials may underflow. So any weight from 0 to 1 is right, but NaN is wrong.
  for (const float b : Token({-103.5f, -103.0f}).call("hash_topk_bound")) {
    EXPECT_GE(b, 0.5f);
    EXPECT_LE(b, 1.0f + 1e-6f);
  }
}

TEST(HashTopKReference, AnUnknownTokenHasNoExperts) {
  for (const std::int64_t id : {std::int64_t{-1}, std::int64_t{2}, std::int64_t{1} << 40}) {
    for (const char* function : {"hash_topk", "hash_topk_bound"}) {
      Token t({1.0f, 2.0f}, 1);
      t.id.at<std::int64_t>(0) = id;
      const bool bound = function == std::string("hash_topk_bound");
      EXPECT_EQ(t.call(function), (std::vector<float>{0.0f, 0.0f, bound ? 0.0f : 0.4f}));
      EXPECT_EQ(t.ids.at<std::int32_t>(0, 0), -1);
      EXPECT_EQ(t.ids.at<std::int32_t>(0, 1), -1);
      EXPECT_EQ(t.ids.at<std::int32_t>(0, 2), 64);  // the shared expert
    }
  }
}

TEST(HashTopKReference, AnUnknownExpertHasNoWeight) {
  for (const std::int32_t expert : {-1, 64, 0x7fffffff}) {
    Token t({1.0f, 2.0f});
    t.table.at<std::int32_t>(1, 0) = expert;
    EXPECT_EQ(t.call(), (std::vector<float>{0.0f, 1.0f}));
    EXPECT_EQ(t.ids.at<std::int32_t>(0, 0), expert);
    EXPECT_EQ(t.call("hash_topk_bound")[0], 0.0f);
  }
}

TEST(HashTopKReference, RefusesShapesThatDoNotFit) {
  Token t({1.0f, 2.0f}, 1);
  HostTensor narrow = HostTensor::make(DType::kF32, {1, 1});
  HostTensor narrow_ids = HostTensor::make(DType::kI32, {1, 1});
  HostTensor short_ids = HostTensor::make(DType::kI32, {1});
  EXPECT_THAT(refusal("hash_topk", "hash_topk", {&t.logits, &t.id, &t.table, &narrow, &narrow_ids, 1.0}),
              HasSubstr("'tid2eid'"));
  EXPECT_THAT(refusal("hash_topk", "hash_topk", {&t.logits, &short_ids, &t.table, &t.weights, &t.ids, 1.0}),
              HasSubstr("'input_id': expected int64, got int32"));
}

}  // namespace
}  // namespace dsv4::testing
