#include "reference/common/rows.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

namespace dsv4::reference {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

/// A float tensor [2, 3]. Its rows are 8 elements apart, its columns 2 elements. Element (i, j) has the value 10 i + j.
struct Spread {
  std::vector<float> memory = std::vector<float>(16, -1.0f);
  std::array<std::int64_t, 2> shape{2, 3};
  std::array<std::int64_t, 2> strides{8, 2};
  DLTensor tensor{};

  Spread() {
    for (int i = 0; i < 2; ++i) {
      for (int j = 0; j < 3; ++j) memory[8 * i + 2 * j] = static_cast<float>(10 * i + j);
    }
    tensor.data = memory.data();
    tensor.device = {kDLCPU, 0};
    tensor.ndim = 2;
    tensor.dtype = {kDLFloat, 32, 1};
    tensor.shape = shape.data();
    tensor.strides = strides.data();
  }
  [[nodiscard]] View<float, 2> view() const { return {"op", "x", TensorView(&tensor)}; }
};

TEST(Rows, AreReadAndWrittenThroughTheirStrides) {
  Spread x;
  auto row = row_of(x.view(), 1);
  ASSERT_EQ(row.size(), 3);
  EXPECT_EQ(row(0), 10.0f);
  EXPECT_EQ(row(2), 12.0f);
  row = 5.0f;
  EXPECT_EQ(x.memory, (std::vector<float>{0, -1, 1, -1, 2, -1, -1, -1, 5, -1, 5, -1, 5, -1, -1, -1}));
}

TEST(Rows, RowsOfOneElementOrNoneIgnoreTheStride) {
  Spread x;
  x.shape[1] = 1;
  x.strides[1] = -7;
  EXPECT_EQ(row_of(x.view(), 1)(0), 10.0f);
  x.shape[1] = 0;
  EXPECT_EQ(row_of(x.view(), 1).size(), 0);
}

TEST(Rows, IndicesOutOfRangeAreRefused) {
  const Spread x;
  EXPECT_THROW((void)row_of(x.view(), 2), ::tvm::ffi::Error);
  EXPECT_THROW((void)row_of(x.view(), 0)(3), std::out_of_range);
  EXPECT_THROW((void)row_of(x.view(), 0).segment(1, 3).size(), std::out_of_range);
}

TEST(Rows, SumsAddOneTermAfterTheOther) {
  Eigen::ArrayXd terms = Eigen::ArrayXd::Constant(9, 0x1p-53);
  terms(0) = 1.0;
  EXPECT_EQ(sum_in_order(terms), 1.0);  // each addition of one small term is rounded away
  EXPECT_EQ(sum_in_order(terms.reverse()), 1.0 + 0x1p-50);
  EXPECT_EQ(sum_in_order(2.0 * terms.head(1)), 2.0);
  EXPECT_EQ(sum_in_order(terms.head(0)), 0.0);
}

TEST(Rows, TheGreatestMagnitudeIgnoresNan) {
  const auto signalling = std::bit_cast<float>(0x7f800001u);
  // Tries NaN at every place of the array. The array is long enough for vector instructions and a remainder that they
  // do not cover.
  for (const float nan : {std::nanf(""), -std::nanf(""), signalling}) {
    for (int place = 0; place < 11; ++place) {
      Eigen::ArrayXf values = Eigen::ArrayXf::Constant(11, -0.5f);
      values((place + 5) % 11) = -2.0f;
      values(place) = nan;
      EXPECT_EQ(greatest_magnitude(values), 2.0f) << place;
      values((place + 3) % 11) = -kInf;
      EXPECT_EQ(greatest_magnitude(values), kInf) << place;
    }
    EXPECT_EQ(greatest_magnitude(Eigen::ArrayXf::Constant(11, nan)), 0.0f);
  }
}

}  // namespace
}  // namespace dsv4::reference
