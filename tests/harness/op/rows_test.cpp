#include "harness/op/rows.h"

#include <gtest/gtest.h>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

TEST(Rows, ChosenRowsArePackedInTheChosenOrder) {
  HostTensor t = HostTensor::strided(DType::kU8, {3, 2}, {4, 1}, 1, 12);
  for (std::size_t i = 0; i < t.storage.size(); ++i) t.storage[i] = static_cast<std::uint8_t>(i);
  const HostTensor rows = rows_of(t, {2, 0, 2});
  EXPECT_EQ(rows.shape, (Shape{3, 2}));
  EXPECT_TRUE(rows.contiguous());
  for (int d = 0; d < 2; ++d) {
    EXPECT_EQ(rows.at<std::uint8_t>(0, d), t.at<std::uint8_t>(2, d));
    EXPECT_EQ(rows.at<std::uint8_t>(1, d), t.at<std::uint8_t>(0, d));
    EXPECT_EQ(rows.at<std::uint8_t>(2, d), t.at<std::uint8_t>(2, d));
  }
  EXPECT_EQ(rows_of(t, {}).shape, (Shape{0, 2}));
  EXPECT_THROW((void)rows_of(t, {3}), Error);
  EXPECT_THROW((void)rows_of(t, {-1}), Error);
}

// A wrong kernel can write any row number into a plan, so a row number may lie anywhere.
TEST(Rows, RowsThatATensorLacksAreErrors) {
  const HostTensor t = HostTensor::make(DType::kI32, {3, 4});
  for (const std::int64_t row : {std::int64_t{-1}, std::int64_t{3}, std::int64_t{1} << 61, std::int64_t{-1} << 62}) {
    EXPECT_THROW((void)gather_rows(t, {0, row}, 4), Error) << row;
    EXPECT_THROW((void)footprint_of_rows(t, {0, row}, 4), Error) << row;
  }
}

TEST(Rows, ReorderedRowsKeepTheStrides) {
  HostTensor t = HostTensor::strided(DType::kU8, {3, 2}, {4, 1}, 1, 12);
  for (std::size_t i = 0; i < t.storage.size(); ++i) t.storage[i] = static_cast<std::uint8_t>(i);
  const HostTensor moved = reordered(t, {2, 0, 1});
  EXPECT_EQ(moved.strides, t.strides);
  EXPECT_EQ(moved.storage, (std::vector<std::uint8_t>{0, 9, 10, 3, 4, 1, 2, 7, 8, 5, 6, 11}));
}

TEST(Rows, KeepRowsChangesTheNamedTensorsOnly) {
  Call call{"op",
            "",
            {},
            {in("x", HostTensor::of<std::int32_t>(DType::kI32, {5, 6, 7})), absent("none"),
             out("y", HostTensor::make(DType::kU8, {3, 2}), {1, 1, 0, 0, 1, 1}),
             in("rest", HostTensor::make(DType::kU8, {3}))}};
  keep_rows(call, {"x", "none", "y"}, {1});
  EXPECT_EQ(call.tensor("x").shape, (Shape{1}));
  EXPECT_EQ(call.tensor("x").at<std::int32_t>(0), 6);
  EXPECT_FALSE(call.arg("none").is_tensor());
  EXPECT_EQ(call.tensor("y").shape, (Shape{1, 2}));
  EXPECT_TRUE(call.arg("y").footprint.empty());
  EXPECT_EQ(call.tensor("rest").shape, (Shape{3}));
}

TEST(Rows, OfAFlattenedTensorAreGatheredAndMayBeWritten) {
  HostTensor t = HostTensor::make(DType::kI32, {2, 2, 3});
  for (std::int32_t i = 0; i < 12; ++i) t.data<std::int32_t>()[i] = i;
  const HostTensor rows = gather_rows(t, {3, 1}, 3);
  EXPECT_EQ(rows.shape, (Shape{2, 3}));
  EXPECT_EQ(rows.at<std::int32_t>(0, 0), 9);
  EXPECT_EQ(rows.at<std::int32_t>(1, 2), 5);
  EXPECT_THROW((void)gather_rows(t, {4}, 3), Error);
  EXPECT_THROW((void)gather_rows(t, {-1}, 3), Error);
  const auto footprint = footprint_of_rows(t, {1}, 3);
  EXPECT_EQ(footprint.size(), 48u);
  for (std::size_t i = 0; i < footprint.size(); ++i) EXPECT_EQ(footprint[i], i >= 12 && i < 24 ? 1 : 0) << i;
}

TEST(Columns, AreTakenInTheOrderGiven) {
  HostTensor t = HostTensor::make(DType::kI32, {2, 3});
  for (std::int32_t i = 0; i < 6; ++i) t.data<std::int32_t>()[i] = i;
  const HostTensor picked = columns_of(t, {2, 0});
  EXPECT_EQ(picked.shape, (Shape{2, 2}));
  EXPECT_EQ(picked.at<std::int32_t>(0, 0), 2);
  EXPECT_EQ(picked.at<std::int32_t>(1, 1), 3);
}

TEST(Rows, WithKeysAreStackedInTheirOrder) {
  KeyedRows rows;
  EXPECT_EQ(stacked(rows).shape, (Shape{0, 0}));
  rows[{2, 5}] = HostTensor::make(DType::kI32, {1, 2});
  rows[{1, 9}] = HostTensor::make(DType::kI32, {1, 2});
  rows[{1, 9}].at<std::int32_t>(0, 1) = 3;
  EXPECT_EQ(stacked(rows).shape, (Shape{2, 2}));
  EXPECT_EQ(stacked(rows).at<std::int32_t>(0, 1), 3);
  EXPECT_EQ(keys_of(rows).storage, HostTensor::of<std::int64_t>(DType::kI64, {1, 9, 2, 5}).storage);
}

}  // namespace
}  // namespace dsv4
