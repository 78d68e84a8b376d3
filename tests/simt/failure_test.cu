// Tests of launches that must be refused, or must end with an error instead of a hang or a wrong result.
#undef NDEBUG  // one test needs assert()
#include <cassert>

#include "simt/dynamic_shared.h"
#include "tests/simt/launching.h"

namespace simt_test {
namespace {

using Failure = SimtTest;

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is missing in: " << text;
}

__global__ void count_threads(int* out) { atomicAdd(out, 1); }

TEST_F(Failure, InvalidConfigurationsAreRefused) {
  int ran = 0;
  for (const dim3& grid : {dim3(0), dim3(1, 0), dim3(1, 1, 0), dim3(1, 65536), dim3(1, 1, 65536), dim3(0x80000000u)}) {
    EXPECT_EQ(launch(grid, 32, count_threads, &ran), cudaErrorInvalidConfiguration);
  }
  for (const dim3& block : {dim3(0), dim3(1025), dim3(32, 33), dim3(1, 1, 65), dim3(1, 0)}) {
    EXPECT_EQ(launch(1, block, count_threads, &ran), cudaErrorInvalidConfiguration);
  }
  EXPECT_STREQ(cudaGetErrorString(cudaPeekAtLastError()), "invalid configuration argument");
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(launch(1, dim3(4, 4, 64), count_threads, &ran), cudaSuccess);
  EXPECT_EQ(ran, 1024);
}

TEST_F(Failure, DynamicSharedMemoryNeedsTheAttributeAbove48KiB) {
  int ran = 0;
  EXPECT_EQ(launch_with_shared(48 * 1024, 1, 1, count_threads, &ran), cudaSuccess);
  EXPECT_EQ(launch_with_shared(48 * 1024 + 1, 1, 1, count_threads, &ran), cudaErrorInvalidValue);
  const auto attribute = cudaFuncAttributeMaxDynamicSharedMemorySize;
  EXPECT_EQ(cudaFuncSetAttribute(count_threads, attribute, 227 * 1024 + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(count_threads, attribute, 100 * 1024), cudaSuccess);
  EXPECT_EQ(launch_with_shared(100 * 1024, 1, 1, count_threads, &ran), cudaSuccess);
  EXPECT_EQ(launch_with_shared(100 * 1024 + 1, 1, 1, count_threads, &ran), cudaErrorInvalidValue);
  EXPECT_EQ(ran, 2);
}

__global__ void divergent_barrier() {
  if (threadIdx.x % 2 == 0) __syncthreads();
  if (threadIdx.x % 2 == 1) __shfl_sync(0xFFFFFFFFu, 1, 0);
  __syncthreads();
}

TEST_F(Failure, ABarrierAndAShuffleThatBlockEachOtherAreReported) {
  for (const auto seed : seeds(6)) {
    simt::configure(seed);
    ASSERT_EQ(launch(dim3(3, 2), 64, divergent_barrier), cudaErrorLaunchFailure);
    const std::string text = failure();
    expect_contains(text, "kernel simt_test::divergent_barrier()");
    expect_contains(text, "block (");
    expect_contains(text, "no thread can go on: 32 threads wait in __syncthreads (first: thread (0,0,0))");
    expect_contains(text, "16 threads wait in __shfl_sync with mask 0xffffffff of warp 0 (first: thread (1,0,0))");
    expect_contains(text, "0 of 64 threads have ended");
  }
}

__global__ void two_kinds_of_barrier() {
  if (threadIdx.x == 0) {
    __syncthreads();
  } else {
    __syncthreads_or(1);
  }
}
__global__ void mask_without_self() { __shfl_sync(0x2u, 1, 1); }
__global__ void two_collectives() {
  if (threadIdx.x < 5) {
    __ballot_sync(0xFFFFFFFFu, 1);
  } else {
    __shfl_sync(0xFFFFFFFFu, 1, 1);
  }
}
__global__ void two_votes() {
  if (threadIdx.x < 5) {
    __any_sync(0xFFFFFFFFu, 1);
  } else {
    __ballot_sync(0xFFFFFFFFu, 1);
  }
}
__global__ void two_reductions() {
  if (threadIdx.x < 5) {
    __reduce_add_sync(0xFFFFFFFFu, 1u);
  } else {
    __reduce_max_sync(0xFFFFFFFFu, 1u);
  }
}
__global__ void two_matches() {
  int same = 0;
  if (threadIdx.x < 5) {
    __match_any_sync(0xFFFFFFFFu, 1u);
  } else {
    __match_all_sync(0xFFFFFFFFu, 1u, &same);
  }
}
__global__ void odd_width() { __shfl_xor_sync(0xFFFFFFFFu, 1, 1, 24); }
__global__ void trap(int thread) {
  if (static_cast<int>(threadIdx.x) == thread) __trap();
}
__global__ void device_assert(int x) {
  assert(x == 3);
  (void)x;
}

TEST_F(Failure, MisuseOfCollectivesNamesTheThread) {
  ASSERT_EQ(launch(1, 32, two_kinds_of_barrier), cudaErrorLaunchFailure);
  expect_contains(failure(), "thread (1,0,0): calls __syncthreads_or, but thread (0,0,0) waits in __syncthreads");
  ASSERT_EQ(launch(1, 1, mask_without_self), cudaErrorLaunchFailure);
  expect_contains(failure(), "mask 0x00000002, but the mask does not contain the calling lane 0");
  ASSERT_EQ(launch(1, 32, two_collectives), cudaErrorLaunchFailure);
  expect_contains(failure(), "thread (5,0,0): calls __shfl_sync with mask 0xffffffff, but other lanes");
  ASSERT_EQ(launch(1, 32, two_votes), cudaErrorLaunchFailure);
  expect_contains(failure(),
                  "thread (5,0,0): calls __ballot_sync with mask 0xffffffff, but other lanes of this mask "
                  "wait in __any_sync");
  ASSERT_EQ(launch(1, 32, two_reductions), cudaErrorLaunchFailure);
  expect_contains(failure(), "calls __reduce_max_sync");
  ASSERT_EQ(launch(1, 32, two_matches), cudaErrorLaunchFailure);
  expect_contains(failure(), "wait in __match_any_sync");
  ASSERT_EQ(launch(1, 32, odd_width), cudaErrorLaunchFailure);
  expect_contains(failure(), "thread (0,0,0): shuffles with width 24");
  ASSERT_EQ(launch(1, 32, trap, 9), cudaErrorLaunchFailure);
  expect_contains(failure(), "thread (9,0,0): executed __trap()");
}

TEST_F(Failure, DeviceAssertFailsTheLaunch) {
  EXPECT_EQ(launch(1, 4, device_assert, 3), cudaSuccess);
  ASSERT_EQ(launch(1, 4, device_assert, 4), cudaErrorAssert);
  expect_contains(failure(), "assertion `x == 3` failed");
}

__global__ void write_past(int at) {
  DSV4_DYNAMIC_SHARED(char, bytes);
  bytes[at] = 1;
}

#if !defined(__SANITIZE_ADDRESS__)  // AddressSanitizer ends the program at such a write: see the test below
TEST_F(Failure, WritesOutsideDynamicSharedMemoryAreFound) {
  EXPECT_EQ(launch_with_shared(100, 1, 1, write_past, 99), cudaSuccess);
  ASSERT_EQ(launch_with_shared(100, 3, 1, write_past, 100), cudaErrorIllegalAddress);
  expect_contains(failure(),
                  "block (0,0,0): wrote to byte 100 of dynamic shared memory, but the launch has only bytes [0, 100)");
  ASSERT_EQ(launch_with_shared(100, 1, 1, write_past, -1), cudaErrorIllegalAddress);
  expect_contains(failure(), "byte -1 of");
  ASSERT_EQ(launch(1, 1, write_past, 0), cudaErrorIllegalAddress) << "the launch has no dynamic shared memory";
}
#else
TEST_F(Failure, AddressSanitizerReportsWritesPastDynamicSharedMemory) {
  EXPECT_EQ(launch_with_shared(104, 1, 1, write_past, 103), cudaSuccess);
  EXPECT_DEATH(launch_with_shared(104, 1, 1, write_past, 104), "use-after-poison|AddressSanitizer");
}
#endif

__global__ void wait_for_another_block(int* flag) {
  if (blockIdx.x == 0) {
    while (atomicAdd(flag, 0) == 0) {
    }
  } else {
    atomicExch(flag, 1);
  }
}
__global__ void wait_for_another_warp(int* flag) {
  if (threadIdx.x == 0) {
    while (atomicAdd(flag, 0) == 0) {
    }
  } else if (threadIdx.x == 63) {
    atomicExch(flag, 1);
  }
}

TEST_F(Failure, SpinningOnAnotherWarpWorksAndOnAnotherBlockFails) {
  for (const auto seed : seeds(4)) {
    simt::configure(seed);
    int flag = 0;
    EXPECT_EQ(launch(1, 64, wait_for_another_warp, &flag), cudaSuccess);
  }
  simt::configure(0);
  int flag = 0;
  ASSERT_EQ(launch(2, 1, wait_for_another_block, &flag), cudaErrorLaunchTimeout);
  expect_contains(failure(), "cannot wait for another block");
}

TEST_F(Failure, ALaunchAfterAFailedOneWorks) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(launch(1, 1024, divergent_barrier), cudaErrorLaunchFailure);
    int ran = 0;
    ASSERT_EQ(launch(2, 1024, count_threads, &ran), cudaSuccess);
    EXPECT_EQ(ran, 2048);
  }
}

__global__ void deep(int depth, int* out) {
  volatile unsigned char frame[512];
  frame[0] = static_cast<unsigned char>(depth);
  for (int i = 0; i < 60; ++i) frame[i] = static_cast<unsigned char>(i);
  __syncthreads();
  out[threadIdx.x] = frame[0];
}

TEST_F(Failure, LocalArraysFitOnAFibersStack) {
  std::vector<int> out(64, -1);
  ASSERT_EQ(launch(1, 64, deep, 3, out.data()), cudaSuccess);
  EXPECT_EQ(out, std::vector<int>(64, 0));
}

}  // namespace
}  // namespace simt_test
