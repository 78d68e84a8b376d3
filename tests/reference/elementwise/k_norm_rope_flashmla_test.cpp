#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <vector>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "interface/kv_cache.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/norm.h"

namespace dsv4::testing {
namespace {

using layout::FlashMlaCache;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr const char* kOp = "k_norm_rope_flashmla";

/// Some keys, and a cache of two pages of 64 slots. Row 0 of the table does not rotate.
struct Keys {
  HostTensor kv, weight = HostTensor::make(DType::kBF16, {512}), freqs = HostTensor::make(DType::kF32, {2, 64});
  HostTensor positions, out_loc, cache = HostTensor::make(DType::kU8, {2, FlashMlaCache::page_bytes(64)});
  double eps = 1e-6;

  explicit Keys(std::int64_t tokens = 1)
      : kv(HostTensor::make(DType::kBF16, {tokens, 512})),
        positions(HostTensor::make(DType::kI32, {tokens})),
        out_loc(HostTensor::make(DType::kI32, {tokens})) {
    for (int i = 0; i < 64; i += 2) freqs.at<float>(0, i) = freqs.at<float>(1, i) = 1.0f;
    for (int d = 0; d < 512; ++d) weight.at<std::uint16_t>(d) = bf16_from_float(1.0f);
    poison(cache);
  }
  Keys& all(float value) {
    for (std::int64_t i = 0; i < kv.numel(); ++i) set_float(kv, i, value);
    return *this;
  }
  Keys& call() {
    call_reference(kOp, "forward_p64", {&kv, &weight, &freqs, &positions, &out_loc, &cache, eps});
    return *this;
  }

  /// Bytes of slot `slot`.
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
};

TEST(KNormRopeFlashmlaReference, StoresOnes) {
  // The factor is 0.9999995, and the scale is 2^-8, for 1 / 448 < 2^-8. 255.9999 is nearest to 256, code 0x78.
  Keys keys;
  keys.all(1.0f).call();
  EXPECT_THAT(keys.scales(0), Each(119));
  EXPECT_THAT(keys.codes(0), Each(0x78));
  for (std::int64_t i = 0; i < 64; ++i) EXPECT_EQ(keys.tail(0, i), 1.0f);
}

TEST(KNormRopeFlashmlaReference, MultipliesByTheWeightAndScalesEachGroup) {
  // Keys of 2 are normalised to 1. So the stored elements are the weights.
  Keys keys;
  keys.eps = 0.0;
  for (int d = 0; d < 512; ++d) {
    const float w = d / 64 == 2 ? 448.0f : d / 64 == 3 ? (d % 2 == 0 ? -3.0f : 5.0f) : 0x1p-20f;
    keys.weight.at<std::uint16_t>(d) = bf16_from_float(w);
  }
  keys.all(2.0f).call();
  EXPECT_EQ(keys.scale(0, 2), 127);  // 448 / 448 = 2^0
  EXPECT_EQ(keys.code(0, 128), 0x7e);
  EXPECT_EQ(keys.scale(0, 3), 121);    // 5 / 448 is between 2^-7 and 2^-6
  EXPECT_EQ(keys.code(0, 192), 0xf4);  // -3 * 2^6 = -192
  EXPECT_EQ(keys.code(0, 193), 0x7a);  // 5 * 2^6 = 320
  EXPECT_EQ(keys.scale(0, 4), 105);    // the scale of 1e-4
  EXPECT_EQ(keys.code(0, 256), 0x48);  // 2^-20 * 2^22 = 4
  EXPECT_EQ(keys.tail(0, 0), 0x1p-20f);
}

TEST(KNormRopeFlashmlaReference, RotatesWithoutRoundingFirst) {
  // 32 and 7, divided by sqrt(1073 / 512), are 22.10497 and 4.835462. 22.10497 - 4 * 4.835462 = 2.76312 is nearest to
  // 2.765625. With a rounding to bfloat16 before, the result would be 2.75.
  Keys keys;
  keys.eps = 0.0;
  keys.freqs.at<float>(0, 1) = 4.0f;
  set_float(keys.kv, 448, 32.0f);
  set_float(keys.kv, 449, 7.0f);
  keys.call();
  EXPECT_EQ(keys.tail(0, 0), 2.765625f);
  EXPECT_EQ(keys.tail(0, 1), bf16(4.835462f + 4.0f * 22.10497f));
}

TEST(KNormRopeFlashmlaReference, UsesThePositionAndTheSlotOfEachToken) {
  Keys keys(3);
  keys.all(1.0f);
  for (int i = 0; i < 64; i += 2) keys.freqs.at<float>(1, i) = 3.0f;      // position 1 multiplies by 3
  keys.positions = HostTensor::of<std::int32_t>(DType::kI32, {1, 0, 7});  // 7 is outside: no rotation
  keys.out_loc = HostTensor::of<std::int32_t>(DType::kI32, {127, 5, 64});
  keys.call();
  EXPECT_EQ(keys.tail(127, 10), 3.0f);
  EXPECT_EQ(keys.tail(5, 10), 1.0f);
  EXPECT_EQ(keys.tail(64, 10), 1.0f);
  for (const std::int64_t slot : {127, 5, 64}) EXPECT_THAT(keys.scales(slot), Each(119)) << slot;
}

TEST(KNormRopeFlashmlaReference, WritesNothingElse) {
  Keys keys(4);
  keys.all(1.0f);
  keys.out_loc = HostTensor::of<std::int32_t>(DType::kI32, {-1, 128, 3, std::numeric_limits<std::int32_t>::max()});
  const HostTensor before = keys.cache;
  keys.call();
  std::int64_t changed = 0;
  for (std::int64_t page = 0; page < 2; ++page) {
    for (std::int64_t at = 0; at < keys.cache.size(1); ++at) {
      const std::int64_t data = FlashMlaCache::data_offset(3), scales = FlashMlaCache::scale_offset(64, 3);
      const bool own = page == 0 && ((at >= data && at < data + 576) || (at >= scales && at < scales + 7));
      if (own) {
        ++changed;
      } else {
        ASSERT_EQ(keys.cache.at<std::uint8_t>(page, at), before.at<std::uint8_t>(page, at)) << page << ' ' << at;
      }
    }
  }
  EXPECT_EQ(changed, 583);
}

TEST(KNormRopeFlashmlaReference, HandlesSpecialValues) {
  // A NaN makes the whole row NaN. Its codes are those of 448, and a maximum ignores NaN.
  Keys keys;
  keys.all(1.0f);
  set_float(keys.kv, 3, std::nanf(""));
  keys.call();
  EXPECT_THAT(keys.codes(0), Each(0x7e));
  EXPECT_THAT(keys.scales(0), Each(105));
  EXPECT_TRUE(std::isnan(keys.tail(0, 0)));
  // An infinity makes the factor 0. All other elements become zeros with their signs, and it becomes NaN.
  keys.all(-1.0f);
  set_float(keys.kv, 3, kInf);
  keys.call();
  EXPECT_EQ(keys.code(0, 3), 0x7e);
  EXPECT_EQ(keys.code(0, 4), 0x80);
  EXPECT_THAT(keys.scales(0), Each(105));
  EXPECT_EQ(keys.tail(0, 63), 0.0f);
  // A row of zeros stores zeros.
  keys.all(0.0f).call();
  EXPECT_THAT(keys.codes(0), Each(0x00));
  EXPECT_THAT(keys.scales(0), Each(105));
}

/// The interval of every byte, as two caches.
std::pair<Keys, Keys> intervals_of(Keys& keys) {
  Keys low = keys, high = keys;
  call_reference(kOp, "interval_p64",
                 {&keys.kv, &keys.weight, &keys.freqs, &keys.positions, &keys.out_loc, &keys.cache, keys.eps,
                  &low.cache, &high.cache});
  return {std::move(low), std::move(high)};
}

int order_of_code(int code) { return (code & 0x80) != 0 ? ~(code & 0x7f) : code; }

TEST(KNormRopeFlashmlaInterval, ContainsWhatFloatArithmeticGivesAndIsOneValueNearlyEverywhere) {
  constexpr std::int64_t kTokens = 64;
  Keys keys(kTokens);
  Random random(9, "kv");
  fill_floats(keys.kv, [&] { return random.gauss(); });
  fill_floats(keys.weight, [&] { return random.gauss(); });
  fill_floats(keys.freqs, [&] { return 2.0f * random.unit() - 1.0f; });
  for (std::int32_t t = 0; t < kTokens; ++t) {
    keys.positions.at<std::int32_t>(t) = t % 2;
    keys.out_loc.at<std::int32_t>(t) = 2 * t;
  }
  keys.call();
  const auto [low, high] = intervals_of(keys);
  std::int64_t open = 0;
  for (std::int64_t t = 0; t < kTokens; ++t) {
    const std::int64_t slot = 2 * t;
    std::vector<float> row, w;
    for (std::int64_t d = 0; d < 512; ++d) {
      row.push_back(float_from_bf16(keys.kv.at<std::uint16_t>(t, d)));
      w.push_back(float_from_bf16(keys.weight.at<std::uint16_t>(d)));
    }
    for (std::int64_t d = 0; d < 448; ++d) {
      EXPECT_LE(order_of_code(low.code(slot, d)), order_of_code(keys.code(slot, d)));
      EXPECT_GE(order_of_code(high.code(slot, d)), order_of_code(keys.code(slot, d)));
      open += low.code(slot, d) != high.code(slot, d) ? 1 : 0;
    }
    for (const float factor : float_factors(row, static_cast<float>(keys.eps))) {
      const auto y = [&](std::int64_t d) {
        return row[static_cast<std::size_t>(d)] * factor * w[static_cast<std::size_t>(d)];
      };
      for (std::int64_t g = 0; g < 7; ++g) {
        float greatest = 0.0f;
        for (std::int64_t d = 64 * g; d < 64 * g + 64; ++d) greatest = std::max(greatest, std::fabs(y(d)));
        const int byte = 127 + static_cast<int>(std::ceil(std::log2(static_cast<double>(greatest) / 448.0)));
        EXPECT_LE(low.scale(slot, g), byte);
        EXPECT_GE(high.scale(slot, g), byte);
        if (byte != keys.scale(slot, g)) continue;  // the intervals of codes are for the given scale
        for (std::int64_t d = 64 * g; d < 64 * g + 64; ++d) {
          const int code = e4m3_from_double(std::ldexp(static_cast<double>(y(d)), 127 - byte));
          EXPECT_LE(order_of_code(low.code(slot, d)), order_of_code(code)) << t << ' ' << d;
          EXPECT_GE(order_of_code(high.code(slot, d)), order_of_code(code)) << t << ' ' << d;
        }
      }
      for (std::int64_t i = 0; i < 64; i += 2) {
        const float a = y(448 + i), b = y(449 + i);
        const float c = keys.freqs.at<float>(t % 2, i), s = keys.freqs.at<float>(t % 2, i + 1);
        for (const float re : {std::fma(a, c, -(b * s)), a * c - b * s, std::fma(-b, s, a * c)}) {
          EXPECT_LE(low.tail(slot, i), bf16(re));
          EXPECT_GE(high.tail(slot, i), bf16(re));
        }
        for (const float im : {std::fma(a, s, b * c), a * s + b * c, std::fma(b, c, a * s)}) {
          EXPECT_LE(low.tail(slot, i + 1), bf16(im));
          EXPECT_GE(high.tail(slot, i + 1), bf16(im));
        }
      }
    }
  }
  EXPECT_LE(open, kTokens * 448 / 2000);
}

TEST(KNormRopeFlashmlaInterval, AScaleAtAPowerOfTwoMayBeEitherAndItsCodesFollow) {
  // Without eps, keys of 1 are 1 within the error of the factor. With a weight of 448, the scale is 1 or 2.
  Keys keys;
  keys.eps = 0.0;
  keys.all(1.0f);
  for (int d = 0; d < 512; ++d) keys.weight.at<std::uint16_t>(d) = bf16_from_float(448.0f);
  keys.call();
  const auto [low, high] = intervals_of(keys);
  EXPECT_THAT(low.scales(0), Each(127));
  EXPECT_THAT(high.scales(0), Each(128));
  EXPECT_EQ(low.code(0, 0), 0x7e);
  EXPECT_EQ(high.code(0, 0), 0x7e);
  keys.cache.at<std::uint8_t>(0, FlashMlaCache::scale_offset(64, 0)) = 128;  // as another kernel may store
  const auto [low_of_other, high_of_other] = intervals_of(keys);
  EXPECT_EQ(low_of_other.code(0, 0), 0x76);  // 448 / 2
  EXPECT_EQ(high_of_other.code(0, 0), 0x76);
  EXPECT_EQ(low_of_other.code(0, 64), 0x7e);
}

TEST(KNormRopeFlashmlaReference, RefusesWrongArguments) {
  const auto message = [&](const std::function<void(Keys&)>& change) {
    Keys k;
    change(k);
    return refusal(kOp, "forward_p64", {&k.kv, &k.weight, &k.freqs, &k.positions, &k.out_loc, &k.cache, 0.0});
  };
  EXPECT_THAT(message([](Keys& k) { k.kv = HostTensor::make(DType::kF32, {1, 512}); }), HasSubstr("'kv': expected bf"));
  EXPECT_THAT(message([](Keys& k) { k.weight = HostTensor::make(DType::kBF16, {256}); }),
              HasSubstr("'kv_weight': expected size 512"));
  EXPECT_THAT(message([](Keys& k) {
                k.freqs = HostTensor::make(DType::kF32, {2, 32});
              }),
              HasSubstr("'freqs_cis': expected size 64"));
  EXPECT_THAT(message([](Keys& k) { k.positions = HostTensor::make(DType::kI64, {2}); }),
              HasSubstr("'positions': expected size 1"));
  EXPECT_THAT(message([](Keys& k) { k.out_loc = HostTensor::make(DType::kI64, {1}); }),
              HasSubstr("'out_loc': expected int32"));
  EXPECT_THAT(message([](Keys& k) {
                k.cache = HostTensor::make(DType::kU8, {2, 64 * 584 - 1});
              }),
              HasSubstr("'kvcache': expected at least 37376 bytes"));
}

}  // namespace
}  // namespace dsv4::testing
