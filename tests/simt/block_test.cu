// Tests of indices, barriers, shared memory and scheduling.
#include <algorithm>
#include <numeric>
#include <set>

#include "simt/dynamic_shared.h"
#include "tests/simt/launching.h"

namespace simt_test {
namespace {

using Block = SimtTest;

__global__ void record_indices(unsigned* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] += 1 + 100 * threadIdx.y + 10000 * blockIdx.y;
}

TEST_F(Block, EveryThreadOfEveryBlockRunsOnceWithItsIndices) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<unsigned> out(3 * 2 * 2 * 5 * 7 * 3, 0);
    ASSERT_EQ(launch(dim3(3, 2, 2), dim3(5, 7, 3), record_indices, out.data()), cudaSuccess);
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t thread = i % 105, block = i / 105;
      ASSERT_EQ(out[i], 1 + 100 * (thread / 5 % 7) + 10000 * (block / 3 % 2)) << "seed " << seed << " at " << i;
    }
  }
}

/// Each thread reads the value of the next thread. The result is right only if all threads write their values before
/// any thread reads.
template <bool kWithBarrier>
__global__ void rotate(int* out) {
  __shared__ int slot[256];
  slot[threadIdx.x] = static_cast<int>(threadIdx.x);
  if constexpr (kWithBarrier) __syncthreads();
  out[threadIdx.x] = slot[(threadIdx.x + 1) % 256];
}

TEST_F(Block, BarrierMakesTheOthersWritesVisible) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(256, -1);
    ASSERT_EQ(launch(1, 256, rotate<true>, out.data()), cudaSuccess);
    for (int i = 0; i < 256; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], (i + 1) % 256) << "seed " << seed;
  }
}

TEST_F(Block, MissingBarrierGivesAWrongResultUnderEverySeed) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(256, -1);
    ASSERT_EQ(launch(1, 256, rotate<false>, out.data()), cudaSuccess);
    int wrong = 0;
    for (int i = 0; i < 256; ++i) wrong += out[static_cast<std::size_t>(i)] != (i + 1) % 256;
    EXPECT_GT(wrong, 0) << "seed " << seed;
  }
}

/// A race between two warps: warp 0 clears a value that warp 1 may have published already.
__global__ void clear_after_publish(int* out) {
  __shared__ int published[2];
  if (threadIdx.x < 2) published[threadIdx.x] = 0;
  if (threadIdx.x % 32 == 0) published[threadIdx.x / 32] = 7;  // a barrier is missing before this line
  __syncthreads();
  if (threadIdx.x == 0) *out = published[1];
}

TEST_F(Block, RaceBetweenWarpsShowsUnderSomeSeedsOnly) {
  int lost = 0;
  for (const auto seed : seeds(40)) {
    simt::configure(seed);
    int out = -1;
    ASSERT_EQ(launch(1, 64, clear_after_publish, &out), cudaSuccess);
    if (seed == 0) {
      EXPECT_EQ(out, 7);
    }
    lost += out == 0;
  }
  EXPECT_GT(lost, 3);
  EXPECT_LT(lost, 37);
}

__global__ void votes(int* out) {
  const int odd = threadIdx.x % 2;
  const int count = __syncthreads_count(odd), all = __syncthreads_and(odd), any = __syncthreads_or(odd);
  const int all_true = __syncthreads_and(1), none = __syncthreads_or(0);
  out[threadIdx.x] = count * 10000 + all * 1000 + any * 100 + all_true * 10 + none;
}

TEST_F(Block, CountingBarriersAgreeInAllThreads) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(70, -1);
    ASSERT_EQ(launch(1, 70, votes, out.data()), cudaSuccess);
    EXPECT_EQ(std::set<int>(out.begin(), out.end()), std::set<int>{350110}) << "seed " << seed;
  }
}

__global__ void leave_early(int* out) {
  if (threadIdx.x >= 40) return;  // a thread that has ended counts as arrived at a barrier
  __shared__ int sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, 1);
  __syncthreads();
  out[threadIdx.x] = sum;
}

TEST_F(Block, ThreadsThatEndedDoNotHoldUpABarrier) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(40, -1);
    ASSERT_EQ(launch(1, 100, leave_early, out.data()), cudaSuccess);
    EXPECT_EQ(out, std::vector<int>(40, 40));
  }
}

__global__ void many_barriers(int* out) {
  __shared__ int turn;
  if (threadIdx.x == 0) turn = 0;
  for (int i = 0; i < 100; ++i) {
    __syncthreads();
    if (threadIdx.x == static_cast<unsigned>(i)) ++turn;
  }
  __syncthreads();
  out[threadIdx.x] = turn;
}

TEST_F(Block, AThousandThreadsPassAHundredBarriers) {
  std::vector<int> out(1024, -1);
  for (const auto seed : {0, 1, 2, 3}) {
    simt::configure(static_cast<std::uint64_t>(seed));
    ASSERT_EQ(launch(3, 1024, many_barriers, out.data()), cudaSuccess);
    EXPECT_EQ(out, std::vector<int>(1024, 100));
  }
}

__global__ void read_static(unsigned* out) {
  __shared__ unsigned never_written[64];
  out[threadIdx.x] = never_written[threadIdx.x];
}
__global__ void read_dynamic(unsigned* out) {
  DSV4_DYNAMIC_SHARED(unsigned, never_written);
  out[threadIdx.x] = never_written[threadIdx.x];
}

TEST_F(Block, SharedMemoryStartsWithAPatternThatDependsOnTheSeed) {
  std::set<unsigned> patterns;
  for (const auto seed : seeds(8)) {
    simt::configure(seed);
    std::vector<unsigned> fixed(64, 0), dynamic(64, 0);
    ASSERT_EQ(launch(1, 64, read_static, fixed.data()), cudaSuccess);
    ASSERT_EQ(launch_with_shared(256, 1, 64, read_dynamic, dynamic.data()), cudaSuccess);
    EXPECT_EQ(fixed, std::vector<unsigned>(64, simt::undefined_word()));
    EXPECT_EQ(dynamic, fixed);
    patterns.insert(fixed[0]);
  }
  EXPECT_EQ(patterns.size(), 8u);
}

__global__ void leave_trace(unsigned* out) {
  __shared__ unsigned trace;
  out[blockIdx.x] = trace;
  trace = 1;
}

TEST_F(Block, SharedMemoryDoesNotKeepValuesOfTheBlockBefore) {
  std::vector<unsigned> out(5, 0);
  ASSERT_EQ(launch(5, 1, leave_trace, out.data()), cudaSuccess);
  EXPECT_EQ(out, std::vector<unsigned>(5, simt::undefined_word()));
}

__global__ void append(unsigned* order, unsigned* count) {
  order[atomicAdd(count, 1u)] = blockIdx.x * 64 + threadIdx.x;
}

std::vector<unsigned> order_of(std::uint64_t seed, unsigned blocks) {
  simt::configure(seed);
  std::vector<unsigned> order(blocks * 64);
  unsigned count = 0;
  EXPECT_EQ(launch(blocks, 64, append, order.data(), &count), cudaSuccess);
  return order;
}

TEST_F(Block, NaturalOrderWithoutASeedAndAnotherPermutationForEachSeed) {
  std::vector<unsigned> natural(7 * 64);
  std::iota(natural.begin(), natural.end(), 0u);
  EXPECT_EQ(order_of(0, 7), natural);
  std::set<std::vector<unsigned>> seen;
  for (const auto seed : seeds(6)) {
    auto order = order_of(seed, 7);
    EXPECT_EQ(order, order_of(seed, 7)) << "the same seed must give the same schedule";
    seen.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, natural);
  }
  EXPECT_EQ(seen.size(), 6u);
}

}  // namespace
}  // namespace simt_test
