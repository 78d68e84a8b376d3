#include "harness/core/npy.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>

#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {

std::string npy_dtype(DType dtype) {
  switch (dtype) {
    case DType::kBool:
      return "|b1";
    case DType::kI8:
      return "|i1";
    case DType::kU8:
    case DType::kE4M3:
    case DType::kE5M2:
      return "|u1";
    case DType::kBF16:
    case DType::kU16:
      return "<u2";
    case DType::kI16:
      return "<i2";
    case DType::kF16:
      return "<f2";
    case DType::kI32:
      return "<i4";
    case DType::kU32:
      return "<u4";
    case DType::kF32:
      return "<f4";
    case DType::kI64:
      return "<i8";
    case DType::kU64:
      return "<u8";
    case DType::kF64:
      return "<f8";
  }
  return "|u1";
}

void write_npy(const std::string& path, const HostTensor& tensor) {
  const HostTensor packed = tensor.packed();
  std::string shape;
  for (const std::int64_t n : packed.shape) shape += fmt::format("{}, ", n);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", npy_dtype(packed.dtype), shape);
  // The data must begin at a multiple of 64 bytes. The ten bytes before the header are the magic word, the version and
  // the header's length.
  constexpr std::size_t kBefore = 10, kAlignment = 64;
  header.append(kAlignment - 1 - (kBefore + header.size()) % kAlignment, ' ');
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(header.size() & 0xff)).put(static_cast<char>(header.size() >> 8));
  file << header;
  file.write(reinterpret_cast<const char*>(packed.storage.data()),
             static_cast<std::streamsize>(packed.numel() * size_of(packed.dtype)));
  file.close();
  if (!file) throw Error(fmt::format("{}: cannot be written: {}", shortened(path), describe_errno(errno)));
}

}  // namespace dsv4
