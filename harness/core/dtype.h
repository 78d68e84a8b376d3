/// The element types that tensors can have when a call passes them across the ABI, and how elements are printed
/// and compared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dsv4 {

enum class DType : std::uint8_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kBool,
  kF16,
  kBF16,
  kF32,
  kF64,
  kE4M3,
  kE5M2
};

/// Size of one element in bytes.
int size_of(DType dtype);

/// Short name as case ids, manifests and reports write it: "f32", "bf16", "e4m3", "i64", ...
std::string_view name_of(DType dtype);

/// The inverse of name_of; nullopt for an unknown name.
std::optional<DType> dtype_from_name(std::string_view name);

/// True for kF16, kBF16, kF32, kF64, kE4M3 and kE5M2.
bool is_floating(DType dtype);

/// The value of the element at `bits` (size_of(dtype) bytes, little endian) as a double; 64-bit integers are rounded.
double value_of(DType dtype, const void* bits);

/// The element's bits, zero-extended.
std::uint64_t bits_of(DType dtype, const void* bits);

/// "0.3333 (0x3eaaaaab)": value and bits, as reports print an element.
std::string format_element(DType dtype, const void* bits);

/// Position of an element in the total order of its dtype. Negative zero comes just before positive zero. The
/// difference of two positions is a distance in units of the last place. The result is nullopt for NaN, which does not
/// have a position.
std::optional<std::int64_t> order_key(DType dtype, const void* bits);

}  // namespace dsv4
