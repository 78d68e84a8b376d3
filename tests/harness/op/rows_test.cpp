#include "harness/op/rows.h"

#include <gtest/gtest.h>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

TEST(Rows, InAnotherOrderArePacked) {
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

}  // namespace
}  // namespace dsv4
