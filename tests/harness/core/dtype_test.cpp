#include "harness/core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <vector>

#include "harness/core/bits.h"
#include "harness/sets/ffi_types.h"

namespace dsv4 {
namespace {

std::vector<DType> all() {
  std::vector<DType> list;
  for (int i = 0; i <= static_cast<int>(DType::kE5M2); ++i) list.push_back(static_cast<DType>(i));
  return list;
}

template <class T>
std::string shown(DType dtype, T value) {
  return format_element(dtype, &value);
}

template <class T>
std::optional<std::int64_t> key(DType dtype, T value) {
  return order_key(dtype, &value);
}

TEST(DType, NamesAreUniqueAndFound) {
  std::set<std::string_view> names;
  for (const DType d : all()) {
    EXPECT_TRUE(names.insert(name_of(d)).second);
    EXPECT_EQ(dtype_from_name(name_of(d)), d);
    EXPECT_GE(size_of(d), 1);
  }
  EXPECT_EQ(names.size(), 15u);
  for (const char* wrong : {"", "F32", "f32 ", "float", "e4m3fn", "u128"})
    EXPECT_FALSE(dtype_from_name(wrong)) << wrong;
}

TEST(DType, DlpackRoundTrip) {
  for (const DType d : all()) EXPECT_EQ(from_dlpack(to_dlpack(d)), d) << name_of(d);
  EXPECT_ANY_THROW(from_dlpack({kDLFloat, 32, 2}));
  EXPECT_ANY_THROW(from_dlpack({kDLInt, 4, 1}));
  EXPECT_ANY_THROW(from_dlpack({kDLComplex, 64, 1}));
}

TEST(DType, ElementsPrintValueAndBits) {
  EXPECT_EQ(shown(DType::kF32, 1.5f), "1.5 (0x3fc00000)");
  EXPECT_EQ(shown(DType::kF32, -0.0f), "-0 (0x80000000)");
  EXPECT_EQ(shown(DType::kF32, std::numeric_limits<float>::quiet_NaN()), "nan (0x7fc00000)");
  EXPECT_EQ(shown(DType::kF32, 1.0f / 3), "0.333333343 (0x3eaaaaab)");
  EXPECT_EQ(shown<std::uint16_t>(DType::kBF16, 0x3f80), "1 (0x3f80)");
  EXPECT_EQ(shown<std::uint8_t>(DType::kE4M3, 0x7e), "448 (0x7e)");
  EXPECT_EQ(shown<std::int32_t>(DType::kI32, -1), "-1 (0xffffffff)");
  EXPECT_EQ(shown<std::int64_t>(DType::kI64, std::numeric_limits<std::int64_t>::min()),
            "-9223372036854775808 (0x8000000000000000)");
  EXPECT_EQ(shown<std::uint64_t>(DType::kU64, ~0ull), "18446744073709551615 (0xffffffffffffffff)");
  EXPECT_EQ(shown<std::int8_t>(DType::kI8, -128), "-128 (0x80)");
}

/// Expects that the order keys sort all codes except NaN by their values, with -0 directly below +0. The keys of
/// neighbouring codes must differ by one.
void expect_ordered(DType dtype) {
  const auto codes = 1u << (8 * size_of(dtype));
  std::vector<std::pair<std::int64_t, unsigned>> keys;
  for (unsigned code = 0; code < codes; ++code) {
    const auto k = order_key(dtype, &code);
    const double value = value_of(dtype, &code);
    EXPECT_EQ(k.has_value(), !std::isnan(value));
    if (k) keys.emplace_back(*k, code);
  }
  std::sort(keys.begin(), keys.end());
  for (std::size_t i = 1; i < keys.size(); ++i) {
    ASSERT_EQ(keys[i].first, keys[i - 1].first + 1);
    const double low = value_of(dtype, &keys[i - 1].second), high = value_of(dtype, &keys[i].second);
    ASSERT_TRUE(low < high || (low == 0 && high == 0 && std::signbit(low) && !std::signbit(high)));
  }
}

TEST(DType, OrderKeysOfSmallFormats) {
  for (const DType d : {DType::kE4M3, DType::kE5M2, DType::kF16, DType::kBF16}) expect_ordered(d);
}

TEST(DType, OrderKeysOfWideFormats) {
  EXPECT_EQ(*key(DType::kF32, std::nextafter(1.0f, 2.0f)) - *key(DType::kF32, 1.0f), 1);
  EXPECT_EQ(*key(DType::kF32, 0.0f) - *key(DType::kF32, -0.0f), 1);
  EXPECT_LT(*key(DType::kF32, -std::numeric_limits<float>::infinity()), *key(DType::kF32, -3.4e38f));
  EXPECT_EQ(*key(DType::kF64, std::nextafter(-1.0, 0.0)) - *key(DType::kF64, -1.0), 1);
  EXPECT_EQ(*key(DType::kF64, 0.0) - *key(DType::kF64, -0.0), 1);
  EXPECT_FALSE(key(DType::kF64, std::nan("")));
  EXPECT_FALSE(key(DType::kF32, -std::numeric_limits<float>::quiet_NaN()));
  EXPECT_LT(*key<std::int64_t>(DType::kI64, 1LL << 53), *key<std::int64_t>(DType::kI64, (1LL << 53) + 1));
  EXPECT_LT(*key<std::int32_t>(DType::kI32, -1), *key<std::int32_t>(DType::kI32, 0));
}

TEST(DType, OrderKeysOfUnsigned64KeepTheOrder) {
  // These numbers are at two limits: doubles do not hold every integer above 2^53, and signed 64-bit integers end
  // before 2^63.
  const std::uint64_t rising[] = {0, 1, (1ull << 53), (1ull << 53) + 1, (1ull << 63) - 1, 1ull << 63, ~0ull};
  for (std::size_t i = 1; i < std::size(rising); ++i) {
    EXPECT_LT(*key(DType::kU64, rising[i - 1]), *key(DType::kU64, rising[i])) << rising[i];
  }
}

}  // namespace
}  // namespace dsv4
