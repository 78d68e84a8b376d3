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

template <class Exception = Error, class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Exception& e) {
    return e.what();
  }
  return "no error";
}

/// Returns the text of the TensorError that an access throws; "no error" if the access is allowed.
template <class F>
std::string refusal_of(F f) {
  return error_of<TensorError>(f);
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
  // A view without elements may have a storage that is not empty. No byte of this storage may be written.
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

TEST(TensorAccess, AnIndexOutsideTheShapeIsRefused) {
  HostTensor t = counting(HostTensor::make(DType::kF32, {4, 8}));
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(3, 7); }), "no error");
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(5, 0); }), "index (5, 0) does not fit f32[4, 8]");
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(4, 0); }), "index (4, 0) does not fit f32[4, 8]");
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(-1, 0); }), "index (-1, 0) does not fit f32[4, 8]");
  // (0, 8) and (1, 0) have the same offset, but only (1, 0) is an index of this tensor.
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(0, 8); }), "index (0, 8) does not fit f32[4, 8]");
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(1, -1); }), "index (1, -1) does not fit f32[4, 8]");
  const HostTensor& same = t;
  EXPECT_EQ(refusal_of([&] { (void)same.at<float>(0, 8); }), "index (0, 8) does not fit f32[4, 8]");
}

TEST(TensorAccess, AnIndexOfAnotherRankIsRefused) {
  const HostTensor t = HostTensor::make(DType::kF32, {4, 8});
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(1); }), "index (1) does not fit f32[4, 8]");
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(1, 1, 0); }), "index (1, 1, 0) does not fit f32[4, 8]");
  EXPECT_EQ(refusal_of([&] { (void)t.at<float>(); }), "index () does not fit f32[4, 8]");
  EXPECT_EQ(HostTensor::make(DType::kF32, {}).at<float>(), 0.0f);
}

TEST(TensorAccess, ALinearIndexOutsideTheShapeIsRefused) {
  HostTensor t = counting(HostTensor::strided(DType::kU8, {2, 3}, {5, 1}, 2, 12));
  const HostTensor& same = t;
  for (const std::int64_t i : {-1, 6, 7, 1 << 20}) {
    const std::string want = "element " + std::to_string(i) + " does not exist in u8[2, 3] strides (5, 1)";
    EXPECT_EQ(refusal_of([&] { (void)t.byte_of(i); }), want);
    EXPECT_EQ(refusal_of([&] { (void)t.element(i); }), want);
    EXPECT_EQ(refusal_of([&] { (void)same.element(i); }), want);
    EXPECT_EQ(refusal_of([&] { (void)t.get<std::uint8_t>(i); }), want);
    EXPECT_EQ(refusal_of([&] { t.set<std::uint8_t>(i, 1); }), want);
    EXPECT_EQ(refusal_of([&] { (void)t.coordinates(i); }), want);
  }
  EXPECT_EQ(refusal_of([&] {
              (void)HostTensor::make(DType::kF32, {3, 0, 2}).element(0);
            }),
            "element 0 does not exist in f32[3, 0, 2]");
  EXPECT_EQ(refusal_of([&] { (void)HostTensor::make(DType::kF32, {}).element(1); }),
            "element 1 does not exist in f32[]");
  EXPECT_EQ(refusal_of([&] { (void)t.size(2); }), "dimension 2 does not exist in u8[2, 3] strides (5, 1)");
}

TEST(TensorAccess, AnotherTypeThanTheDtypesIsRefused) {
  HostTensor t = HostTensor::make(DType::kF32, {4, 8});
  const HostTensor& same = t;
  EXPECT_EQ(refusal_of([&] { (void)t.at<std::int32_t>(0, 0); }), "f32[4, 8] cannot be accessed as i32");
  EXPECT_EQ(refusal_of([&] { (void)t.at<double>(0, 0); }), "f32[4, 8] cannot be accessed as f64");
  EXPECT_EQ(refusal_of([&] { (void)t.data<std::uint8_t>(); }), "f32[4, 8] cannot be accessed as u8");
  EXPECT_EQ(refusal_of([&] { (void)same.data<std::uint16_t>(); }), "f32[4, 8] cannot be accessed as u16");
  EXPECT_EQ(refusal_of([&] { (void)t.get<std::int64_t>(0); }), "f32[4, 8] cannot be accessed as i64");
  EXPECT_EQ(refusal_of([&] { t.set(0, 1.0); }), "f32[4, 8] cannot be accessed as f64");
  // Otherwise values of eight bytes would be copied into a storage with four bytes for each value.
  EXPECT_EQ(refusal_of([] {
              (void)HostTensor::of(DType::kI32, std::vector<std::int64_t>{1, 2});
            }),
            "i32[2] cannot be accessed as i64");
}

/// The dtypes whose elements may be accessed as T.
template <class T>
std::vector<DType> dtypes_of_type() {
  std::vector<DType> allowed;
  for (int i = 0; i <= static_cast<int>(DType::kE5M2); ++i) {
    HostTensor t = HostTensor::make(static_cast<DType>(i), {1});
    if (refusal_of([&] { (void)t.at<T>(0); }) == "no error") allowed.push_back(t.dtype);
  }
  return allowed;
}

TEST(TensorAccess, EachDtypeHasOneType) {
  EXPECT_THAT(dtypes_of_type<std::uint8_t>(), ElementsAre(DType::kU8, DType::kBool, DType::kE4M3, DType::kE5M2));
  EXPECT_THAT(dtypes_of_type<std::int8_t>(), ElementsAre(DType::kI8));
  EXPECT_THAT(dtypes_of_type<std::uint16_t>(), ElementsAre(DType::kU16, DType::kF16, DType::kBF16));
  EXPECT_THAT(dtypes_of_type<std::int16_t>(), ElementsAre(DType::kI16));
  EXPECT_THAT(dtypes_of_type<std::uint32_t>(), ElementsAre(DType::kU32));
  EXPECT_THAT(dtypes_of_type<std::int32_t>(), ElementsAre(DType::kI32));
  EXPECT_THAT(dtypes_of_type<std::uint64_t>(), ElementsAre(DType::kU64));
  EXPECT_THAT(dtypes_of_type<std::int64_t>(), ElementsAre(DType::kI64));
  EXPECT_THAT(dtypes_of_type<float>(), ElementsAre(DType::kF32));
  EXPECT_THAT(dtypes_of_type<double>(), ElementsAre(DType::kF64));
}

TEST(TensorAccess, AnElementThatTheStorageDoesNotHoldIsRefused) {
  HostTensor t = HostTensor::make(DType::kI32, {2, 3});
  t.storage.resize(20);
  const std::string want = "i32[2, 3] reaches beyond its storage of 20 bytes";
  EXPECT_EQ(refusal_of([&] { (void)t.at<std::int32_t>(1, 1); }), "no error");
  EXPECT_EQ(refusal_of([&] { (void)t.at<std::int32_t>(1, 2); }), want);
  EXPECT_EQ(refusal_of([&] { (void)t.element(5); }), want);
  t.storage.resize(22);
  EXPECT_THAT(refusal_of([&] { (void)t.element(5); }), HasSubstr("22 bytes"))
      << "the storage has only half of this element";
  t.offset = -1;
  EXPECT_THAT(refusal_of([&] { (void)t.at<std::int32_t>(0, 0); }), HasSubstr("reaches beyond its storage"));
}

TEST(TensorAccess, LinearAccessReadsAndWritesTheView) {
  HostTensor t = counting(HostTensor::strided(DType::kU8, {2, 3}, {5, 1}, 2, 12));
  EXPECT_EQ(t.get<std::uint8_t>(4), 8);
  t.set<std::uint8_t>(4, 80);
  EXPECT_EQ(t.at<std::uint8_t>(1, 1), 80);
  EXPECT_EQ(t.storage[8], 80);
}

}  // namespace
}  // namespace dsv4
