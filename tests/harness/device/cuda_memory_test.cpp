/// Tests of GPU memory. On a machine without a GPU, the error must say what is missing. On a machine with a GPU, its
/// memory must be guarded like host memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/core/error.h"
#include "harness/device/far_block.h"
#include "harness/device/memory.h"
#include "harness/sets/set.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(CudaMemory, WithoutAGpuTheErrorSaysWhatToDo) {
  if (device_available(DeviceKind::kCuda)) GTEST_SKIP() << "this machine has a GPU";
  try {
    (void)make_cuda_memory();
    FAIL() << "make_cuda_memory() must throw on a machine without a GPU";
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("no usable CUDA device"), HasSubstr("--set host")));
  }
}

class CudaMemoryOnAGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!device_available(DeviceKind::kCuda)) GTEST_SKIP() << "this machine has no GPU";
    memory_ = make_cuda_memory();
  }
  std::unique_ptr<DeviceMemory> memory_;
};

TEST_F(CudaMemoryOnAGpu, ReadsBackWhatWasWritten) {
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{1} << 20}) {
    GuardedBlock block(*memory_, bytes, 2);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.payload()) % 256, 0u);
    std::vector<std::uint8_t> image(bytes);
    for (std::size_t i = 0; i < bytes; ++i) image[i] = static_cast<std::uint8_t>(i * 7);
    block.write(image);
    memory_->synchronize();
    EXPECT_EQ(block.read(), image);
    std::vector<Finding> findings;
    block.check("x", findings);
    EXPECT_THAT(findings, IsEmpty());
  }
}

TEST_F(CudaMemoryOnAGpu, AChangedByteBesideABlockIsFound) {
  for (const std::ptrdiff_t offset : {std::ptrdiff_t{-4096}, std::ptrdiff_t{-1}, std::ptrdiff_t{100}}) {
    GuardedBlock block(*memory_, 100, 3);
    const std::uint8_t wrong = 0;
    memory_->upload(static_cast<std::uint8_t*>(block.payload()) + offset, &wrong, 1);
    std::vector<Finding> findings;
    block.check("x", findings);
    ASSERT_EQ(findings.size(), 1u) << offset;
    EXPECT_EQ(findings[0].check, "guard");
  }
}

TEST_F(CudaMemoryOnAGpu, AFarTensorIsWrittenReadBackAndGuarded) {
  HostTensor t = HostTensor::make(DType::kBF16, {2, 50});
  for (std::size_t i = 0; i < t.storage.size(); ++i) t.storage[i] = static_cast<std::uint8_t>(i * 7);
  const std::int64_t stride = std::int64_t{1} << 31;
  FarBlock block(*memory_, "x", t, {{2, 50}, {stride, 1}, {0, 1}}, 3);  // the two rows are 4 GiB apart
  block.write(t.storage);
  EXPECT_EQ(block.read(), t.storage);
  std::vector<Finding> findings;
  block.check("x", findings);
  EXPECT_THAT(findings, IsEmpty());
  const std::uint8_t wrong = 0;
  memory_->upload(static_cast<std::uint8_t*>(block.payload()) + stride * 2 - 1, &wrong, 1);
  block.check("x", findings);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_THAT(findings[0].detail, HasSubstr("offset 4294967295 from its first element"));
}

TEST_F(CudaMemoryOnAGpu, TooMuchMemoryIsUnavailableAndLeavesNoError) {
  const HostTensor t = HostTensor::make(DType::kF32, {2, 4});
  const FarLayout petabyte{{2, 4}, {std::int64_t{1} << 48, 1}, {0, 1}};
  EXPECT_THROW(FarBlock(*memory_, "x", t, petabyte, 0), Unavailable);
  memory_->synchronize();
  EXPECT_EQ(memory_->take_error(), "");
}

TEST_F(CudaMemoryOnAGpu, ItHasItsOwnStreamAndNoPendingError) {
  memory_->synchronize();
  EXPECT_EQ(memory_->take_error(), "");
  EXPECT_NE(memory_->stream(), nullptr);
}

}  // namespace
}  // namespace dsv4
