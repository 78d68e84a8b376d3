#include "harness/op/records.h"

#include <gtest/gtest.h>

#include <array>

namespace dsv4 {
namespace {

struct Record {
  std::uint16_t a;
  std::uint16_t b;
  bool operator==(const Record&) const = default;
};

TEST(Records, ComeBackFromATensor) {
  const std::vector<Record> records{{1, 2}, {3, 4}, {5, 6}};
  const HostTensor t = tensor_of_rows(DType::kU8, records);
  EXPECT_EQ(t.shape, (Shape{3, 4}));
  EXPECT_EQ(records_of<Record>(t), records);
  HostTensor gaps = HostTensor::with_gaps(DType::kU8, {3, 4}, 2);
  for (std::int64_t i = 0; i < t.numel(); ++i) *gaps.element(i) = *t.element(i);
  EXPECT_EQ(records_of<Record>(gaps), records);
  EXPECT_TRUE(records_of<Record>(tensor_of_rows(DType::kU8, std::vector<Record>{})).empty());
}

TEST(Records, OfAnotherFormAreAFinding) {
  Observation o;
  EXPECT_EQ(records_of<Record>(HostTensor::make(DType::kU8, {2, 4}), "plan", o).size(), 2u);
  EXPECT_TRUE(o.findings.empty());
  for (const HostTensor& t : {HostTensor::make(DType::kU8, {2, 8}), HostTensor::make(DType::kU8, {4}),
                              HostTensor::make(DType::kI32, {2, 4}), returned_tensor({}, 0)}) {
    o.findings.clear();
    EXPECT_TRUE(records_of<Record>(t, "plan", o).empty());
    ASSERT_EQ(o.findings.size(), 1u);
    EXPECT_EQ(o.findings[0].check, "form");
  }
}

TEST(Records, RowsMayBeArraysOfAnyType) {
  const HostTensor t = tensor_of_rows(DType::kI32, std::vector<std::array<std::int32_t, 2>>{{1, 2}, {3, 4}});
  EXPECT_EQ(t.shape, (Shape{2, 2}));
  EXPECT_EQ(t.at<std::int32_t>(1, 0), 3);
}

TEST(Values, AreReadFromCallsAndResults) {
  const Call call{"op", "", {}, {in("ids", numbers({4, 5})), scalar("n", std::int64_t{7}), scalar("f", true)}};
  EXPECT_EQ(numbers_of(call, "ids"), (std::vector<std::int64_t>{4, 5}));
  EXPECT_EQ(integer_of(call, "n"), 7);
  EXPECT_TRUE(flag_of(call, "f"));
  EXPECT_TRUE(has_argument(call, "n"));
  EXPECT_FALSE(has_argument(call, "m"));
  CallResult result;
  result.returned = {numbers({1, 2, 3}), std::int64_t{9}};
  EXPECT_EQ(returned_tensor(result, 0).numel(), 3);
  EXPECT_EQ(returned_tensor(result, 1).numel(), 0);
  EXPECT_EQ(returned_integer(result, 1), 9);
  EXPECT_EQ(returned_integer(result, 0), std::nullopt);
}

}  // namespace
}  // namespace dsv4
