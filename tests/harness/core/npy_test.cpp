#include "harness/core/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

std::string written(const HostTensor& tensor) {
  const std::string path =
      (std::filesystem::path(::testing::TempDir()) / ("npy" + std::to_string(::getpid()))).string();
  write_npy(path, tensor);
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  std::filesystem::remove(path);
  return bytes;
}

// The expected bytes follow the description of format 1.0 in numpy's documentation (numpy.lib.format).
TEST(Npy, WritesTheHeaderAndTheElementsWithoutGaps) {
  HostTensor t = HostTensor::with_gaps(DType::kI16, {2, 3}, 4);
  for (std::int64_t i = 0; i < 6; ++i) t.set<std::int16_t>(i, static_cast<std::int16_t>(0x0100 + i));
  const std::string bytes = written(t);
  ASSERT_EQ(bytes.size(), 128u + 12u);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(bytes.substr(8, 2), std::string("\x76\x00", 2)) << "128 - 10 bytes of header";
  EXPECT_EQ(bytes.substr(10, 61), "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3, ), }");
  EXPECT_EQ(bytes[127], '\n');
  EXPECT_EQ(bytes.substr(128), std::string("\0\1\1\1\2\1\3\1\4\1\5\1", 12));
}

TEST(Npy, EmptyTensorsAndScalars) {
  EXPECT_EQ(written(HostTensor::make(DType::kF32, {0, 5})).size() % 64, 0u);
  EXPECT_NE(written(HostTensor::make(DType::kF64, {})).find("'shape': ()"), std::string::npos);
}

TEST(Npy, DtypesThatNumpyLacksAreWrittenAsBits) {
  EXPECT_EQ(npy_dtype(DType::kBF16), "<u2");
  EXPECT_EQ(npy_dtype(DType::kE4M3), "|u1");
  EXPECT_EQ(npy_dtype(DType::kE5M2), "|u1");
  EXPECT_EQ(npy_dtype(DType::kF16), "<f2");
}

TEST(Npy, AFileThatCannotBeWrittenIsAnError) {
  EXPECT_THROW(write_npy("/nowhere/x.npy", HostTensor::make(DType::kU8, {1})), Error);
  EXPECT_THROW(write_npy("/dev/full", HostTensor::make(DType::kU8, {100000})), Error);
}

}  // namespace
}  // namespace dsv4
