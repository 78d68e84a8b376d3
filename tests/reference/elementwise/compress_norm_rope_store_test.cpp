#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/op/records.h"
#include "interface/compress_plan.h"
#include "interface/kv_cache.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/norm.h"

namespace dsv4::testing {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::FlashMlaCache;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr float kInfinite = std::numeric_limits<float>::infinity();
constexpr const char* kStore = "compress_norm_rope_store";

/// Some entries of ratio 4, and a cache of two pages of 64 slots. At first, entry i has position 0 and slot i, and the
/// table does not rotate.
struct Entries {
  HostTensor input, plan, weight = HostTensor::make(DType::kF32, {512}), freqs = HostTensor::make(DType::kF32, {6, 64});
  HostTensor out_loc, cache = HostTensor::make(DType::kU8, {2, FlashMlaCache::page_bytes(64)});
  double eps = 1e-6;
  bool is_decode = true;
  std::int64_t ratio = 4;

  explicit Entries(std::int64_t count = 1) : input(HostTensor::make(DType::kF32, {count, 512})) {
    std::vector<DecodePlan> records(static_cast<std::size_t>(count), DecodePlan{4, 0, 0, 0});
    plan = tensor_of_rows(DType::kU8, records);
    std::vector<std::int64_t> slots;
    for (std::int64_t i = 0; i < count; ++i) slots.push_back(i);
    out_loc = numbers(slots, DType::kI32);
    for (int p = 0; p < 6; ++p) {
      for (int i = 0; i < 64; i += 2) freqs.at<float>(p, i) = 1.0f;
    }
    std::ranges::fill(weight.data<float>(), weight.data<float>() + 512, 1.0f);
    poison(cache);
  }
  Entries& all(float value) {
    std::fill_n(input.data<float>(), input.numel(), value);
    return *this;
  }
  Entries& weights(float value) {
    std::fill_n(weight.data<float>(), 512, value);
    return *this;
  }
  Entries& call() {
    call_reference(kStore, "forward_flashmla_p64",
                   {&input, &plan, &weight, eps, &freqs, &out_loc, &cache, is_decode, ratio});
    return *this;
  }

  [[nodiscard]] int code(std::int64_t slot, std::int64_t d) const {
    return cache.at<std::uint8_t>(slot / 64, FlashMlaCache::data_offset(slot % 64) + d);
  }
  [[nodiscard]] int scale(std::int64_t slot, std::int64_t g) const {
    return cache.at<std::uint8_t>(slot / 64, FlashMlaCache::scale_offset(64, slot % 64) + g);
  }
  [[nodiscard]] float tail(std::int64_t slot, std::int64_t i) const {
    const std::int64_t at = 448 + 2 * i;
    return float_from_bf16(static_cast<std::uint16_t>(code(slot, at) | code(slot, at + 1) << 8));
  }
  [[nodiscard]] std::vector<int> codes(std::int64_t slot) const {
    std::vector<int> bytes;
    for (std::int64_t d = 0; d < 448; ++d) bytes.push_back(code(slot, d));
    return bytes;
  }
  [[nodiscard]] std::vector<int> scales(std::int64_t slot) const {
    std::vector<int> bytes;
    for (std::int64_t g = 0; g < 7; ++g) bytes.push_back(scale(slot, g));
    return bytes;
  }
  /// Whether the slot still holds what it held before the call.
  [[nodiscard]] bool is_untouched(std::int64_t slot) const {
    HostTensor before = cache;
    poison(before);
    const std::int64_t data = FlashMlaCache::data_offset(slot % 64),
                       scales = FlashMlaCache::scale_offset(64, slot % 64);
    return std::memcmp(&cache.at<std::uint8_t>(slot / 64, data), &before.at<std::uint8_t>(slot / 64, data), 576) == 0 &&
           std::memcmp(&cache.at<std::uint8_t>(slot / 64, scales), &before.at<std::uint8_t>(slot / 64, scales), 8) == 0;
  }
};

TEST(CompressNormRopeStoreReference, StoresOnes) {
  // The factor is 0.9999995, and the element is rounded to 1. The scale is 2^-8, for 1 / 448 < 2^-8. Code of 256: 0x78.
  Entries e;
  e.all(1.0f).call();
  EXPECT_THAT(e.scales(0), Each(119));
  EXPECT_THAT(e.codes(0), Each(0x78));
  for (std::int64_t i = 0; i < 64; ++i) EXPECT_EQ(e.tail(0, i), 1.0f);
}

TEST(CompressNormRopeStoreReference, RoundsToBfloat16BeforeItQuantises) {
  // Rows of 2 are normalised to 1. So the stored elements are the weights.
  Entries e;
  e.eps = 0.0;
  e.all(2.0f).weights(0x1p-20f);
  e.weight.at<float>(0) = 448.9f;   // 448 in bfloat16, whose numbers are 2 apart here
  e.weight.at<float>(1) = 17.03f;   // 17 in bfloat16, halfway between the codes of 16 and 18
  e.weight.at<float>(2) = -18.97f;  // -19, halfway between those of -18 and -20
  e.weight.at<float>(64) = 449.1f;  // 450
  e.call();
  EXPECT_EQ(e.scale(0, 0), 127);
  EXPECT_EQ(e.code(0, 0), 0x7e);
  EXPECT_EQ(e.code(0, 1), 0x58);
  EXPECT_EQ(e.code(0, 2), 0xda);
  EXPECT_EQ(e.scale(0, 1), 128);
  EXPECT_EQ(e.scale(0, 2), 105);    // the scale of 1e-4
  EXPECT_EQ(e.code(0, 128), 0x48);  // 2^-20 * 2^22 = 4
  EXPECT_EQ(e.tail(0, 0), 0x1p-20f);
}

TEST(CompressNormRopeStoreReference, RotatesWithoutRoundingFirst) {
  // 32 and 7, divided by sqrt(1073 / 512), are 22.10497 and 4.835462. 22.10497 - 4 * 4.835462 = 2.76312 is nearest to
  // 2.765625. With a rounding to bfloat16 before, the result would be 2.75.
  Entries e;
  e.eps = 0.0;
  e.freqs.at<float>(0, 1) = 4.0f;
  e.input.at<float>(0, 448) = 32.0f;
  e.input.at<float>(0, 449) = 7.0f;
  e.call();
  EXPECT_EQ(e.tail(0, 0), 2.765625f);
  EXPECT_EQ(e.tail(0, 1), bf16(4.835462f + 4.0f * 22.10497f));
}

TEST(CompressNormRopeStoreReference, TakesPositionAndSlotFromADecodePlan) {
  Entries e(5);
  e.all(1.0f);
  for (int p = 0; p < 6; ++p) {
    for (int i = 0; i < 64; i += 2) e.freqs.at<float>(p, i) = static_cast<float>(p + 1);
  }
  // Lengths 9 and 0 have no entry. Position 396 is outside the table, so the entry is not rotated.
  e.plan = tensor_of_rows(
      DType::kU8, std::vector<DecodePlan>{{8, 1, 2, 3}, {9, 1, 2, 3}, {4, 1, 2, 3}, {0, 1, 2, 3}, {400, 1, 2, 3}});
  e.out_loc = numbers({127, 5, 64, 1, 3}, DType::kI32);
  e.call();
  EXPECT_EQ(e.tail(127, 10), 5.0f);
  EXPECT_EQ(e.tail(64, 10), 1.0f);
  EXPECT_EQ(e.tail(3, 10), 1.0f);
  for (const std::int64_t slot : {127, 64, 3}) EXPECT_THAT(e.scales(slot), Each(119)) << slot;
  for (const std::int64_t slot : {0, 1, 5}) EXPECT_TRUE(e.is_untouched(slot)) << slot;
}

TEST(CompressNormRopeStoreReference, TakesPositionAndSlotFromAPlanToExtend) {
  Entries e(4);
  e.is_decode = false;
  e.all(1.0f);
  for (int p = 0; p < 6; ++p) {
    for (int i = 0; i < 64; i += 2) e.freqs.at<float>(p, i) = static_cast<float>(p + 1);
  }
  // The second record is empty, and token 6 of the last one is outside out_loc.
  e.plan = tensor_of_rows(
      DType::kU8, std::vector<CompressPlan>{{8, 5, 0, 0, 0}, layout::kNoCompress, {4, 0, 8, 0, 0}, {4, 6, 0, 0, 0}});
  e.out_loc = numbers({70, 1, 2, 3, 4, 65}, DType::kI32);
  e.call();
  EXPECT_EQ(e.tail(65, 10), 5.0f);
  EXPECT_EQ(e.tail(70, 10), 1.0f);
  for (const std::int64_t slot : {0, 1, 2, 3, 4}) EXPECT_TRUE(e.is_untouched(slot)) << slot;
}

TEST(CompressNormRopeStoreReference, UsesTheRatio) {
  Entries e;
  e.all(1.0f);
  e.ratio = 128;
  e.plan = tensor_of_rows(DType::kU8, std::vector<DecodePlan>{{132, 0, 0, 0}});
  e.call();
  EXPECT_TRUE(e.is_untouched(0));
  e.freqs.at<float>(5, 0) = 3.0f;
  e.is_decode = false;  // a plan to extend is trusted
  e.plan = tensor_of_rows(DType::kU8, std::vector<CompressPlan>{{133, 0, 0, 0, 0}});
  e.call();
  EXPECT_EQ(e.tail(0, 0), 3.0f);
}

TEST(CompressNormRopeStoreReference, WritesNothingElse) {
  Entries e(4);
  e.all(1.0f);
  e.out_loc = numbers({-1, 128, 3, std::numeric_limits<std::int32_t>::max()}, DType::kI32);
  const HostTensor before = e.cache;
  e.call();
  std::int64_t changed = 0;
  for (std::int64_t page = 0; page < 2; ++page) {
    for (std::int64_t at = 0; at < e.cache.size(1); ++at) {
      const std::int64_t data = FlashMlaCache::data_offset(3), scales = FlashMlaCache::scale_offset(64, 3);
      const bool own = page == 0 && ((at >= data && at < data + 576) || (at >= scales && at < scales + 7));
      if (own) {
        ++changed;
      } else {
        ASSERT_EQ(e.cache.at<std::uint8_t>(page, at), before.at<std::uint8_t>(page, at)) << page << ' ' << at;
      }
    }
  }
  EXPECT_EQ(changed, 583);
}

TEST(CompressNormRopeStoreReference, HandlesSpecialValues) {
  // A NaN makes the whole row NaN. Its codes are those of 448, and a maximum ignores NaN.
  Entries e;
  e.all(1.0f);
  e.input.at<float>(0, 3) = std::nanf("");
  e.call();
  EXPECT_THAT(e.codes(0), Each(0x7e));
  EXPECT_THAT(e.scales(0), Each(105));
  EXPECT_TRUE(std::isnan(e.tail(0, 0)));
  // An infinity makes the factor 0. All other elements become zeros with their signs, and it becomes NaN.
  e.all(-1.0f);
  e.input.at<float>(0, 3) = kInfinite;
  e.call();
  EXPECT_EQ(e.code(0, 3), 0x7e);
  EXPECT_EQ(e.code(0, 4), 0x80);
  EXPECT_THAT(e.scales(0), Each(105));
  EXPECT_EQ(e.tail(0, 63), 0.0f);
  e.all(0.0f).call();
  EXPECT_THAT(e.codes(0), Each(0x00));
  EXPECT_THAT(e.scales(0), Each(105));
}

/// The interval of every byte, as two caches.
std::pair<Entries, Entries> intervals_of(Entries& e, const std::string& function = "interval_flashmla_p64") {
  Entries low = e, high = e;
  call_reference(kStore, function,
                 {&e.input, &e.plan, &e.weight, e.eps, &e.freqs, &e.out_loc, &e.cache, e.is_decode, e.ratio, &low.cache,
                  &high.cache});
  return {std::move(low), std::move(high)};
}

int order_of(int code) { return (code & 0x80) != 0 ? ~(code & 0x7f) : code; }

TEST(CompressNormRopeStoreInterval, ContainsWhatFloatArithmeticGivesAndIsOneValueNearlyEverywhere) {
  constexpr std::int64_t kEntries = 64;
  Entries e(kEntries);
  Random random(9, "input");
  fill_floats(e.input, [&] { return random.gauss(); });
  fill_floats(e.weight, [&] { return random.gauss(); });
  fill_floats(e.freqs, [&] { return 2.0f * random.unit() - 1.0f; });
  std::vector<DecodePlan> records;
  for (std::uint32_t i = 0; i < kEntries; ++i) records.push_back({4 + 4 * (i % 2), 0, 0, 0});
  e.plan = tensor_of_rows(DType::kU8, records);
  e.call();
  const auto [low, high] = intervals_of(e);
  const auto [low_unrounded, high_unrounded] = intervals_of(e, "unrounded_flashmla_p64");
  std::int64_t open = 0, differ = 0;
  const auto within = [](const Entries& lo, const Entries& hi, std::int64_t slot, std::int64_t d, int code) {
    return order_of(lo.code(slot, d)) <= order_of(code) && order_of(code) <= order_of(hi.code(slot, d));
  };
  for (std::int64_t t = 0; t < kEntries; ++t) {
    std::vector<float> row;
    for (std::int64_t d = 0; d < 512; ++d) row.push_back(e.input.at<float>(t, d));
    for (std::int64_t d = 0; d < 448; ++d) {
      EXPECT_TRUE(within(low, high, t, d, e.code(t, d)));
      open += low.code(t, d) != high.code(t, d) ? 1 : 0;
      differ += within(low_unrounded, high_unrounded, t, d, e.code(t, d)) ? 0 : 1;
    }
    for (const float factor : float_factors(row, static_cast<float>(e.eps))) {
      const auto y = [&](std::int64_t d) { return row[static_cast<std::size_t>(d)] * factor * e.weight.at<float>(d); };
      for (const bool rounded : {true, false}) {
        const auto element = [&](std::int64_t d) { return rounded ? bf16(y(d)) : y(d); };
        const Entries& least = rounded ? low : low_unrounded;
        const Entries& greatest = rounded ? high : high_unrounded;
        for (std::int64_t g = 0; g < 7; ++g) {
          float amax = 0.0f;
          for (std::int64_t d = 64 * g; d < 64 * g + 64; ++d) amax = std::max(amax, std::fabs(element(d)));
          const int byte = 127 + static_cast<int>(std::ceil(std::log2(static_cast<double>(amax) / 448.0)));
          EXPECT_LE(least.scale(t, g), byte);
          EXPECT_GE(greatest.scale(t, g), byte);
          if (rounded && byte != e.scale(t, g)) continue;  // the intervals of codes are for the given scale
          for (std::int64_t d = 64 * g; d < 64 * g + 64; ++d) {
            const int code = e4m3_from_double(std::ldexp(static_cast<double>(element(d)), 127 - byte));
            EXPECT_TRUE(within(least, greatest, t, d, code)) << t << ' ' << d << ' ' << rounded;
          }
        }
      }
      for (std::int64_t i = 0; i < 64; i += 2) {
        const float a = y(448 + i), b = y(449 + i);
        const std::int64_t position = 4 * (t % 2);
        const float c = e.freqs.at<float>(position, i), s = e.freqs.at<float>(position, i + 1);
        for (const float re : {std::fma(a, c, -(b * s)), a * c - b * s, std::fma(-b, s, a * c)}) {
          EXPECT_LE(low.tail(t, i), bf16(re));
          EXPECT_GE(high.tail(t, i), bf16(re));
        }
        for (const float im : {std::fma(a, s, b * c), a * s + b * c, std::fma(b, c, a * s)}) {
          EXPECT_LE(low.tail(t, i + 1), bf16(im));
          EXPECT_GE(high.tail(t, i + 1), bf16(im));
        }
      }
    }
  }
  EXPECT_LE(open, kEntries * 448 / 2000);
  EXPECT_GE(differ, kEntries * 448 / 100);  // the rounding to bfloat16 changes about three per cent of the codes
}

TEST(CompressNormRopeStoreInterval, AnElementHalfwayBetweenTwoBfloat16MayBeEither) {
  // Without eps, rows of 1 are 1 within the error of the factor. 449 is halfway between 448 and 450.
  Entries e;
  e.eps = 0.0;
  e.all(1.0f).weights(449.0f);
  e.call();
  const auto [low, high] = intervals_of(e);
  EXPECT_THAT(low.scales(0), Each(127));
  EXPECT_THAT(high.scales(0), Each(128));
  EXPECT_EQ(low.code(0, 0), 0x7e);
  e.cache.at<std::uint8_t>(0, FlashMlaCache::scale_offset(64, 0)) = 128;  // as another kernel may store
  const auto [low_of_other, high_of_other] = intervals_of(e);
  EXPECT_EQ(low_of_other.code(0, 0), 0x76);  // 448 / 2, or 450 / 2
  EXPECT_EQ(high_of_other.code(0, 0), 0x76);
  EXPECT_EQ(low_of_other.code(0, 64), 0x7e);
}

TEST(CompressNormRopeStoreInterval, TheRoundingHidesTheErrorOfTheFactor) {
  // An element of 448 may have two scales only if it is not rounded to bfloat16.
  Entries e;
  e.eps = 0.0;
  e.all(1.0f).weights(448.0f);
  e.call();
  const auto [low, high] = intervals_of(e);
  EXPECT_THAT(low.scales(0), Each(127));
  EXPECT_THAT(high.scales(0), Each(127));
  const auto [low_unrounded, high_unrounded] = intervals_of(e, "unrounded_flashmla_p64");
  EXPECT_THAT(low_unrounded.scales(0), Each(127));
  EXPECT_THAT(high_unrounded.scales(0), Each(128));
  EXPECT_EQ(low_unrounded.code(0, 0), 0x76);
  EXPECT_EQ(high_unrounded.code(0, 0), 0x7e);
}

TEST(CompressNormRopeStoreReference, RefusesWrongArguments) {
  const auto message = [&](const std::function<void(Entries&)>& change) {
    Entries e(3);
    change(e);
    return refusal(kStore, "forward_flashmla_p64",
                   {&e.input, &e.plan, &e.weight, e.eps, &e.freqs, &e.out_loc, &e.cache, e.is_decode, e.ratio});
  };
  EXPECT_THAT(message([](Entries& e) {
                e.input = HostTensor::make(DType::kBF16, {3, 512});
              }),
              HasSubstr("'input': expected float32"));
  EXPECT_THAT(message([](Entries& e) {
                e.plan = HostTensor::make(DType::kU8, {3, 8});
              }),
              HasSubstr("'plan': expected size 16"));
  EXPECT_THAT(message([](Entries& e) {
                e.plan = HostTensor::make(DType::kU8, {2, 16});
              }),
              HasSubstr("'plan': expected size 3"));
  EXPECT_THAT(message([](Entries& e) { e.weight = HostTensor::make(DType::kF32, {256}); }),
              HasSubstr("'weight': expected size 512"));
  EXPECT_THAT(message([](Entries& e) {
                e.freqs = HostTensor::make(DType::kF32, {2, 32});
              }),
              HasSubstr("'freqs_cis': expected size 64"));
  EXPECT_THAT(message([](Entries& e) { e.out_loc = HostTensor::make(DType::kI64, {3}); }),
              HasSubstr("'out_loc': expected int32"));
  EXPECT_THAT(message([](Entries& e) { e.out_loc = HostTensor::make(DType::kI32, {4}); }),
              HasSubstr("'out_loc': expected size 3"));
  EXPECT_THAT(message([](Entries& e) {
                e.is_decode = false;
                e.out_loc = HostTensor::make(DType::kI32, {2});
              }),
              HasSubstr("'out_loc': expected at least size 3"));
  EXPECT_THAT(message([](Entries& e) { e.ratio = 0; }), HasSubstr("'compress_ratio': expected a positive number"));
  EXPECT_THAT(message([](Entries& e) {
                e.cache = HostTensor::make(DType::kU8, {2, 64 * 584 - 1});
              }),
              HasSubstr("'kvcache': expected at least 37376 bytes"));
}

}  // namespace
}  // namespace dsv4::testing
