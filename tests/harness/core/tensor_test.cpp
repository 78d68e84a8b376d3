#include "harness/core/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A tensor whose storage bytes count up, so that a wrong offset gives a wrong value.
HostTensor counting(HostTensor t) {
  std::iota(t.storage.begin(), t.storage.end(), std::uint8_t{0});
  return t;
}

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Tensor, ContiguousLayout) {
  const HostTensor t = HostTensor::make(DType::kI32, {2, 3, 4});
  EXPECT_THAT(t.strides, ElementsAre(12, 4, 1));
  EXPECT_EQ(t.storage.size(), 96u);
  EXPECT_TRUE(t.contiguous());
  EXPECT_EQ(t.byte_of(23), 92u);
  EXPECT_THAT(t.coordinates(23), ElementsAre(1, 2, 3));
  EXPECT_EQ(t.describe(), "i32[2, 3, 4]");
}

TEST(Tensor, ScalarsHaveOneElement) {
  const HostTensor t = HostTensor::make(DType::kF64, {});
  EXPECT_EQ(t.numel(), 1);
  EXPECT_EQ(t.storage.size(), 8u);
  EXPECT_TRUE(t.coordinates(0).empty());
  EXPECT_EQ(t.describe(), "f64[]");
}

TEST(Tensor, StridedRowsKeepTheirGaps) {
  HostTensor t = counting(HostTensor::strided(DType::kU8, {2, 3}, {5, 1}, 2, 12));
  EXPECT_FALSE(t.contiguous());
  EXPECT_EQ(t.at<std::uint8_t>(1, 2), 9);
  EXPECT_EQ(*t.element(3), 7);
  EXPECT_THAT(t.packed().storage, ElementsAre(2, 3, 4, 7, 8, 9));
  EXPECT_THAT(t.view_mask(), ElementsAre(0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0));
  EXPECT_EQ(t.describe(), "u8[2, 3] strides (5, 1)");
}

TEST(Tensor, TransposedViewsAreReadByColumns) {
  const HostTensor t = counting(HostTensor::strided(DType::kU8, {2, 3}, {1, 2}));
  EXPECT_THAT(t.packed().storage, ElementsAre(0, 2, 4, 1, 3, 5));
  EXPECT_EQ(t.view_mask(), std::vector<std::uint8_t>(6, 1));
}

TEST(Tensor, NegativeStridesNeedAnOffset) {
  const HostTensor t = counting(HostTensor::strided(DType::kU8, {3}, {-1}, 2));
  EXPECT_EQ(t.storage.size(), 3u);
  EXPECT_THAT(t.packed().storage, ElementsAre(2, 1, 0));
  EXPECT_THAT(error_of([] { (void)HostTensor::strided(DType::kU8, {3}, {-1}, 1); }), HasSubstr("starts before"));
}

TEST(Tensor, StorageThatIsTooSmallIsRefused) {
  EXPECT_THAT(error_of([] {
                (void)HostTensor::strided(DType::kF32, {2, 3}, {5, 1}, 0, 7);
              }),
              HasSubstr("7 elements of storage are too few for f32[2, 3] strides (5, 1)"));
  EXPECT_EQ(HostTensor::strided(DType::kF32, {2, 3}, {5, 1}, 0, 8).storage.size(), 32u);
  EXPECT_THAT(error_of([] { (void)HostTensor::strided(DType::kF32, {2, 3}, {1}); }), HasSubstr("differ in rank"));
  EXPECT_THAT(error_of([] { (void)HostTensor::make(DType::kF32, {2, -3}); }), HasSubstr("[2, -3] has a negative size"));
}

TEST(Tensor, TensorsWithoutElementsHaveNoStorage) {
  for (const Shape& shape : {Shape{0}, Shape{0, 6}, Shape{6, 0}, Shape{3, 0, 2}}) {
    const HostTensor t = HostTensor::make(DType::kF32, shape);
    EXPECT_EQ(t.numel(), 0);
    EXPECT_TRUE(t.storage.empty());
    EXPECT_TRUE(t.contiguous());
    EXPECT_TRUE(t.packed().storage.empty());
    EXPECT_TRUE(t.view_mask().empty());
    for (const auto s : t.strides) EXPECT_GE(s, 1);
  }
  // A view without elements can lie in memory that is not empty. None of it may be written.
  const HostTensor t = counting(HostTensor::strided(DType::kU8, {0, 2}, {2, 1}, 3, 8));
  EXPECT_THAT(t.view_mask(), ElementsAre(0, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_TRUE(t.packed().storage.empty());
}

TEST(Tensor, SizeOneDimensionsMayHaveAnyStride) {
  const HostTensor t = counting(HostTensor::strided(DType::kU8, {3, 1, 2}, {2, 77, 1}));
  EXPECT_TRUE(t.contiguous());
  EXPECT_THAT(t.packed().storage, ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Tensor, OverlappingRowsShareTheirBytesInTheMask) {
  const HostTensor t = counting(HostTensor::strided(DType::kU8, {3, 2}, {1, 1}));
  EXPECT_EQ(t.storage.size(), 4u);
  EXPECT_THAT(t.packed().storage, ElementsAre(0, 1, 1, 2, 2, 3));
  EXPECT_THAT(t.view_mask(), ElementsAre(1, 1, 1, 1));
}

TEST(Tensor, PackedKeepsValuesAtAnyOffset) {
  HostTensor t = HostTensor::strided(DType::kI64, {2, 2}, {2, 1}, 5, 12);
  for (std::int64_t i = 0; i < 4; ++i) t.at<std::int64_t>(i / 2, i % 2) = 100 + i;
  EXPECT_TRUE(t.contiguous());
  EXPECT_EQ(t.data<std::int64_t>()[3], 103);
  EXPECT_EQ(t.packed().data<std::int64_t>()[3], 103);
  const auto mask = t.view_mask();
  EXPECT_EQ(std::accumulate(mask.begin(), mask.end(), 0), 32);
}

TEST(Tensor, OfMakesATensorOfValues) {
  EXPECT_EQ(HostTensor::of(DType::kI32, std::vector<std::int32_t>{1, -2}).at<std::int32_t>(1), -2);
  EXPECT_EQ(HostTensor::of(DType::kI32, std::vector<std::int32_t>{}).numel(), 0);
}

}  // namespace
}  // namespace dsv4
