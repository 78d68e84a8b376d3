// Tests of the watch on triggers. They check which writes come after a kernel has let the stream's next kernel begin,
// and which of them the next kernel may miss.
#include <numeric>

#include "simt/fault.h"
#include "simt/scheduler.h"
#include "tests/simt/launching.h"

namespace simt_test {
namespace {

constexpr int kBlocks = 3;
constexpr int kThreads = 64;
constexpr int kAll = kBlocks * kThreads;

class Trigger : public SimtTest {
 protected:
  void TearDown() override {
    simt::no_watch();
    SimtTest::TearDown();
  }

  static void watch(std::vector<int>& data) { simt::watch(data.data(), data.size() * sizeof(int)); }
  static const auto& late_writes() { return simt::scheduler().watch.late_writes(); }

  /// The elements of watched data of which some byte is late.
  static std::vector<int> late_elements(const std::vector<int>& data) {
    const std::vector<unsigned char>* bytes = simt::scheduler().watch.late_bytes(data.data());
    std::vector<int> late;
    for (std::size_t i = 0; bytes != nullptr && i < bytes->size(); ++i) {
      const int element = static_cast<int>(i / sizeof(int));
      if ((*bytes)[i] != 0 && (late.empty() || late.back() != element)) late.push_back(element);
    }
    return late;
  }
};

__device__ int self() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

std::vector<int> numbers(int from, int to) {
  std::vector<int> list(static_cast<std::size_t>(to - from));
  std::iota(list.begin(), list.end(), from);
  return list;
}

/// Even threads write before the trigger, odd threads after it.
__global__ void write_around_the_trigger(int* out) {
  cudaGridDependencySynchronize();
  const int i = self();
  if (i % 2 == 0) out[i] = i;
  __syncthreads();
  cudaTriggerProgrammaticLaunchCompletion();
  if (i % 2 != 0) out[i] = i;
}

TEST_F(Trigger, WritesAfterTheTriggerAreLate) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(kAll, -1), other(4, 0);
    watch(out);
    watch(other);
    ASSERT_EQ(launch_dependent(kBlocks, kThreads, write_around_the_trigger, out.data()), cudaSuccess);
    std::vector<int> odd;
    for (int i = 1; i < kAll; i += 2) odd.push_back(i);
    EXPECT_EQ(late_elements(out), odd) << "seed " << seed;
    EXPECT_TRUE(late_elements(other).empty());
    ASSERT_EQ(late_writes().size(), 1u);
    EXPECT_NE(simt::kernel_name(late_writes()[0].kernel).find("write_around_the_trigger"), std::string::npos);
    EXPECT_EQ(late_writes()[0].address, reinterpret_cast<unsigned char*>(out.data()));
    EXPECT_EQ(late_writes()[0].bytes, kAll / 2 * sizeof(int));
    EXPECT_EQ(late_writes()[0].first % 8, 4u);
    simt::no_watch();
    EXPECT_TRUE(late_writes().empty());
  }
}

__global__ void write_then_trigger(int* out) {
  out[self()] = self();
  __syncthreads();
  simt::grid_dependency_launch();
}

__global__ void write_only(int* out) { out[self()] = self() + 1; }

TEST_F(Trigger, WritesBeforeTheTriggerAreNotLate) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(kAll, -1);
    watch(out);
    ASSERT_EQ(launch(kBlocks, kThreads, write_then_trigger, out.data()), cudaSuccess);
    ASSERT_EQ(launch(kBlocks, kThreads, write_only, out.data()), cudaSuccess);
    EXPECT_TRUE(late_writes().empty()) << "seed " << seed;
    EXPECT_TRUE(late_elements(out).empty());
    simt::no_watch();
  }
}

/// Each thread writes before its own trigger. But the first trigger counts for the whole block.
__global__ void trigger_without_barrier(int* out) {
  out[self()] = self();
  simt::grid_dependency_launch();
}

TEST_F(Trigger, TheFirstTriggerCountsForTheBlock) {
  std::vector<int> out(kThreads, -1);
  watch(out);
  ASSERT_EQ(launch(1, kThreads, trigger_without_barrier, out.data()), cudaSuccess);
  EXPECT_EQ(late_elements(out), numbers(1, kThreads));
}

/// Only the first block triggers. The others let the next kernel begin when they end.
__global__ void trigger_in_first_block(int* out) {
  if (blockIdx.x == 0) simt::grid_dependency_launch();
  out[self()] = self();
}

TEST_F(Trigger, ABlockThatDoesNotTriggerIsNeverLate) {
  std::vector<int> out(kAll, -1);
  watch(out);
  ASSERT_EQ(launch(kBlocks, kThreads, trigger_in_first_block, out.data()), cudaSuccess);
  EXPECT_EQ(late_elements(out), numbers(0, kThreads));
}

__global__ void wait_then_trigger(int*) {
  simt::grid_dependency_wait();
  simt::grid_dependency_launch();
}

__global__ void trigger_then_wait(int*) {
  simt::grid_dependency_launch();
  simt::grid_dependency_wait();
}

TEST_F(Trigger, ALaunchThatWaitedFirstHasEndedItsPredecessor) {
  std::vector<int> out(kAll, -1);
  watch(out);
  ASSERT_EQ(launch(kBlocks, kThreads, trigger_in_first_block, out.data()), cudaSuccess);
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, wait_then_trigger, out.data()), cudaSuccess);
  EXPECT_TRUE(late_elements(out).empty());
  EXPECT_EQ(late_writes().size(), 1u);  // the record of the first launch stays
}

TEST_F(Trigger, ALaunchThatTriggersBeforeItWaitsLetsTheNextOverlapItsPredecessor) {
  std::vector<int> out(kAll, -1);
  watch(out);
  ASSERT_EQ(launch(kBlocks, kThreads, trigger_in_first_block, out.data()), cudaSuccess);
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, trigger_then_wait, out.data()), cudaSuccess);
  EXPECT_EQ(late_elements(out), numbers(0, kThreads));
  ASSERT_EQ(launch(kBlocks, kThreads, trigger_then_wait, out.data()), cudaSuccess);  // begins after all earlier work
  EXPECT_TRUE(late_elements(out).empty());
}

TEST_F(Trigger, ACopyOfTheStreamEndsItsKernels) {
  std::vector<int> out(kAll, -1);
  watch(out);
  ASSERT_EQ(launch(kBlocks, kThreads, trigger_in_first_block, out.data()), cudaSuccess);
  int value = 0;
  ASSERT_EQ(cudaMemcpyAsync(&value, out.data(), sizeof value, cudaMemcpyDeviceToHost, nullptr), cudaSuccess);
  EXPECT_TRUE(late_elements(out).empty());
}

TEST_F(Trigger, WithoutWatchedMemoryNothingIsRecorded) {
  std::vector<int> out(kAll, -1);
  ASSERT_EQ(launch(kBlocks, kThreads, trigger_in_first_block, out.data()), cudaSuccess);
  EXPECT_TRUE(late_writes().empty());
  EXPECT_EQ(simt::scheduler().watch.late_bytes(out.data()), nullptr);
}

}  // namespace
}  // namespace simt_test
