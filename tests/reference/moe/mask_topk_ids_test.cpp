#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

/// Masks 4 rows of 3 ids. The rows are 5 elements apart. Returns the whole storage, including the gaps.
std::vector<std::int32_t> masked(HostTensor count) {
  HostTensor ids = HostTensor::strided(DType::kI32, {4, 3}, {5, 1}, 0, 20);
  for (int i = 0; i < 20; ++i) *reinterpret_cast<std::int32_t*>(ids.storage.data() + 4 * i) = i;
  call_reference("mask_topk_ids", "run", {&ids, &count});
  std::vector<std::int32_t> all(20);
  std::memcpy(all.data(), ids.storage.data(), 80);
  return all;
}

std::vector<std::int32_t> expected(int first_masked) {
  std::vector<std::int32_t> all(20);
  for (int i = 0; i < 20; ++i) all[i] = i / 5 >= first_masked && i % 5 < 3 ? -1 : i;
  return all;
}

HostTensor i32(std::int32_t value) { return HostTensor::of<std::int32_t>(DType::kI32, {value}); }
HostTensor i64(std::int64_t value) { return HostTensor::of<std::int64_t>(DType::kI64, {value}); }

TEST(MaskTopkIdsReference, MasksRowsAtAndPastTheCountAndNothingElse) {
  for (int real = 0; real <= 5; ++real) {
    EXPECT_EQ(masked(i32(real)), expected(real)) << real;
    EXPECT_EQ(masked(i64(real)), expected(real)) << real;
  }
}

TEST(MaskTopkIdsReference, ANegativeCountIsReadAsALargeUnsignedOne) {
  EXPECT_EQ(masked(i32(-1)), expected(4));
  EXPECT_EQ(masked(i64(-1)), expected(4));
}

TEST(MaskTopkIdsReference, A64BitCountIsCutToItsLow32Bits) { EXPECT_EQ(masked(i64((1LL << 32) + 2)), expected(2)); }

TEST(MaskTopkIdsReference, RefusesWrongArguments) {
  HostTensor ids = HostTensor::make(DType::kI32, {2, 3});
  HostTensor two = HostTensor::make(DType::kI32, {2}), real = HostTensor::make(DType::kF32, {1});
  EXPECT_THAT(refusal("mask_topk_ids", "run", {&ids, &two}), HasSubstr("'num_token_non_padded': expected one element"));
  EXPECT_THAT(refusal("mask_topk_ids", "run", {&ids, &real}), HasSubstr("expected int32 or int64, got float32"));
}

}  // namespace
}  // namespace dsv4::testing
