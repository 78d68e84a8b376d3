/// Tests of compress_norm_rope_store in the layouts of the indexer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/op/records.h"
#include "interface/compress_plan.h"
#include "interface/kv_cache.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/norm.h"

namespace dsv4::testing {
namespace {

using layout::DecodePlan;
using layout::Fp4IndexerCache;
using layout::IndexerCache;
using ::testing::Each;

/// One entry at a position, and a cache of one page of 64 slots. The entry has slot 5.
struct IndexerEntry {
  bool fp4;
  HostTensor input = HostTensor::make(DType::kF32, {1, 128}), weight = HostTensor::make(DType::kF32, {128});
  HostTensor freqs = HostTensor::make(DType::kF32, {5, 64}), out_loc = numbers({5}, DType::kI32), plan, cache;
  double eps = 1e-6;

  explicit IndexerEntry(bool has_fp4)
      : fp4(has_fp4),
        plan(tensor_of_rows(DType::kU8, std::vector<DecodePlan>{{8, 0, 0, 0}})),
        cache(HostTensor::make(DType::kU8, {1, fp4 ? Fp4IndexerCache::page_bytes(64) : IndexerCache::page_bytes(64)})) {
    std::fill_n(weight.data<float>(), 128, 1.0f);
    for (int i = 0; i < 64; i += 2) freqs.at<float>(4, i) = 1.0f;
    poison(cache);
  }
  IndexerEntry& call() {
    call_reference("compress_norm_rope_store", fp4 ? "forward_indexer_fp4_p64" : "forward_indexer_p64",
                   {&input, &plan, &weight, eps, &freqs, &out_loc, &cache, true, std::int64_t{4}});
    return *this;
  }
  [[nodiscard]] int byte(std::int64_t at) const { return cache.at<std::uint8_t>(0, at); }
  [[nodiscard]] int code(std::int64_t d) const {
    if (!fp4) return byte(5 * 128 + d);
    return byte(5 * 64 + d / 2) >> (d % 2 == 0 ? 0 : 4) & 15;
  }
  [[nodiscard]] std::vector<int> codes() const {
    std::vector<int> all;
    for (std::int64_t d = 0; d < 128; ++d) all.push_back(code(d));
    return all;
  }
  [[nodiscard]] float scale() const {
    float value = 0.0f;
    std::memcpy(&value, &cache.at<std::uint8_t>(0, 64 * 128 + 5 * 4), 4);
    return value;
  }
  [[nodiscard]] std::vector<int> scale_bytes() const {
    std::vector<int> all;
    for (std::int64_t g = 0; g < 4; ++g) all.push_back(byte(64 * 64 + 5 * 4 + g));
    return all;
  }
};

TEST(IndexerEntries, ARowOfZerosHasTheSmallestScale) {
  IndexerEntry e(false), e4(true);
  e.call();
  EXPECT_THAT(e.codes(), Each(0));
  EXPECT_EQ(std::bit_cast<std::uint32_t>(e.scale()), 0x346facadu);  // 1e-4 / 448
  e4.call();
  EXPECT_THAT(e4.codes(), Each(0));
  EXPECT_THAT(e4.scale_bytes(), Each(112));
}

TEST(IndexerEntries, OneElementGivesARowOfTheHadamardMatrix) {
  // Alone, element 3 is normalised to sqrt(128), and all transformed elements are 1 or -1: minus where bits 0 and 1 of
  // the index have an odd sum. The greatest code is that of 448, and E2M1 has the code of 4 for a scale of 2^-2.
  for (const bool fp4 : {false, true}) {
    IndexerEntry e(fp4);
    e.eps = 0.0;
    e.input.at<float>(0, 3) = 2.0f;
    e.call();
    for (unsigned d = 0; d < 128; ++d) {
      const bool negative = std::popcount(d & 3u) % 2 != 0;
      EXPECT_EQ(e.code(d), fp4 ? (negative ? 14 : 6) : (negative ? 0xfe : 0x7e)) << d;
    }
    if (fp4) {
      EXPECT_THAT(e.scale_bytes(), Each(125));
    } else {
      EXPECT_NEAR(e.scale(), 1.0 / 448.0, 1e-9);
    }
  }
}

TEST(IndexerEntries, TheLastHalfIsRotatedBeforeTheTransform) {
  // Element 64 times i is element 65. Element 65 alone gives minus for odd d below 64 and for even d from 64 on.
  IndexerEntry e(false);
  e.eps = 0.0;
  e.freqs.at<float>(4, 0) = 0.0f;
  e.freqs.at<float>(4, 1) = 1.0f;
  e.input.at<float>(0, 64) = 5.0f;
  e.call();
  for (int d = 0; d < 128; ++d) EXPECT_EQ(e.code(d), (d % 2 != 0) != (d >= 64) ? 0xfe : 0x7e) << d;
}

TEST(IndexerEntries, ANanMakesTheWholeRowNan) {
  for (const bool fp4 : {false, true}) {
    IndexerEntry e(fp4);
    e.input.at<float>(0, 7) = std::numeric_limits<float>::quiet_NaN();
    e.call();
    EXPECT_THAT(e.codes(), Each(fp4 ? 7 : 0x7e));
    if (fp4) {
      EXPECT_THAT(e.scale_bytes(), Each(112));
    }
  }
}

TEST(IndexerEntries, WritesOnlyItsSlot) {
  for (const bool fp4 : {false, true}) {
    IndexerEntry e(fp4);
    const HostTensor before = e.cache;
    e.call();
    std::vector<std::int64_t> changed;
    const std::int64_t data = fp4 ? 64 : 128;
    for (std::int64_t at = 0; at < e.cache.size(1); ++at) {
      const bool own = (at >= 5 * data && at < 6 * data) || (at >= 64 * data + 20 && at < 64 * data + 24);
      if (!own && e.byte(at) != before.at<std::uint8_t>(0, at)) changed.push_back(at);
    }
    EXPECT_THAT(changed, ::testing::IsEmpty());
  }
}

TEST(IndexerEntries, AnIntervalIsOneValueNearlyEverywhereAndContainsTheReference) {
  std::int64_t open = 0;
  for (const bool fp4 : {false, true}) {
    for (std::uint64_t seed = 1; seed <= 32; ++seed) {
      IndexerEntry e(fp4);
      Random random(seed, "input");
      fill_floats(e.input, [&] { return random.gauss(); });
      fill_floats(e.weight, [&] { return random.gauss(); });
      fill_floats(e.freqs, [&] { return 2.0f * random.unit() - 1.0f; });
      e.call();
      IndexerEntry low = e, high = e;
      call_reference("compress_norm_rope_store", fp4 ? "interval_indexer_fp4_p64" : "interval_indexer_p64",
                     {&e.input, &e.plan, &e.weight, e.eps, &e.freqs, &e.out_loc, &e.cache, true, std::int64_t{4},
                      &low.cache, &high.cache});
      const auto order = [fp4](int code) {
        if (fp4) return (code & 8) != 0 ? -(code & 7) : code;
        return (code & 0x80) != 0 ? ~(code & 0x7f) : code;
      };
      for (std::int64_t d = 0; d < 128; ++d) {
        EXPECT_LE(order(low.code(d)), order(e.code(d)));
        EXPECT_GE(order(high.code(d)), order(e.code(d)));
        open += low.code(d) != high.code(d) ? 1 : 0;
      }
      if (fp4) continue;
      EXPECT_LE(low.scale(), e.scale());
      EXPECT_GE(high.scale(), e.scale());
      EXPECT_LE(high.scale(), low.scale() * (1.0f + 0x1p-14f));
    }
  }
  EXPECT_LE(open, 2 * 32 * 128 / 500);
}

}  // namespace
}  // namespace dsv4::testing
