#include "reference/common/e2m1.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace dsv4::reference {
namespace {

int code(double x) { return to_e2m1_ties_to_zero(x); }

TEST(E2m1Format, EveryValueHasItsCode) {
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(code(kE2m1Magnitudes.at(static_cast<std::size_t>(i))), i);
    EXPECT_EQ(code(-kE2m1Magnitudes.at(static_cast<std::size_t>(i))), i == 0 ? 0 : 8 + i);
  }
}

TEST(E2m1Format, MidpointsGoTowardsZero) {
  constexpr std::array kMiddle{0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  for (int i = 0; i < 7; ++i) {
    const float middle = kMiddle.at(static_cast<std::size_t>(i));
    EXPECT_EQ(code(middle), i);
    EXPECT_EQ(code(std::nextafter(middle, 9.0f)), i + 1);
    EXPECT_EQ(code(std::nextafter(middle, 0.0f)), i);
    EXPECT_EQ(code(-middle), i == 0 ? 0 : 8 + i);
    EXPECT_EQ(code(-std::nextafter(middle, 9.0f)), 8 + i + 1);
  }
}

TEST(E2m1Format, SpecialValues) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(code(-0.0), 0);
  EXPECT_EQ(code(-0.1), 0);
  EXPECT_EQ(code(7.0), 7);
  EXPECT_EQ(code(-inf), 15);
  EXPECT_EQ(code(std::nan("")), 7);
  EXPECT_EQ(code(-std::nan("")), 7);
}

TEST(E2m1Format, ScaleBytes) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(e2m1_scale_byte(6.0f), 127);
  EXPECT_EQ(e2m1_scale_byte(std::nextafter(6.0f, 9.0f)), 128);
  EXPECT_EQ(e2m1_scale_byte(std::nextafter(6.0f, 0.0f)), 127);
  EXPECT_EQ(e2m1_scale_byte(3.0f), 126);
  EXPECT_EQ(e2m1_scale_byte(0.0f), 112);  // 1e-4 / 6 is between 2^-16 and 2^-15
  EXPECT_EQ(e2m1_scale_byte(1e-4f), 112);
  EXPECT_EQ(e2m1_scale_byte(6.0f * 0x1p-15f), 112);
  EXPECT_EQ(e2m1_scale_byte(std::nextafter(6.0f * 0x1p-15f, 1.0f)), 113);
  EXPECT_EQ(e2m1_scale_byte(inf), 255);
}

}  // namespace
}  // namespace dsv4::reference
