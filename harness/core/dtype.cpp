#include "harness/core/dtype.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "harness/core/bits.h"

namespace dsv4 {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  int size;
};

constexpr std::array<Row, 15> kTable{{{DType::kU8, "u8", 1},
                                      {DType::kI8, "i8", 1},
                                      {DType::kU16, "u16", 2},
                                      {DType::kI16, "i16", 2},
                                      {DType::kU32, "u32", 4},
                                      {DType::kI32, "i32", 4},
                                      {DType::kU64, "u64", 8},
                                      {DType::kI64, "i64", 8},
                                      {DType::kBool, "bool", 1},
                                      {DType::kF16, "f16", 2},
                                      {DType::kBF16, "bf16", 2},
                                      {DType::kF32, "f32", 4},
                                      {DType::kF64, "f64", 8},
                                      {DType::kE4M3, "e4m3", 1},
                                      {DType::kE5M2, "e5m2", 1}}};

template <class T>
T load(const void* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

}  // namespace

int size_of(DType dtype) { return kTable[static_cast<std::size_t>(dtype)].size; }

std::string_view name_of(DType dtype) { return kTable[static_cast<std::size_t>(dtype)].name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& row : kTable) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

bool is_floating(DType dtype) { return dtype >= DType::kF16; }

std::uint64_t bits_of(DType dtype, const void* bits) {
  std::uint64_t out = 0;
  std::memcpy(&out, bits, static_cast<std::size_t>(size_of(dtype)));
  return out;
}

double value_of(DType dtype, const void* bits) {
  switch (dtype) {
    case DType::kU8:
    case DType::kBool:
      return load<std::uint8_t>(bits);
    case DType::kI8:
      return load<std::int8_t>(bits);
    case DType::kU16:
      return load<std::uint16_t>(bits);
    case DType::kI16:
      return load<std::int16_t>(bits);
    case DType::kU32:
      return load<std::uint32_t>(bits);
    case DType::kI32:
      return load<std::int32_t>(bits);
    case DType::kU64:
      return static_cast<double>(load<std::uint64_t>(bits));
    case DType::kI64:
      return static_cast<double>(load<std::int64_t>(bits));
    case DType::kF16:
      return double_from_f16(load<std::uint16_t>(bits));
    case DType::kBF16:
      return float_from_bf16(load<std::uint16_t>(bits));
    case DType::kF32:
      return load<float>(bits);
    case DType::kF64:
      return load<double>(bits);
    case DType::kE4M3:
      return double_from_e4m3(load<std::uint8_t>(bits));
    case DType::kE5M2:
      return double_from_e5m2(load<std::uint8_t>(bits));
  }
  return 0.0;
}

std::string format_element(DType dtype, const void* bits) {
  const std::uint64_t raw = bits_of(dtype, bits);
  const int digits = 2 * size_of(dtype);
  if (is_floating(dtype)) return fmt::format("{:.9g} (0x{:0{}x})", value_of(dtype, bits), raw, digits);
  if (dtype == DType::kI64) return fmt::format("{} (0x{:016x})", load<std::int64_t>(bits), raw);
  if (dtype == DType::kU64) return fmt::format("{} (0x{:016x})", raw, raw);
  return fmt::format("{} (0x{:0{}x})", static_cast<std::int64_t>(value_of(dtype, bits)), raw, digits);
}

std::optional<std::int64_t> order_key(DType dtype, const void* bits) {
  if (!is_floating(dtype)) {
    if (dtype == DType::kI64) return load<std::int64_t>(bits);
    // Half of the values are too large for int64_t. Subtracting 2^63 keeps their order and distances.
    if (dtype == DType::kU64) return static_cast<std::int64_t>(load<std::uint64_t>(bits) ^ (std::uint64_t{1} << 63));
    return static_cast<std::int64_t>(value_of(dtype, bits));
  }
  if (std::isnan(value_of(dtype, bits))) return std::nullopt;
  const auto raw = static_cast<std::int64_t>(bits_of(dtype, bits));
  const int width = 8 * size_of(dtype);
  const std::int64_t magnitude = width == 64 ? raw & INT64_MAX : raw & ((std::int64_t{1} << (width - 1)) - 1);
  const bool negative = width == 64 ? raw < 0 : ((raw >> (width - 1)) & 1) != 0;
  return negative ? -magnitude - 1 : magnitude;
}

}  // namespace dsv4
