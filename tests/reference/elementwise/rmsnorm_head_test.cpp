#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/norm.h"

namespace dsv4::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

/// The results of one head.
std::vector<float> normalised_head(const std::vector<float>& elements, double eps) {
  const auto dim = std::ssize(elements);
  HostTensor input = HostTensor::make(DType::kBF16, {1, 1, dim}), output = input;
  for (std::int64_t d = 0; d < dim; ++d) set_float(input, d, elements[static_cast<std::size_t>(d)]);
  call_reference("rmsnorm_head", "run_self_" + std::to_string(dim), {&input, &output, eps});
  std::vector<float> values;
  for (std::int64_t d = 0; d < dim; ++d) values.push_back(float_from_bf16(output.get<std::uint16_t>(d)));
  return values;
}

std::vector<float> one_element(std::size_t dim, float value) {
  std::vector<float> row(dim, 0.0f);
  row.back() = value;
  return row;
}

TEST(RmsnormHeadReference, DividesByTheRootOfTheMeanSquare) {
  EXPECT_THAT(normalised_head(std::vector<float>(512, -4.0f), 0.0), Each(-1.0f));
  EXPECT_THAT(normalised_head(std::vector<float>(256, 8.0f), 0.0), Each(1.0f));
  // One element of 32 among 512: the mean of the squares is 2, and 32 / sqrt(2) = 22.627 is nearest to 22.625. Among
  // 256 elements, the mean is 4.
  EXPECT_EQ(normalised_head(one_element(512, 32.0f), 0.0).back(), 22.625f);
  EXPECT_EQ(normalised_head(one_element(256, 32.0f), 0.0).back(), 16.0f);
}

TEST(RmsnormHeadReference, AddsEpsToTheMean) {
  EXPECT_THAT(normalised_head(std::vector<float>(512, 1.0f), 3.0), Each(0.5f));
  EXPECT_THAT(normalised_head(std::vector<float>(256, 0x1p-40f), 1e-6), Each(bf16(0x1p-40f / std::sqrt(1e-6f))));
}

TEST(RmsnormHeadReference, HandlesSpecialValues) {
  for (const float y : normalised_head(one_element(512, std::nanf("")), 1e-6)) EXPECT_TRUE(std::isnan(y));
  std::vector<float> row(512, -3.0f);
  row[0] = std::numeric_limits<float>::infinity();
  const std::vector<float> y = normalised_head(row, 1e-6);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_TRUE(std::signbit(y[1]));
  EXPECT_THAT(normalised_head(one_element(256, 0x1p64f), 1e-6), Each(0.0f));  // the square is too large for a float
  EXPECT_TRUE(std::isnan(normalised_head(std::vector<float>(256, 0.0f), 0.0)[0]));  // 0 times infinity
}

TEST(RmsnormHeadReference, HandlesEachHeadOfAStridedTensor) {
  // The input has the tokens of a head next to each other. The output has a gap after each head.
  HostTensor input = HostTensor::strided(DType::kBF16, {3, 2, 256}, {256, 3 * 256, 1});
  HostTensor output = HostTensor::strided(DType::kBF16, {3, 2, 256}, {2 * 264, 264, 1}, 0, 3 * 2 * 264);
  poison(output);
  const HostTensor before = output;
  for (std::int64_t t = 0; t < 3; ++t) {
    for (std::int64_t h = 0; h < 2; ++h) {
      // The first element is 16 times the number of the head, and all others are 0: the result is 16.
      for (std::int64_t d = 0; d < 256; ++d) input.at<std::uint16_t>(t, h, d) = 0;
      input.at<std::uint16_t>(t, h, 2 * t + h) = bf16_from_float(16.0f * static_cast<float>(1 + 2 * t + h));
    }
  }
  call_reference("rmsnorm_head", "run_self_256", {&input, &output, 0.0});
  for (std::int64_t t = 0; t < 3; ++t) {
    for (std::int64_t h = 0; h < 2; ++h) {
      for (std::int64_t d = 0; d < 256; ++d)
        EXPECT_EQ(float_from_bf16(output.at<std::uint16_t>(t, h, d)), d == 2 * t + h ? 16.0f : 0.0f);
    }
  }
  const auto mask = output.view_mask();
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] == 0) {
      ASSERT_EQ(output.storage[i], before.storage[i]) << i;
    }
  }
}

TEST(RmsnormHeadInterval, ContainsWhatFloatArithmeticGivesAndIsOneValueNearlyEverywhere) {
  constexpr std::int64_t kHeads = 100;
  for (const std::int64_t dim : {256, 512}) {
    HostTensor input = HostTensor::make(DType::kBF16, {1, kHeads, dim}), output = input, low = input, high = input;
    Random random(5, "input");
    fill_floats(input, [&] { return random.gauss(); });
    call_reference("rmsnorm_head", "run_self_" + std::to_string(dim), {&input, &output, 1e-6});
    call_reference("rmsnorm_head", "interval_" + std::to_string(dim), {&input, &output, 1e-6, &low, &high});
    const auto key = [](std::uint16_t bits) {
      return *order_key(DType::kBF16, reinterpret_cast<std::uint8_t*>(&bits));
    };
    std::int64_t open = 0;
    for (std::int64_t h = 0; h < kHeads; ++h) {
      std::vector<float> row;
      for (std::int64_t d = 0; d < dim; ++d) row.push_back(float_from_bf16(input.at<std::uint16_t>(0, h, d)));
      const std::vector<float> factors = float_factors(row, 1e-6f);
      for (std::int64_t d = 0; d < dim; ++d) {
        const auto least = key(low.at<std::uint16_t>(0, h, d)), greatest = key(high.at<std::uint16_t>(0, h, d));
        std::vector<std::uint16_t> right{output.at<std::uint16_t>(0, h, d)};
        for (const float factor : factors) right.push_back(bf16_from_float(row[static_cast<std::size_t>(d)] * factor));
        for (const std::uint16_t bits : right) {
          EXPECT_LE(least, key(bits)) << h << ' ' << d;
          EXPECT_GE(greatest, key(bits)) << h << ' ' << d;
        }
        EXPECT_LE(greatest - least, 1) << h << ' ' << d;
        open += least != greatest ? 1 : 0;
      }
    }
    EXPECT_LE(open, input.numel() / 200);
    EXPECT_GT(open, 0);
  }
}

TEST(RmsnormHeadReference, RefusesWrongArguments) {
  const auto message = [&](HostTensor input, HostTensor output) {
    return refusal("rmsnorm_head", "run_self_512", {&input, &output, 0.0});
  };
  const HostTensor head = HostTensor::make(DType::kBF16, {1, 1, 512});
  EXPECT_THAT(message(HostTensor::make(DType::kBF16, {1, 1, 256}), head), HasSubstr("'input': expected size 512"));
  EXPECT_THAT(message(HostTensor::make(DType::kF32, {1, 1, 512}), head), HasSubstr("'input': expected bfloat16"));
  EXPECT_THAT(message(head, HostTensor::make(DType::kBF16, {2, 1, 512})), HasSubstr("'output': expected size 1"));
}

}  // namespace
}  // namespace dsv4::testing
