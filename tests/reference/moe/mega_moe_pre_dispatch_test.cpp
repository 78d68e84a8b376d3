#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
constexpr const char* kOp = "mega_moe_pre_dispatch";
constexpr float kInf = std::numeric_limits<float>::infinity();

/// The arguments of a call. Outputs are poisoned, because a call leaves parts of them unwritten.
struct Dispatch {
  std::int64_t group;
  HostTensor x, ids, weights, codes, scales, ids_out, weights_out;

  Dispatch(std::int64_t g, std::int64_t tokens, std::int64_t slots, std::int64_t hidden, std::int64_t k,
           DType buffer = DType::kI8)
      : group(g),
        x(HostTensor::make(DType::kBF16, {tokens, hidden})),
        ids(HostTensor::make(DType::kI32, {tokens, k})),
        weights(HostTensor::make(DType::kF32, {tokens, k})),
        codes(HostTensor::make(buffer, {slots, hidden})),
        scales(HostTensor::make(DType::kI32, {slots, hidden / (4 * g)})),
        ids_out(HostTensor::make(DType::kI64, {slots, k})),
        weights_out(HostTensor::make(DType::kF32, {slots, k})) {
    for (HostTensor* t : {&codes, &scales, &ids_out, &weights_out}) poison(*t, 1);
  }

  void set(std::int64_t t, std::int64_t column, float value) {
    x.at<std::uint16_t>(t, column) = bf16_from_float(value);
  }
  [[nodiscard]] std::vector<Given> given() { return {&x, &ids, &weights, &codes, &scales, &ids_out, &weights_out}; }
  [[nodiscard]] std::string function() const { return "run_" + std::to_string(group); }
  void call() { call_reference(kOp, function(), given()); }
  [[nodiscard]] int code(std::int64_t t, std::int64_t column) const {
    return codes.storage[static_cast<std::size_t>(t * codes.size(1) + column)];
  }
  /// The exponent byte of group g of token t.
  [[nodiscard]] int byte(std::int64_t t, std::int64_t g) const {
    return scales.storage[static_cast<std::size_t>(t * 4 * scales.size(1) + g)];
  }
};

/// The bits of element i.
std::uint32_t bits_at(const HostTensor& t, std::int64_t i) {
  return static_cast<std::uint32_t>(bits_of(t.dtype, t.element(i)));
}

TEST(MegaMoeReference, KnownCodes) {
  Dispatch d(32, 1, 1, 128, 1);
  for (int i = 0; i < 32; ++i) d.set(0, i, 0.5f * static_cast<float>(i - 8));
  d.set(0, 6, -0.0f);
  d.call();
  EXPECT_EQ(d.byte(0, 0), 122);  // the maximum 11.5 is below 448 / 32
  const std::vector<int> want{0xf0, 0xee, 0xec, 0xea, 0xe8, 0xe4, 0x80, 0xd8, 0x00, 0x58, 0x60, 0x64};
  for (std::size_t i = 0; i < want.size(); ++i) EXPECT_EQ(d.code(0, static_cast<std::int64_t>(i)), want[i]) << i;
}

TEST(MegaMoeReference, ByteGOfARowBelongsToGroupG) {
  for (const std::int64_t group : {32, 64, 128}) {
    Dispatch d(group, 2, 3, 8 * group, 1);
    for (int t = 0; t < 2; ++t) {
      for (int g = 0; g < 8; ++g) d.set(t, group * g + group - 1, std::ldexp(448.0f, 16 * t + g - 20));
    }
    d.call();
    for (int t = 0; t < 2; ++t) {
      for (int g = 0; g < 8; ++g) {
        EXPECT_EQ(d.byte(t, g), 127 + 16 * t + g - 20);
        EXPECT_EQ(d.code(t, group * g + group - 1), 0x7e);
        EXPECT_EQ(d.code(t, group * g), 0x00);
      }
    }
  }
}

TEST(MegaMoeReference, AMaximumOf448TimesAPowerOfTwoHasThisPower) {
  Dispatch d(32, 3, 3, 128, 1);
  constexpr std::uint16_t kEdge = 0x43e0;  // 448
  for (int t = 0; t < 3; ++t) d.x.at<std::uint16_t>(t, 5) = static_cast<std::uint16_t>(kEdge + t - 1);
  d.call();
  EXPECT_EQ(d.byte(0, 0), 127);
  EXPECT_EQ(d.byte(1, 0), 127);
  EXPECT_EQ(d.byte(2, 0), 128);
  EXPECT_EQ(d.code(2, 5), 0x76);  // 450 / 2 becomes 224
}

TEST(MegaMoeReference, TheMaximumIsAtLeast1e_10) {
  Dispatch d(32, 1, 1, 128, 1);
  d.set(0, 32, 0.9e-10f);
  d.set(0, 64, 1.1e-10f);
  d.set(0, 96, 0x1p-133f);
  d.call();
  EXPECT_EQ(d.byte(0, 0), 85);  // 1e-10 / 448 is between 2^-43 and 2^-42
  EXPECT_EQ(d.byte(0, 1), 85);
  EXPECT_EQ(d.byte(0, 2), 86);  // 448 * 2^-42 is 1.02e-10
  EXPECT_EQ(d.byte(0, 3), 85);
  EXPECT_EQ(d.code(0, 96), 0x00);
}

TEST(MegaMoeReference, SpecialValues) {
  Dispatch d(32, 2, 2, 128, 1);
  d.set(0, 0, std::nanf(""));
  d.x.at<std::uint16_t>(0, 1) = 0xff81;  // a signalling NaN with a sign
  d.set(0, 2, -448.0f);
  d.set(0, 32, kInf);
  d.set(0, 33, -kInf);
  d.set(0, 34, 3.0f);
  d.set(0, 35, -3.0f);
  d.set(0, 36, std::nanf(""));
  for (int i = 64; i < 96; ++i) d.set(0, i, std::nanf(""));
  d.set(0, 96, std::numeric_limits<float>::max());  // rounds to infinity
  d.x.at<std::uint16_t>(1, 0) = 0xff7f;             // the greatest finite bfloat16, negative
  d.call();
  EXPECT_EQ(d.byte(0, 0), 127);
  EXPECT_EQ(d.code(0, 0), 0x7e);
  EXPECT_EQ(d.code(0, 1), 0x7e);
  EXPECT_EQ(d.code(0, 2), 0xfe);
  EXPECT_EQ(d.byte(0, 1), 255);
  for (const auto& [column, code] : {std::pair{32, 0xfe}, {33, 0x7e}, {34, 0xfe}, {35, 0x7e}, {36, 0x7e}, {37, 0x7e}}) {
    EXPECT_EQ(d.code(0, column), code) << column;
  }
  EXPECT_EQ(d.byte(0, 2), 85);
  EXPECT_EQ(d.code(0, 64), 0x7e);
  EXPECT_EQ(d.byte(0, 3), 255);
  EXPECT_EQ(d.byte(1, 0), 247);
  EXPECT_EQ(d.code(1, 0), 0xf8);  // the scaled value -255 becomes -256
}

TEST(MegaMoeReference, BothTypesOfBufferGetTheSameBytes) {
  Dispatch i8(64, 2, 4, 256, 1), e4m3(64, 2, 4, 256, 1, DType::kE4M3);
  for (Dispatch* d : {&i8, &e4m3}) {
    for (int i = 0; i < 256; ++i) d->set(1, i, std::sin(static_cast<float>(i)));
    d->call();
  }
  EXPECT_EQ(i8.codes.storage, e4m3.codes.storage);
  EXPECT_EQ(i8.scales.storage, e4m3.scales.storage);
}

TEST(MegaMoeReference, CopiesTheRoutingAndBlanksTheOtherSlots) {
  Dispatch d(32, 2, 4, 128, 3);
  const std::vector<std::int32_t> ids{7, -1,  std::numeric_limits<std::int32_t>::min(),
                                      0, 255, std::numeric_limits<std::int32_t>::max()};
  const std::vector<std::uint32_t> weights{0x3f000000, 0x7fc12345, 0xff812345, 0x80000000, 0x00000001, 0x7f800000};
  for (std::int64_t i = 0; i < 6; ++i) {
    d.ids.at<std::int32_t>(i / 3, i % 3) = ids[static_cast<std::size_t>(i)];
    std::memcpy(d.weights.element(i), &weights[static_cast<std::size_t>(i)], 4);
  }
  const auto codes = d.codes.storage, scales = d.scales.storage;
  d.call();
  for (std::int64_t i = 0; i < 12; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(d.ids_out.at<std::int64_t>(i / 3, i % 3), i < 6 ? ids[at] : -1);
    EXPECT_EQ(bits_at(d.weights_out, i), i < 6 ? weights[at] : 0u);
  }
  // The codes and scales of slots without a token keep their bytes.
  EXPECT_TRUE(std::equal(codes.begin() + 256, codes.end(), d.codes.storage.begin() + 256));
  EXPECT_TRUE(std::equal(scales.begin() + 8, scales.end(), d.scales.storage.begin() + 8));
  EXPECT_THAT(std::vector(d.codes.storage.begin(), d.codes.storage.begin() + 256), Each(0));
  EXPECT_THAT(std::vector(d.scales.storage.begin(), d.scales.storage.begin() + 8), Each(85));
}

TEST(MegaMoeReference, WithoutTokensAllSlotsAreBlank) {
  Dispatch d(128, 0, 2, 512, 2);
  const auto codes = d.codes.storage;
  d.call();
  EXPECT_EQ(d.codes.storage, codes);
  for (int slot = 0; slot < 2; ++slot) {
    EXPECT_EQ(d.ids_out.at<std::int64_t>(slot, 1), -1);
    EXPECT_EQ(bits_at(d.weights_out, 2 * slot + 1), 0u);
  }
}

TEST(MegaMoeReference, RefusesWrongArguments) {
  const auto message = [](Dispatch d) { return refusal(kOp, d.function(), d.given()); };
  EXPECT_THAT(message(Dispatch(32, 3, 2, 128, 1)), HasSubstr("'x': expected at most 2 tokens"));
  EXPECT_THAT(message(Dispatch(32, 1, 1, 96, 1)), HasSubstr("'x': expected a multiple of 128 columns"));
  EXPECT_THAT(message(Dispatch(128, 1, 1, 256, 1)), HasSubstr("'x': expected a multiple of 512 columns"));
  Dispatch other(32, 1, 1, 128, 2);
  other.ids_out = HostTensor::make(DType::kI64, {1, 3});
  EXPECT_THAT(message(other), HasSubstr("'buf_topk_idx': expected size 2"));
  Dispatch words(32, 1, 1, 128, 2);
  words.scales = HostTensor::make(DType::kI32, {1, 2});
  EXPECT_THAT(message(words), HasSubstr("'buf_x_sf': expected size 1"));
  EXPECT_THAT(message(Dispatch(32, 1, 1, 128, 1, DType::kU8)), HasSubstr("'buf_x': expected float8_e4m3fn, got uint8"));
}

}  // namespace
}  // namespace dsv4::testing
