#include "harness/sets/ffi_types.h"

#include <fmt/format.h>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

std::uint8_t code_of(DType dtype) {
  switch (dtype) {
    case DType::kU8:
    case DType::kU16:
    case DType::kU32:
    case DType::kU64:
      return kDLUInt;
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
      return kDLInt;
    case DType::kBool:
      return kDLBool;
    case DType::kF16:
    case DType::kF32:
    case DType::kF64:
      return kDLFloat;
    case DType::kBF16:
      return kDLBfloat;
    case DType::kE4M3:
      return kDLFloat8_e4m3fn;
    case DType::kE5M2:
      return kDLFloat8_e5m2;
  }
  return kDLOpaqueHandle;
}

}  // namespace

DLDataType to_dlpack(DType dtype) { return {code_of(dtype), static_cast<std::uint8_t>(8 * size_of(dtype)), 1}; }

DType from_dlpack(DLDataType dtype) {
  for (int i = 0; i <= static_cast<int>(DType::kE5M2); ++i) {
    const auto candidate = static_cast<DType>(i);
    const DLDataType d = to_dlpack(candidate);
    if (d.code == dtype.code && d.bits == dtype.bits && dtype.lanes == 1) return candidate;
  }
  throw Error(
      fmt::format("no op uses DLPack type code {} with {} bits and {} lanes", dtype.code, dtype.bits, dtype.lanes));
}

}  // namespace dsv4
