#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "harness/core/bits.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr std::uint8_t kUntouched = 0xa5;

/// Stores one row into slot `slot` of a cache. The cache has two pages, and each page has two slots.
struct Stored {
  HostTensor cache;
  std::int64_t dim;

  Stored(const char* layout, const HostTensor& input, std::int32_t slot = 1)
      : cache(HostTensor::make(DType::kU8, {2, std::string(layout) == "flashmla" ? 1728 : 264})), dim(input.size(1)) {
    std::fill(cache.storage.begin(), cache.storage.end(), kUntouched);
    HostTensor rows = input;
    HostTensor indices = HostTensor::of<std::int32_t>(DType::kI32, {slot});
    call_reference("fused_store_cache", std::string("run_") + layout + "_2", {&rows, &cache, &indices});
  }

  // Offsets of slot 1 (row 1 of page 0; a page has two slots): FlashMLA data at 576, scales at 2 * 576 + 8; indexer
  // data at 128, scale at 256 + 4.
  [[nodiscard]] int code(std::int64_t d) const { return cache.storage[(dim == 512 ? 576 : 128) + d]; }
  [[nodiscard]] int exponent(std::int64_t g) const { return cache.storage[1152 + 8 + g]; }
  [[nodiscard]] int tail(std::int64_t d) const {
    const std::size_t at = 576 + 448 + 2 * (d - 448);
    return cache.storage[at] | cache.storage[at + 1] << 8;
  }
  [[nodiscard]] float scale() const {
    float s = 0;
    std::memcpy(&s, cache.storage.data() + 260, 4);
    return s;
  }
};

HostTensor row(std::int64_t dim, const std::vector<float>& first, DType dtype = DType::kF32) {
  HostTensor t = HostTensor::make(dtype, {1, dim});
  for (std::size_t i = 0; i < first.size(); ++i) set_float(t, static_cast<std::int64_t>(i), first[i]);
  return t;
}

TEST(FusedStoreCacheReference, ZeroRowsHaveZeroCodesAndTheSmallestScale) {
  const Stored flash("flashmla", row(512, {0.0f, -0.0f}));
  EXPECT_EQ(flash.code(0), 0x00);
  EXPECT_EQ(flash.code(1), 0x80);
  for (int g = 0; g < 7; ++g) EXPECT_EQ(flash.exponent(g), 105);
  EXPECT_EQ(flash.tail(448), 0);
  const Stored indexer("indexer", row(128, {}));
  EXPECT_EQ(indexer.code(0), 0x00);
  const std::vector<std::uint8_t> bytes(indexer.cache.storage.begin() + 260, indexer.cache.storage.begin() + 264);
  EXPECT_EQ(bytes, (std::vector<std::uint8_t>{0xad, 0xac, 0x6f, 0x34}));
}

TEST(FusedStoreCacheReference, ValuesHalfwayBetweenTwoCodesGoToTheEvenCode) {
  // The greatest value, 448, gives a scale of 1. From 16 to 32, E4M3 has steps of 2: 16 has the code 0x58, 18 has 0x59
  // and 20 has 0x5a.
  const Stored s("indexer", row(128, {448.0f, 17.0f, 19.0f, -17.0f}));
  EXPECT_EQ(s.code(1), 0x58);
  EXPECT_EQ(s.code(2), 0x5a);
  EXPECT_EQ(s.code(3), 0xd8);
}

TEST(FusedStoreCacheReference, OfSeveralRowsForOneSlotTheLastIsKept) {
  HostTensor cache = HostTensor::make(DType::kU8, {2, 264});
  HostTensor rows = HostTensor::make(DType::kF32, {3, 128});
  for (std::int64_t t = 0; t < 3; ++t) rows.at<float>(t, 0) = static_cast<float>(1 << t);
  HostTensor indices = HostTensor::of<std::int32_t>(DType::kI32, {0, 0, 3});
  call_reference("fused_store_cache", "run_indexer_2", {&rows, &cache, &indices});
  float scale = 0;
  std::memcpy(&scale, cache.storage.data() + 256, 4);
  EXPECT_EQ(scale, 2.0f / 448.0f);
}

TEST(FusedStoreCacheReference, KnownCodesOfAGroup) {
  std::vector<float> x;
  for (int i = 0; i < 32; ++i) x.push_back(static_cast<float>(i - 8) * 0.5f);
  x[6] = -0.0f;
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    const Stored s("flashmla", row(512, x, dtype));
    EXPECT_EQ(s.exponent(0), 122);
    const std::vector<int> expected{0xf0, 0xee, 0xec, 0xea, 0xe8, 0xe4, 0x80, 0xd8, 0x00, 0x58, 0x60, 0x64};
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(s.code(static_cast<std::int64_t>(i)), expected[i]) << i;
  }
}

TEST(FusedStoreCacheReference, ScaleAtPowersOfTwo) {
  for (const int k : {-10, 0, 3, 90}) {
    const float edge = std::ldexp(448.0f, k);
    const Stored on("flashmla", row(512, {edge}));
    EXPECT_EQ(on.exponent(0), 127 + k);
    EXPECT_EQ(on.code(0), 0x7e);
    const Stored above("flashmla", row(512, {std::nextafter(edge, kInf)}));
    EXPECT_EQ(above.exponent(0), 128 + k);
    EXPECT_EQ(above.code(0), 0x76);
    const Stored indexer("indexer", row(128, {-edge}));
    EXPECT_EQ(indexer.scale(), std::ldexp(1.0f, k));
    EXPECT_EQ(indexer.code(0), 0xfe);
  }
}

TEST(FusedStoreCacheReference, NanGetsCode448AndDoesNotChangeTheScale) {
  for (const std::uint32_t nan : {0x7fc00000u, 0xffc00000u, 0x7f810000u, 0xff810000u}) {  // quiet and signalling NaN
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      HostTensor x = row(512, {0.0f, 448.0f}, dtype);
      const auto half = static_cast<std::uint16_t>(nan >> 16);
      if (dtype == DType::kF32) std::memcpy(x.element(0), &nan, 4);
      if (dtype == DType::kBF16) std::memcpy(x.element(0), &half, 2);
      const Stored s("flashmla", x);
      EXPECT_EQ(s.code(0), 0x7e);
      EXPECT_EQ(s.code(1), 0x7e);
      EXPECT_EQ(s.exponent(0), 127);
    }
  }
  HostTensor all = row(512, std::vector<float>(512, std::nanf("")));
  EXPECT_EQ(Stored("flashmla", all).exponent(3), 105);
  EXPECT_EQ(Stored("flashmla", all).code(447), 0x7e);
  EXPECT_EQ(Stored("flashmla", all).tail(511), 0x7fff);
}

TEST(FusedStoreCacheReference, InfinityReversesTheSigns) {
  const Stored s("flashmla", row(512, {kInf, -kInf, 1.0f, -1.0f, 0.0f, -0.0f}));
  EXPECT_EQ(s.exponent(0), 255);
  const std::vector<int> expected{0xfe, 0x7e, 0xfe, 0x7e, 0x7e, 0x7e};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(s.code(static_cast<std::int64_t>(i)), expected[i]) << i;
  EXPECT_EQ(s.exponent(1), 105);  // the scales of other groups are not affected
  const Stored indexer("indexer", row(128, {kInf, -kInf, 1.0f, -1.0f}));
  EXPECT_EQ(indexer.scale(), kInf);
  const std::vector<int> codes{0x7e, 0x7e, 0x00, 0x80};
  for (std::size_t i = 0; i < codes.size(); ++i) EXPECT_EQ(indexer.code(static_cast<std::int64_t>(i)), codes[i]) << i;
}

TEST(FusedStoreCacheReference, TheTailIsCopiedOrRounded) {
  HostTensor bf16 = HostTensor::make(DType::kBF16, {1, 512});
  for (int d = 448; d < 512; ++d)
    bf16.at<std::uint16_t>(0, d) = static_cast<std::uint16_t>(0x7f81 + d);  // NaN with different payloads
  const Stored copied("flashmla", bf16);
  for (int d = 448; d < 512; ++d) EXPECT_EQ(copied.tail(d), 0x7f81 + d);
  HostTensor f32 = HostTensor::make(DType::kF32, {1, 512});
  f32.at<float>(0, 448) = std::bit_cast<float>(0x3f808000u);  // a tie, rounded to even
  f32.at<float>(0, 449) = std::bit_cast<float>(0x3f818000u);
  const Stored rounded("flashmla", f32);
  EXPECT_EQ(rounded.tail(448), 0x3f80);
  EXPECT_EQ(rounded.tail(449), 0x3f82);
}

TEST(FusedStoreCacheReference, WritesTheSlotsBytesOnly) {
  const auto changed = [](const HostTensor& cache) {
    std::vector<std::size_t> at;
    for (std::size_t i = 0; i < cache.storage.size(); ++i) {
      if (cache.storage[i] != kUntouched) at.push_back(i);
    }
    return at;
  };
  // With two slots per page, slot 2 is row 0 of page 1.
  const auto flash = changed(Stored("flashmla", row(512, std::vector<float>(512, 1.0f)), 2).cache);
  ASSERT_EQ(flash.size(), 576u + 7u);
  EXPECT_EQ(flash.front(), 1728u);
  EXPECT_EQ(flash[575], 1728u + 575u);
  EXPECT_EQ(flash[576], 1728u + 1152u);
  EXPECT_EQ(flash.back(), 1728u + 1152u + 6u);  // byte 7 of the slot's scales is not written
  const auto indexer = changed(Stored("indexer", row(128, std::vector<float>(128, 1.0f)), 2).cache);
  ASSERT_EQ(indexer.size(), 128u + 4u);
  EXPECT_EQ(indexer.front(), 264u);
  EXPECT_EQ(indexer.back(), 264u + 256u + 3u);
  for (const std::int32_t slot :
       {-1, 4, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
    EXPECT_TRUE(changed(Stored("flashmla", row(512, {1.0f}), slot).cache).empty()) << slot;
  }
}

TEST(FusedStoreCacheReference, EveryPageSizeHasItsOffsets) {
  for (const std::int64_t page : {1, 2, 4, 8, 16, 32, 64, 128, 256}) {
    const std::int64_t bytes = (584 * page + 575) / 576 * 576;
    HostTensor cache = HostTensor::make(DType::kU8, {2, bytes});
    HostTensor x = row(512, {448.0f});
    HostTensor index = HostTensor::of<std::int64_t>(DType::kI64, {2 * page - 1});
    call_reference("fused_store_cache", "run_flashmla_" + std::to_string(page), {&x, &cache, &index});
    EXPECT_EQ(cache.storage[static_cast<std::size_t>(bytes + (page - 1) * 576)], 0x7e) << page;
    EXPECT_EQ(cache.storage[static_cast<std::size_t>(bytes + page * 576 + (page - 1) * 8)], 127) << page;
  }
}

TEST(FusedStoreCacheReference, IndexerCodesUseTheRoundedReciprocalOfTheScale) {
  // These values were found by a search in rational arithmetic. A division of the value by the scale would give the
  // next code above or below.
  const struct {
    float greatest, value;
    int code;
  } kKnown[] = {{0x1.19999ap+0f, 0x1.cea0eap-8f, 0x43},
                {0x1.4cccccp+0f, 0x1.f33332p-8f, 0x43},
                {0x1.a66666p+1f, 0x1.1ea0eap-6f, 0x41},
                {0x1.4p+2f, 0x1.e00002p-6f, 0x43}};
  for (const auto& known : kKnown) {
    const Stored s("indexer", row(128, {known.greatest, known.value}));
    EXPECT_EQ(s.scale(), known.greatest / 448.0f);
    EXPECT_EQ(s.code(1), known.code);
  }
}

TEST(FusedStoreCacheReference, DequantisesToWithinHalfAStep) {
  Random random(9, "input");
  for (int i = 0; i < 50; ++i) {
    HostTensor x = HostTensor::make(DType::kF32, {1, 512});
    fill_floats(x, [&] { return random.wide(-20, 20); });
    const Stored s("flashmla", x);
    for (int d = 0; d < 448; ++d) {
      const double u = x.at<float>(0, d) * std::ldexp(1.0, 127 - s.exponent(d / 64));
      const double code = double_from_e4m3(static_cast<std::uint8_t>(s.code(d)));
      EXPECT_LE(std::fabs(u), 448.0);
      EXPECT_LE(std::fabs(u - code), std::max(std::fabs(u) * 0x1p-4, 0x1p-10));
    }
  }
}

TEST(FusedStoreCacheReference, RefusesWrongArguments) {
  HostTensor x = HostTensor::make(DType::kBF16, {2, 512}), index = HostTensor::make(DType::kI32, {2});
  HostTensor cache = HostTensor::make(DType::kU8, {2, 1728});
  HostTensor half = HostTensor::make(DType::kF16, {2, 512}), three = HostTensor::make(DType::kI32, {3});
  const char* op = "fused_store_cache";
  EXPECT_THAT(refusal(op, "run_flashmla_2", {&half, &cache, &index}), HasSubstr("'input': expected float32"));
  EXPECT_THAT(refusal(op, "run_indexer_2", {&x, &cache, &index}), HasSubstr("'input': expected size 128"));
  HostTensor narrow = HostTensor::make(DType::kU8, {1, 2 * 584 - 1});
  EXPECT_THAT(refusal(op, "run_flashmla_2", {&x, &narrow, &index}), HasSubstr("'cache': expected at least 1168 bytes"));
  EXPECT_THAT(refusal(op, "run_flashmla_2", {&x, &cache, &three}), HasSubstr("'indices': expected size 2"));
}

}  // namespace
}  // namespace dsv4::testing
