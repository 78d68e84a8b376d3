#include "harness/run/set_code.h"

#include <gtest/gtest.h>

namespace dsv4 {
namespace {

TEST(SetCode, VersionsAreComparedNumberByNumber) {
  EXPECT_TRUE(in_range("0.5.12", "0.5.12", ""));
  EXPECT_TRUE(in_range("0.5.13", "0.5.12", ""));
  EXPECT_FALSE(in_range("0.5.9", "0.5.12", "")) << "9 is below 12";
  EXPECT_TRUE(in_range("0.6", "0.5.12", ""));
  EXPECT_TRUE(in_range("0.5.12.post1", "0.5.12", "0.5.13"));
  EXPECT_TRUE(in_range("0.5.12.0", "0.5.12", "0.5.13"));
  EXPECT_TRUE(in_range("0.5.12+cu130", "0.5.12", "0.5.13"));
  EXPECT_FALSE(in_range("0.5.11.post9", "0.5.12", ""));
  EXPECT_TRUE(in_range("1.0", "0.5.12", ""));
  EXPECT_FALSE(in_range("", "0.5.12", ""));
}

TEST(SetCode, TheReleaseWithTheFixIsOutside) {
  EXPECT_TRUE(in_range("0.5.22", "0.5.12", "0.5.23"));
  EXPECT_FALSE(in_range("0.5.23", "0.5.12", "0.5.23"));
  EXPECT_FALSE(in_range("0.5.23.post1", "0.5.12", "0.5.23"));
  EXPECT_FALSE(in_range("0.10.0", "0.5.12", "0.5.23"));
}

TEST(SetCode, AVersionHasNumbersAndDots) {
  EXPECT_TRUE(is_version("0.5.13"));
  EXPECT_TRUE(is_version("0.5.13rc1"));
  EXPECT_FALSE(is_version(""));
  EXPECT_FALSE(is_version("main"));
  EXPECT_FALSE(is_version("13"));
  EXPECT_FALSE(is_version("v0.5.13"));
}

}  // namespace
}  // namespace dsv4
