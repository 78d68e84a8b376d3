#include "harness/generate/random.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

#include "harness/core/bits.h"
#include "harness/core/poison.h"

namespace dsv4 {
namespace {

using ::testing::ElementsAre;

std::uint32_t bits(float x) { return std::bit_cast<std::uint32_t>(x); }

/// Every golden and every case id depends on these numbers, so they must never change.
TEST(Random, FirstValuesNeverChange) {
  Random r(1, "scores");
  std::vector<std::uint32_t> words;
  for (int i = 0; i < 8; ++i) words.push_back(r.u32());
  EXPECT_THAT(words, ElementsAre(0x9a973eb0, 0x3e60943d, 0x51abdffd, 0xb1983a2e, 0x95e25c71, 0x36e7ec93, 0xd74292d5,
                                 0xd34344fc));
  Random s(42, "x");
  EXPECT_EQ(s.u64(), 0x24fa4e9fe5cef076ull);
  EXPECT_EQ(s.below(1000), 160);
  EXPECT_EQ(s.between(-5, 5), -1);
  EXPECT_EQ(bits(s.unit()), 0x3f17d68bu);
  EXPECT_EQ(bits(s.gauss()), 0xbe3a0800u);
  EXPECT_EQ(bits(s.wide(-3, 3)), 0xbea6a6c5u);
  EXPECT_THAT(s.permutation(6), ElementsAre(4, 5, 2, 1, 3, 0));
}

/// The generator is Philox 4x32-10 as published by its authors. So other implementations can make the same inputs.
TEST(Random, IsPhiloxOfRandom123) {
  // This is the first line of Random123's known answers: its counter and its key are zero.
  const r123::Philox4x32::ctr_type zero{};
  const auto block = r123::Philox4x32()(zero, r123::Philox4x32::key_type{});
  EXPECT_THAT((std::vector<std::uint32_t>{block[0], block[1], block[2], block[3]}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
}

TEST(Random, StreamsAreIndependent) {
  Random a(1, "scores"), b(1, "lengths"), c(2, "scores"), again(1, "scores");
  const std::uint64_t first = a.u64();
  EXPECT_NE(first, b.u64());
  EXPECT_NE(first, c.u64());
  EXPECT_EQ(first, again.u64());
}

TEST(Random, IntegersStayInRangeAndReachItsEnds) {
  Random r(3, "range");
  std::set<std::int64_t> seen;
  for (int i = 0; i < 2000; ++i) seen.insert(r.between(-3, 4));
  EXPECT_THAT(seen, ElementsAre(-3, -2, -1, 0, 1, 2, 3, 4));
  EXPECT_EQ(r.below(1), 0);
  EXPECT_EQ(r.below(0), 0);
  EXPECT_EQ(r.between(7, 7), 7);
  std::vector<int> counts(10);
  for (int i = 0; i < 100000; ++i) ++counts[static_cast<std::size_t>(r.below(10))];
  for (const int n : counts) EXPECT_NEAR(n, 10000, 500);  // five standard deviations are 474
  for (int i = 0; i < 100; ++i) EXPECT_LT(r.below(INT64_MAX), INT64_MAX);
}

TEST(Random, FloatsStayInRange) {
  Random r(4, "floats");
  double sum = 0, squares = 0;
  for (int i = 0; i < 100000; ++i) {
    const float u = r.unit();
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    const float g = r.gauss();
    ASSERT_LE(std::fabs(g), 6.0f);
    sum += g;
    squares += g * g;
    const float w = r.wide(-4, 2);
    ASSERT_GE(std::fabs(w), 0x1p-4f);
    ASSERT_LT(std::fabs(w), 0x1p3f);
  }
  EXPECT_NEAR(sum / 100000, 0, 0.02);
  EXPECT_NEAR(squares / 100000, 1, 0.03);
}

TEST(Random, WideValuesUseEveryBitOfTheMantissa) {
  Random r(5, "wide");
  std::uint32_t ones = 0, zeros = 0;
  std::set<int> exponents;
  for (int i = 0; i < 1000; ++i) {
    const float w = r.wide(-126, 127);
    EXPECT_TRUE(std::isnormal(w));
    ones |= bits(w) & 0x807fffffu;
    zeros |= ~bits(w) & 0x807fffffu;
    exponents.insert(std::ilogb(w));
  }
  EXPECT_EQ(ones, 0x807fffffu);
  EXPECT_EQ(zeros, 0x807fffffu);
  EXPECT_GT(exponents.size(), 200u);
}

TEST(Random, PermutationsHoldEachIndexOnce) {
  for (const std::int64_t n : {0, 1, 2, 1000}) {
    auto p = Random(6, "p").permutation(n);
    std::sort(p.begin(), p.end());
    ASSERT_EQ(std::ssize(p), n);
    for (std::int64_t i = 0; i < n; ++i) ASSERT_EQ(p[static_cast<std::size_t>(i)], i);
  }
  // Each of the 6 orders of three elements must occur about equally often.
  std::map<std::vector<std::int64_t>, int> orders;
  Random r(7, "orders");
  for (int i = 0; i < 6000; ++i) ++orders[r.permutation(3)];
  EXPECT_EQ(orders.size(), 6u);
  for (const auto& [order, n] : orders) EXPECT_NEAR(n, 1000, 150);
}

TEST(Fill, WritesTheViewAndNothingElse) {
  HostTensor t = HostTensor::strided(DType::kBF16, {2, 2}, {3, 1}, 1, 8);
  poison(t, 2);
  const HostTensor before = t;
  float next = 1;
  fill_floats(t, [&] { return next++; });
  EXPECT_EQ(float_from_bf16(t.at<std::uint16_t>(0, 0)), 1.0f);
  EXPECT_EQ(float_from_bf16(t.at<std::uint16_t>(1, 1)), 4.0f);
  const auto mask = t.view_mask();
  for (std::size_t i = 0; i < mask.size(); ++i) {
    EXPECT_TRUE(mask[i] != 0 || t.storage[i] == before.storage[i]) << i;
  }
  HostTensor integers = HostTensor::make(DType::kI32, {1});
  EXPECT_ANY_THROW(set_float(integers, 0, 1.0));
}

TEST(Poison, WordsOfEachVariantAreFixed) {
  const auto word = [](std::uint32_t variant) {
    HostTensor t = HostTensor::make(DType::kU32, {1});
    poison(t, variant);
    return t.at<std::uint32_t>(0);
  };
  EXPECT_EQ(word(0), 0xfbadbeefu);
  EXPECT_EQ(word(1), 0xffa5a5a5u);
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(word(1))));
  EXPECT_EQ(word(2), 0x7b5ac3d2u);
  EXPECT_EQ(word(3), 0xc33c6996u);
  EXPECT_EQ(word(4), word(0));
  EXPECT_LT(std::bit_cast<float>(word(0)), -1e36f);
}

TEST(Poison, BlocksHoldTheBytesOfTheirPositions) {
  for (const std::size_t count : {0u, 1u, 3u, 4u, 5u, 63u, 4096u, 5001u}) {
    for (const std::size_t origin : {0u, 1u, 2u, 3u, 7u}) {
      std::vector<std::uint8_t> bytes(count + 1, 0x11);
      poison_bytes(bytes.data(), count, 3, origin);
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(bytes[i], poison_byte(3, origin + i)) << count << " " << origin;
      EXPECT_EQ(bytes[count], 0x11);
    }
  }
}

/// Two variants of poison differ in every byte. So if a result depends on poison, two calls with different variants
/// give different results.
TEST(Poison, VariantsDifferAtEveryByte) {
  for (std::uint32_t a = 0; a < 4; ++a) {
    for (std::uint32_t b = a + 1; b < 4; ++b) {
      for (std::size_t i = 0; i < 4; ++i) EXPECT_NE(poison_byte(a, i), poison_byte(b, i)) << a << b << i;
    }
  }
}

}  // namespace
}  // namespace dsv4
