#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness/core/bits.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;
constexpr const char* kOp = "silu_and_mul_contig_post_quant";

/// The arguments of a call. The columns are not swizzled. Transposed scales have `column` words for each word of a row.
struct Contig {
  HostTensor input, output, scale;
  std::string variant;
  bool transposed;
  double limit = 10.0;

  Contig(std::string name, std::int64_t rows, std::int64_t dim, std::int64_t column = 0)
      : input(HostTensor::make(DType::kBF16, {rows, 2 * dim})),
        output(HostTensor::make(DType::kE4M3, {rows, dim})),
        scale(column != 0 ? HostTensor::strided(DType::kI32, {rows, dim / 512}, {1, column}, 0, column * (dim / 512))
                          : HostTensor::make(DType::kF32, {rows, dim / 128})),
        variant(std::move(name)),
        transposed(column != 0) {
    poison(output, 1);
    poison(scale, 1);
  }

  void set(std::int64_t r, std::int64_t j, float gate, float up) {
    input.at<std::uint16_t>(r, j) = bf16_from_float(gate);
    input.at<std::uint16_t>(r, output.size(1) + j) = bf16_from_float(up);
  }
  [[nodiscard]] std::vector<Given> given() { return {&input, &output, &scale, transposed, limit}; }
  void call() { call_reference(kOp, "run_" + variant, given()); }
  [[nodiscard]] int code(std::int64_t r, std::int64_t j) const { return output.at<std::uint8_t>(r, j); }
};

TEST(SiluContigReference, KnownAnswers) {
  Contig s("ue8m0", 2, 256);
  s.set(0, 0, 64.0f, 7.0f);      // the product is 448, so the scale is 1
  s.set(0, 1, 20.0f, -2.0f);     // the product is -40, because silu(20) = 20 - 4e-8
  s.set(0, 2, 1.0f, 1.0f);       // the product is 0.7310586; its code is that of 0.75
  s.set(1, 255, 64.0f, -14.0f);  // the product is -896, so the scale is 2
  s.call();
  EXPECT_EQ(s.scale.at<float>(0, 0), 1.0f);
  EXPECT_EQ(s.scale.at<float>(0, 1), 0x1p-42f);  // all products of the group are zero
  EXPECT_EQ(s.scale.at<float>(1, 0), 0x1p-42f);
  EXPECT_EQ(s.scale.at<float>(1, 1), 2.0f);
  EXPECT_EQ(s.code(0, 0), 0x7e);
  EXPECT_EQ(s.code(0, 1), 0xe2);
  EXPECT_EQ(s.code(0, 2), 0x34);
  EXPECT_EQ(s.code(0, 128), 0x00);
  EXPECT_EQ(s.code(1, 255), 0xfe);
}

TEST(SiluContigReference, FloatScalesMapTheGreatestMagnitudeTo448) {
  Contig s("float_clamp", 1, 256);
  s.limit = 20.0;
  s.set(0, 0, 30.0f, 5.0f);  // the gate is cut to 20
  s.set(0, 1, 20.0f, -2.5f);
  s.call();
  EXPECT_EQ(s.scale.at<float>(0, 0), 100.0f / 448.0f);
  EXPECT_EQ(s.code(0, 0), 0x7e);
  EXPECT_EQ(s.code(0, 1), 0xf6);
}

TEST(SiluContigReference, SwizzledColumnsAlternateInChunksOfEight) {
  Contig plain("ue8m0", 1, 256), swizzled("ue8m0_swizzle", 1, 256);
  Random random(1, "input");
  for (int j = 0; j < 256; ++j) {
    const float gate = random.gauss(), up = random.gauss();
    plain.set(0, j, gate, up);
    swizzled.input.at<std::uint16_t>(0, 16 * (j / 8) + j % 8) = bf16_from_float(gate);
    swizzled.input.at<std::uint16_t>(0, 16 * (j / 8) + 8 + j % 8) = bf16_from_float(up);
  }
  plain.call();
  swizzled.call();
  EXPECT_EQ(plain.output.storage, swizzled.output.storage);
  EXPECT_EQ(plain.scale.storage, swizzled.scale.storage);
}

// Byte g of row t is in word g / 4 of the row. Words of neighbouring rows are adjacent.
TEST(SiluContigReference, TransposedScalesHaveRowsInnermost) {
  constexpr std::int64_t kRows = 3, kDim = 1024, kColumn = 7;
  Contig s("ue8m0", kRows, kDim, kColumn);
  for (int t = 0; t < kRows; ++t) {
    for (int g = 0; g < 8; ++g) s.set(t, 128 * g, 64.0f, std::ldexp(7.0f, 8 * t + g));
  }
  const auto before = s.scale.storage;
  s.call();
  for (int word = 0; word < 2; ++word) {
    for (int t = 0; t < kColumn; ++t) {
      for (int byte = 0; byte < 4; ++byte) {
        const auto at = static_cast<std::size_t>((word * kColumn + t) * 4 + byte);
        EXPECT_EQ(s.scale.storage[at], t < kRows ? 127 + 8 * t + 4 * word + byte : before[at]);
      }
    }
  }
}

/// The number of codes and scales outside their intervals if all values are multiplied by `factor`.
int outside(const char* variant, double factor) {
  constexpr std::int64_t kRows = 40, kDim = 512;
  const bool bytes = std::string(variant) == "ue8m0";
  Contig s(variant, kRows, kDim, bytes ? kRows : 0);
  Random random(5, "input");
  for (int t = 0; t < kRows; ++t) {
    for (int j = 0; j < kDim; ++j) s.set(t, j, 6.0f * random.gauss(), random.gauss());
  }
  Contig wrong = s;
  for (int t = 0; t < kRows; ++t) {
    for (int g = 0; g < kDim / 128; ++g) {
      double v[128];
      double greatest = 1e-10f;
      for (int j = 0; j < 128; ++j) {
        const double gate = float_from_bf16(s.input.at<std::uint16_t>(t, 128 * g + j));
        const double up = float_from_bf16(s.input.at<std::uint16_t>(t, kDim + 128 * g + j));
        v[j] = gate / (1.0 + std::exp(-gate)) * up * factor;
        greatest = std::max(greatest, std::fabs(v[j]));
      }
      double scale = static_cast<float>(greatest / 448.0);
      if (bytes) {
        const int exponent = static_cast<int>(std::ceil(std::log2(greatest / 448.0)));
        scale = std::ldexp(1.0, exponent);
        reinterpret_cast<std::uint8_t*>(&wrong.scale.at<std::int32_t>(t, 0))[g] =
            static_cast<std::uint8_t>(exponent + 127);
      } else {
        wrong.scale.at<float>(t, g) = static_cast<float>(scale);
      }
      for (int j = 0; j < 128; ++j) wrong.output.at<std::uint8_t>(t, 128 * g + j) = e4m3_from_double(v[j] / scale);
    }
  }
  HostTensor low = s.output, high = s.output, scale_low = s.scale, scale_high = s.scale;
  call_reference(kOp, std::string("interval_") + variant,
                 {&wrong.input, &wrong.output, &wrong.scale, bytes, 0.0, &low, &high, &scale_low, &scale_high});
  int count = 0;
  const auto compare = [&](const HostTensor& got, const HostTensor& least, const HostTensor& most) {
    for (std::int64_t i = 0; i < got.numel(); ++i) {
      const auto at = [i](const HostTensor& t) { return *order_key(t.dtype, t.element(i)); };
      count += at(got) < at(least) || at(got) > at(most) ? 1 : 0;
    }
  };
  compare(wrong.output, low, high);
  compare(wrong.scale, scale_low, scale_high);
  return count;
}

TEST(SiluContigInterval, HasExactValuesAndNotThoseOfAnotherFactor) {
  for (const char* variant : {"float", "ue8m0"}) {
    EXPECT_EQ(outside(variant, 1.0), 0) << variant;
    EXPECT_GT(outside(variant, 1.0 + 0x1p-10), 20) << variant;
    EXPECT_GT(outside(variant, -1.0), 1000) << variant;
  }
}

TEST(SiluContigReference, RefusesWrongArguments) {
  const auto message = [](Contig s) { return refusal(kOp, "run_" + s.variant, s.given()); };
  EXPECT_THAT(message(Contig("float", 3, 512, 4)), HasSubstr("'transposed'"));
  EXPECT_THAT(message(Contig("ue8m0", 1, 320)), HasSubstr("'output': expected a multiple of 128"));
  EXPECT_THAT(message(Contig("ue8m0", 1, 768, 4)), HasSubstr("'output': expected a multiple of 512"));
  Contig floats("ue8m0", 3, 1024, 4), rows("ue8m0", 3, 1024, 4), overlap("ue8m0", 3, 1024, 4);
  floats.scale = HostTensor::make(DType::kF32, {3, 8});
  EXPECT_THAT(message(floats), HasSubstr("'output_scale': expected int32, got float32"));
  rows.scale = HostTensor::make(DType::kI32, {3, 2});
  EXPECT_THAT(message(rows), HasSubstr("'output_scale': expected strides 1 and at least 3"));
  overlap.scale = HostTensor::strided(DType::kI32, {3, 2}, {1, 2});
  EXPECT_THAT(message(overlap), HasSubstr("'output_scale': expected strides 1 and at least 3"));
}

}  // namespace
}  // namespace dsv4::testing
