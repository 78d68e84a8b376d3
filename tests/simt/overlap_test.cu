// Tests of programmatic dependent launch. They check which values a kernel reads before and after its wait for the
// previous kernel, and which of its own writes are kept.
#include <algorithm>

#include "tests/simt/launching.h"

namespace simt_test {
namespace {

class Overlap : public SimtTest {
 protected:
  void TearDown() override {
    simt::no_predecessor();
    SimtTest::TearDown();
  }

  /// Adds a predecessor (a previous kernel) that has not yet written the present values of `data`. Until the kernel
  /// under test waits, the memory holds `earlier`.
  static void late(std::vector<int>& data, const std::vector<int>& earlier) {
    ASSERT_EQ(data.size(), earlier.size());
    simt::add_predecessor(data.data(), data.size() * sizeof(int), earlier.data());
  }
};

constexpr int kBlocks = 3;
constexpr int kThreads = 64;
constexpr int kAll = kBlocks * kThreads;

__device__ int self() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

__global__ void copy_around_the_wait(const int* in, int* early, int* late) {
  const int i = self();
  early[i] = in[i];
  simt::grid_dependency_wait();
  late[i] = in[i];
}

TEST_F(Overlap, WritesOfThePredecessorAreVisibleOnlyAfterTheWait) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> in(kAll, 7), early(kAll, -1), after(kAll, -1);
    late(in, std::vector<int>(kAll, 3));
    ASSERT_EQ(launch_dependent(kBlocks, kThreads, copy_around_the_wait, in.data(), early.data(), after.data()),
              cudaSuccess);
    EXPECT_EQ(early, std::vector<int>(kAll, 3)) << "seed " << seed;
    EXPECT_EQ(after, std::vector<int>(kAll, 7)) << "seed " << seed;
    EXPECT_EQ(in, std::vector<int>(kAll, 7)) << "seed " << seed;
    simt::no_predecessor();
  }
}

TEST_F(Overlap, ALaunchWithoutTheAttributeBeginsAfterAllWrites) {
  std::vector<int> in(kAll, 7), early(kAll, -1), after(kAll, -1);
  late(in, std::vector<int>(kAll, 3));
  ASSERT_EQ(launch(kBlocks, kThreads, copy_around_the_wait, in.data(), early.data(), after.data()), cudaSuccess);
  EXPECT_EQ(early, in);
  EXPECT_EQ(after, in);
}

TEST_F(Overlap, WithoutAPredecessorTheAttributeChangesNothing) {
  std::vector<int> in(kAll, 7), early(kAll, -1), after(kAll, -1);
  late(in, std::vector<int>(kAll, 3));
  simt::no_predecessor();
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, copy_around_the_wait, in.data(), early.data(), after.data()),
            cudaSuccess);
  EXPECT_EQ(early, in);
}

/// Only the first thread waits for the predecessor, on behalf of its block. Some kernels do this.
__global__ void wait_in_one_thread(const int* in, int* out) {
  if (threadIdx.x == 0) simt::grid_dependency_wait();
  __syncthreads();
  out[self()] = in[self()];
}

TEST_F(Overlap, OneThreadMayWaitForTheBlock) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> in(kAll, 7), out(kAll, -1);
    late(in, std::vector<int>(kAll, 3));
    ASSERT_EQ(launch_dependent(kBlocks, kThreads, wait_in_one_thread, in.data(), out.data()), cudaSuccess);
    EXPECT_EQ(out, in) << "seed " << seed;
    simt::no_predecessor();
  }
}

__global__ void write_around_the_wait(int* out) {
  const int i = self();
  if (i % 2 == 0) out[i] = 100;
  simt::grid_dependency_wait();
  if (i % 4 == 1) out[i] = 200;
}

TEST_F(Overlap, ThePredecessorOverwritesWritesBeforeTheWait) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(kAll, 7);
    late(out, std::vector<int>(kAll, 3));
    ASSERT_EQ(launch_dependent(kBlocks, kThreads, write_around_the_wait, out.data()), cudaSuccess);
    for (int i = 0; i < kAll; ++i) {
      ASSERT_EQ(out[static_cast<std::size_t>(i)], i % 4 == 1 ? 200 : 7) << "seed " << seed << " at " << i;
    }
    simt::no_predecessor();
  }
}

__global__ void increase_first_half(int* data) {
  simt::grid_dependency_wait();
  const int i = self();
  if (i < kAll / 2) data[i] += 1;
}

__global__ void touch_before_waiting(int* data, int* seen) {
  const int i = self();
  seen[i] = data[i];
  data[i] = 50;
  simt::grid_dependency_wait();
}

TEST_F(Overlap, ALaunchIsThePredecessorOfTheNext) {
  std::vector<int> data(kAll, 7), seen(kAll, -1);
  late(data, std::vector<int>(kAll, 3));
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, increase_first_half, data.data()), cudaSuccess);
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, touch_before_waiting, data.data(), seen.data()), cudaSuccess);
  EXPECT_EQ(seen, std::vector<int>(kAll, 7));  // the second launch reads before the first one has changed anything
  for (int i = 0; i < kAll; ++i) {
    // The first launch writes only the first half. There it overwrites what the second launch wrote before its wait.
    ASSERT_EQ(data[static_cast<std::size_t>(i)], i < kAll / 2 ? 8 : 50) << i;
  }
}

__global__ void never_wait(const int* in, int* out) {
  const int i = self();
  if (i % 2 == 0) out[i] = in[i];
}

TEST_F(Overlap, AKernelThatNeverWaitsReadsEarlierValuesAndLosesItsWrites) {
  std::vector<int> in(kAll, 7), out(kAll, -1), late_out(kAll, -1);
  late(in, std::vector<int>(kAll, 3));
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, never_wait, in.data(), out.data()), cudaSuccess);
  for (int i = 0; i < kAll; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], i % 2 == 0 ? 3 : -1) << i;
  EXPECT_EQ(in, std::vector<int>(kAll, 7));
  simt::no_predecessor();
  late(late_out, std::vector<int>(kAll, 5));
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, never_wait, in.data(), late_out.data()), cudaSuccess);
  EXPECT_EQ(late_out, std::vector<int>(kAll, -1));
}

/// All threads except the first spin until the first thread has waited.
__global__ void spin_for_the_waiter(int* flag, const int* in, int* out) {
  if (threadIdx.x == 0) {
    simt::grid_dependency_wait();
    atomicExch(flag, 1);
  } else {
    while (atomicAdd(flag, 0) == 0) {
    }
  }
  out[threadIdx.x] = in[threadIdx.x];
}

TEST_F(Overlap, ThreadsMaySpinUntilAnotherThreadHasWaited) {
  int flag = 0;
  std::vector<int> in(kThreads, 7), out(kThreads, -1);
  late(in, std::vector<int>(kThreads, 3));
  ASSERT_EQ(launch_dependent(1, kThreads, spin_for_the_waiter, &flag, in.data(), out.data()), cudaSuccess);
  EXPECT_EQ(out, in);
}

__global__ void fail_before_waiting(int* data) {
  data[self()] = 9;
  if (threadIdx.x == 5) __trap();
  simt::grid_dependency_wait();
}

TEST_F(Overlap, AFailedLaunchKeepsTheWritesOfThePredecessor) {
  std::vector<int> data(kThreads, 7);
  late(data, std::vector<int>(kThreads, 3));
  ASSERT_EQ(launch_dependent(1, kThreads, fail_before_waiting, data.data()), cudaErrorLaunchFailure);
  EXPECT_EQ(std::count(data.begin(), data.end(), 3), 0);
  (void)cudaGetLastError();
  std::vector<int> in(kAll, 1), early(kAll, -1), after(kAll, -1);
  ASSERT_EQ(launch_dependent(kBlocks, kThreads, copy_around_the_wait, in.data(), early.data(), after.data()),
            cudaSuccess);
  EXPECT_EQ(after, in);
}

__global__ void wait_and_diverge(int) {
  simt::grid_dependency_wait();
  if (threadIdx.x < 32) __syncthreads();
  if (threadIdx.x >= 32) (void)__shfl_sync(0xFFFFFFFFu, 1, 0);
  if (threadIdx.x >= 32) simt::grid_dependency_wait();
  if (threadIdx.x == 40) __trap();
}

TEST_F(Overlap, FailuresAfterTheWaitAreReported) {
  std::vector<int> data(4, 7);
  late(data, std::vector<int>(4, 3));
  ASSERT_EQ(launch_dependent(1, 64, wait_and_diverge, 0), cudaErrorLaunchFailure);
  EXPECT_NE(failure().find("thread (40,0,0): executed __trap()"), std::string::npos);
}

}  // namespace
}  // namespace simt_test
