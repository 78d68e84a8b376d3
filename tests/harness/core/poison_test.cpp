#include "harness/core/poison.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "harness/generate/random.h"

namespace dsv4 {
namespace {

HostTensor poisoned(DType dtype, Shape shape, std::uint32_t variant) {
  HostTensor t = HostTensor::make(dtype, std::move(shape));
  poison(t, variant);
  return t;
}

TEST(Poison, AnElementThatWasNeverWrittenIsToldForEveryDtypeAndVariant) {
  for (int d = 0; d <= static_cast<int>(DType::kE5M2); ++d) {
    for (std::uint32_t variant = 0; variant < 4; ++variant) {
      const HostTensor t = poisoned(static_cast<DType>(d), {2, 8}, variant);
      for (std::int64_t i = 0; i < t.numel(); ++i) {
        EXPECT_EQ(describe_poison(t, i).rfind("never written (poison 0x", 0), 0u) << name_of(t.dtype) << " " << i;
      }
    }
  }
  EXPECT_EQ(describe_poison(poisoned(DType::kF32, {3}, 1), 2), "never written (poison 0xffa5a5a5)");
  EXPECT_EQ(describe_poison(poisoned(DType::kBF16, {4}, 0), 1), "never written (poison 0xfbad)");
  EXPECT_EQ(describe_poison(poisoned(DType::kI64, {1}, 0), 0), "never written (poison 0xfbadbeeffbadbeef)");
}

TEST(Poison, AWrittenElementIsNotPoisonEvenIfItsNeighboursAre) {
  for (const DType dtype : {DType::kU8, DType::kBF16, DType::kF32, DType::kI64}) {
    HostTensor t = poisoned(dtype, {9}, 2);
    for (std::size_t i = 0; i < static_cast<std::size_t>(size_of(dtype)); ++i) t.element(4)[i] = 1;
    EXPECT_EQ(describe_poison(t, 4), "") << name_of(dtype);
    EXPECT_NE(describe_poison(t, 0), "") << name_of(dtype);
    EXPECT_NE(describe_poison(t, 8), "") << name_of(dtype);
  }
}

TEST(Poison, OneByteThatEqualsAPoisonByteIsAnOrdinaryValue) {
  HostTensor t = HostTensor::make(DType::kU8, {6});
  t.element(2)[0] = poison_byte(1, 0);
  EXPECT_EQ(describe_poison(t, 2), "");
  HostTensor alone = HostTensor::make(DType::kU8, {1});
  alone.element(0)[0] = poison_byte(1, 0);
  EXPECT_EQ(describe_poison(alone, 0), "");
}

TEST(Poison, ValuesOfFillsAreNotPoison) {
  for (const float value : {0.0f, 1.0f, -3.5f, std::nanf("0"), std::bit_cast<float>(0x7fc00003u),
                            std::bit_cast<float>(0x7fffffffu), std::bit_cast<float>(0x7f810000u)}) {
    EXPECT_EQ(describe_poison(HostTensor::of<float>(DType::kF32, {value}), 0), "") << value;
  }
}

TEST(Poison, FloatsOfUnusedMemoryAreNanAndDiffer) {
  EXPECT_TRUE(std::isnan(poison_float(0)));
  EXPECT_NE(std::bit_cast<std::uint32_t>(poison_float(6)), std::bit_cast<std::uint32_t>(poison_float(8)));
  EXPECT_EQ(std::bit_cast<std::uint32_t>(poison_float(128)), 0x7fc00081u);
  EXPECT_EQ(describe_poison(HostTensor::of<float>(DType::kF32, {poison_float(128)}), 0),
            "from memory that was never written (poison 0x7fc00081)");
}

}  // namespace
}  // namespace dsv4
