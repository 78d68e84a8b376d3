#include "harness/golden/digest.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

Call sample_call() {
  HostTensor x = HostTensor::strided(DType::kF32, {2, 3}, {5, 1}, 1, 12);
  for (std::size_t i = 0; i < x.storage.size(); ++i) x.storage[i] = static_cast<std::uint8_t>(i);
  return {"op",
          "",
          Params{{"k", "512"}},
          {in("x", x), out("y", HostTensor::make(DType::kI32, {4})),
           inout("z", HostTensor::of<std::int32_t>(DType::kI32, {1, 2})), scalar("n", std::int64_t{3}),
           scalar("f", 0.5), scalar("b", true), absent("none")}};
}

TEST(Digest, MatchesXxhsum) {
  // The expected text is the output of `xxhsum -H2` for an empty file.
  EXPECT_EQ(hex(digest_of({})), "99aa06d3014798d86001c324468d497f");
}

TEST(Digest, InputDigestDependsOnEveryField) {
  const Digest base = input_digest(sample_call());
  EXPECT_EQ(base, input_digest(sample_call()));
  std::set<Digest> seen{base};
  const auto differs = [&](const char* what, auto change) {
    Call c = sample_call();
    change(c);
    EXPECT_TRUE(seen.insert(input_digest(c)).second) << what;
  };
  differs("op", [](Call& c) { c.op = "other"; });
  differs("compile-time parameter", [](Call& c) { c.compile.set("k", "1024"); });
  differs("name", [](Call& c) { c.args[0].name = "xx"; });
  differs("role", [](Call& c) { c.args[0].role = Role::kInOut; });
  differs("place", [](Call& c) { c.args[0].place = Place::kHost; });
  differs("misalignment", [](Call& c) { c.args[0].misalign = 4; });
  differs("dtype", [](Call& c) { c.args[0].tensor().dtype = DType::kI32; });
  differs("shape", [](Call& c) { c.args[0].tensor().shape = {3, 2}; });
  differs("strides", [](Call& c) { c.args[0].tensor().strides = {4, 1}; });
  differs("offset", [](Call& c) { c.args[0].tensor().offset = 0; });
  differs("an element", [](Call& c) { c.args[0].tensor().element(0)[0] ^= 1; });
  differs("a gap between rows", [](Call& c) { c.args[0].tensor().storage.back() ^= 1; });
  differs("shape of an output", [](Call& c) { c.args[1].tensor() = HostTensor::make(DType::kI32, {5}); });
  differs("contents of an inout", [](Call& c) { c.args[2].tensor().storage[0] ^= 1; });
  differs("integer", [](Call& c) { c.args[3].value = std::int64_t{4}; });
  differs("integer as float", [](Call& c) { c.args[3].value = 3.0; });
  differs("float", [](Call& c) { c.args[4].value = std::nextafter(0.5, 1.0); });
  differs("bool", [](Call& c) { c.args[5].value = false; });
  differs("none that becomes something", [](Call& c) { c.args[6].value = std::int64_t{0}; });
  differs("order", [](Call& c) { std::swap(c.args[3], c.args[4]); });
}

TEST(Digest, InputDigestIgnoresPoison) {
  Call c = sample_call();
  c.args[1].tensor().storage[0] = 0xaa;
  EXPECT_EQ(input_digest(c), input_digest(sample_call()));
}

TEST(Digest, SamplePositionsAreAscendingSpreadAndCoverBothEnds) {
  for (const std::int64_t n : {0, 1, 2, 31, 32, 33, 63, 64, 1000, 4096, 1 << 20}) {
    const auto p = sample_positions(n);
    ASSERT_EQ(p.size(), static_cast<std::size_t>(std::min<std::int64_t>(n, kSampleElements))) << n;
    EXPECT_TRUE(std::is_sorted(p.begin(), p.end()));
    EXPECT_EQ(std::set<std::int64_t>(p.begin(), p.end()).size(), p.size()) << n;
    if (n == 0) continue;
    EXPECT_EQ(p.front(), 0);
    EXPECT_EQ(p.back(), n - 1);
  }
  // The sample takes one element from each of 32 equal parts of the tensor. Here, each part is exactly one row long.
  // The sample must still have elements of many columns.
  std::set<std::int64_t> columns;
  for (const std::int64_t i : sample_positions(4096 * 32)) columns.insert(i % 4096);
  EXPECT_GT(columns.size(), 28U);
}

TEST(Digest, BlocksStayFewAndOneChangedByteChangesOneBlock) {
  EXPECT_EQ(block_count(kFullBytes), 0U);
  EXPECT_EQ(block_count(kFullBytes + 1), 1U);
  EXPECT_EQ(block_count(kSmallestBlock), 1U);
  EXPECT_EQ(block_count(kSmallestBlock + 1), 2U);
  EXPECT_EQ(block_count(kSmallestBlock * kMostBlocks), kMostBlocks);
  EXPECT_LE(block_count(kSmallestBlock * kMostBlocks + 1), kMostBlocks);
  Bytes bytes(5 * kSmallestBlock + 17);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  const auto before = block_digests(bytes);
  for (const std::size_t at : {std::size_t{0}, kSmallestBlock, 2 * kSmallestBlock - 1, bytes.size() - 1}) {
    Bytes changed = bytes;
    changed[at] ^= 1;
    const auto after = block_digests(changed);
    for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i] != after[i], i == at / kSmallestBlock);
  }
}

TEST(Digest, StatisticsCountSpecialValuesSeparately) {
  const float inf = std::numeric_limits<float>::infinity();
  const Statistics s = statistics_of(HostTensor::of<float>(DType::kF32, {NAN, 1.5F, -0.0F, inf, -2.0F, -inf, 0.0F}));
  EXPECT_EQ(s.min, -2.0);
  EXPECT_EQ(s.max, 1.5);
  EXPECT_EQ(s.sum, -0.5);
  EXPECT_EQ(s.nan, 1);
  EXPECT_EQ(s.infinite, 2);
  EXPECT_EQ(s.zero, 2);
  EXPECT_TRUE(std::isnan(statistics_of(HostTensor::make(DType::kF32, {0})).min));
  EXPECT_EQ(statistics_of(HostTensor::of<std::int64_t>(DType::kI64, {-7, 7})).min, -7.0);
}

TEST(Digest, HexRoundTripAndRefusals) {
  const Bytes bytes{0, 1, 0x7f, 0x80, 0xff};
  EXPECT_EQ(bytes_from_hex(hex(bytes)), bytes);
  EXPECT_THROW(bytes_from_hex("0"), Error);
  EXPECT_THROW(bytes_from_hex("0G"), Error);
  EXPECT_THROW(digest_from_hex("00"), Error);
}

}  // namespace
}  // namespace dsv4
