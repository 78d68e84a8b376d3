// Tests of clusters: blocks that run together, their barrier, and the shared memory of other blocks. Also of memory
// barriers and bulk copies.
#include <algorithm>
#include <numeric>

#include "simt/cooperative_groups.h"
#include "simt/dynamic_shared.h"
#include "simt/ptx.h"
#include "simt/scheduler.h"
#include "tests/simt/launching.h"

namespace simt_test {
namespace {

namespace ptx = cuda::ptx;

class Cluster : public SimtTest {
 protected:
  void TearDown() override {
    simt::no_predecessor();
    simt::no_watch();
    SimtTest::TearDown();
  }
  static void expect_failure(const char* part) {
    const std::string text = failure();
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
};

__device__ unsigned block_number() { return blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z); }

// --- blocks and their barrier ---------------------------------------------------------------------------------------

/// Every thread writes a static and a dynamic shared variable, and adds those of the next block of its cluster.
__global__ void add_next_block(int* out, bool sync) {
  __shared__ int of_static[64];
  DSV4_DYNAMIC_SHARED(int, of_dynamic);
  const auto cluster = cooperative_groups::this_cluster();
  const int self = static_cast<int>(block_number() * 64 + threadIdx.x);
  of_static[threadIdx.x] = self;
  of_dynamic[threadIdx.x] = 1000000 + self;
  if (sync) cluster.sync();
  const unsigned next = (cluster.block_rank() + 1) % cluster.num_blocks();
  const int* const other_static = cluster.map_shared_rank(of_static, next);
  const int* const other_dynamic = cluster.map_shared_rank(&of_dynamic[threadIdx.x], next);
  out[self] = other_static[threadIdx.x] + *other_dynamic;
  cluster.sync();  // no block ends while another one reads its memory
}

TEST_F(Cluster, BlocksReadTheSharedMemoryOfOthers) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(32 * 64, -1);
    ASSERT_EQ(launch_clusters(dim3(2, 2, 1), dim3(4, 4, 2), 64, add_next_block, out.data(), true), cudaSuccess)
        << failure();
    for (int z = 0; z < 2; ++z) {
      for (int y = 0; y < 4; ++y) {
        for (int x = 0; x < 4; ++x) {
          // The order of ranks is (even, even), (odd, even), (even, odd), (odd, odd).
          const int next_x = x ^ 1, next_y = x % 2 == 1 ? y ^ 1 : y;
          const int block = x + 4 * (y + 4 * z), next = next_x + 4 * (next_y + 4 * z);
          for (int t = 0; t < 64; ++t) {
            ASSERT_EQ(out[static_cast<std::size_t>(block * 64 + t)], 1000000 + 2 * (next * 64 + t))
                << "block " << block << ", thread " << t << ", seed " << seed;
          }
        }
      }
    }
  }
}

TEST_F(Cluster, AMissingBarrierShows) {
  std::vector<int> right(2 * 64), out(2 * 64);
  for (int t = 0; t < 64; ++t) right[t] = 1000000 + 2 * (64 + t), right[64 + t] = 1000000 + 2 * t;
  for (const auto seed : seeds()) {
    simt::configure(seed);
    ASSERT_EQ(launch_clusters(2, 2, 64, add_next_block, out.data(), false), cudaSuccess);
    EXPECT_NE(out, right) << "seed " << seed;
  }
}

TEST_F(Cluster, OneClusterAfterTheOther) {
  std::vector<int> out(8 * 64, -1);
  ASSERT_EQ(launch_clusters(8, 8, 64, add_next_block, out.data(), true), cudaSuccess);
  ASSERT_EQ(launch_clusters(1, 8, 64, add_next_block, out.data(), true), cudaSuccess);
  for (int i = 0; i < 8 * 64; ++i) EXPECT_EQ(out[static_cast<std::size_t>(i)], 1000000 + 2 * i);
}

__global__ void some_threads_sync(int* out) {
  if (blockIdx.x == 0 || threadIdx.x % 2 == 0) return;
  cooperative_groups::this_cluster().sync();
  out[blockIdx.x * 64 + threadIdx.x] = 1;
}

TEST_F(Cluster, ThreadsThatEndedCountAsArrived) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(4 * 64, 0);
    ASSERT_EQ(launch_clusters(4, 4, 64, some_threads_sync, out.data()), cudaSuccess) << failure();
    EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 3 * 32);
  }
}

__global__ void different_barriers() {
  if (blockIdx.x == 0 && threadIdx.x == 5) {
    __syncthreads();
  } else {
    cooperative_groups::this_cluster().sync();
  }
}

TEST_F(Cluster, ADeadlockNamesTheBarriers) {
  ASSERT_EQ(launch_clusters(2, 2, 64, different_barriers), cudaErrorLaunchFailure);
  expect_failure("127 threads wait in the cluster's barrier (first: thread (0,0,0)); 1 thread waits in __syncthreads");
}

__global__ void read_ended_block(int* out) {
  __shared__ int value;
  value = 1;
  if (blockIdx.x == 0) return;
  *out = *cooperative_groups::this_cluster().map_shared_rank(&value, 0);
}

__global__ void map_nonsense(int* out, unsigned rank) {
  __shared__ int value;
  value = 1;
  const auto cluster = cooperative_groups::this_cluster();
  *out = *cluster.map_shared_rank(rank == 0 ? out : &value, rank);
  cluster.sync();
}

TEST_F(Cluster, WrongAddressesOfSharedMemoryFail) {
  int out = 0;
  EXPECT_EQ(launch_clusters(2, 2, 32, read_ended_block, &out), cudaErrorLaunchFailure);
  expect_failure("maps shared memory of block 0 of its cluster, but this block has ended");
  EXPECT_EQ(launch_clusters(2, 2, 32, map_nonsense, &out, 2u), cudaErrorLaunchFailure);
  expect_failure("block 2 of its cluster, which has 2 blocks");
  EXPECT_EQ(launch_clusters(2, 2, 32, map_nonsense, &out, 0u), cudaErrorLaunchFailure);
  expect_failure("not in the shared memory of its own block");
  EXPECT_EQ(launch_clusters(2, 2, 32, map_nonsense, &out, 1u), cudaSuccess);
}

TEST_F(Cluster, SizesThatTheGridOrTheDeviceDoesNotAllowAreRefused) {
  int out = 0;
  for (const dim3 cluster : {dim3(3), dim3(0), dim3(16), dim3(4, 4, 1), dim3(2, 2, 1)}) {
    const dim3 grid = cluster.y == 2 ? dim3(4, 1) : dim3(16, 4);
    EXPECT_EQ(launch_clusters(cluster, grid, 32, map_nonsense, &out, 1u), cudaErrorInvalidClusterSize);
  }
}

// --- memory barriers ------------------------------------------------------------------------------------------------

__device__ void wait_for(std::uint64_t* barrier, std::uint32_t parity) {
  while (!ptx::mbarrier_try_wait_parity(ptx::sem_relaxed, ptx::scope_cta, barrier, parity)) {
  }
}

/// Thread 0 of each block waits until all threads of the other block have arrived, twice.
__global__ void arrive_remotely(int* out) {
  __shared__ std::uint64_t barrier;
  const auto cluster = cooperative_groups::this_cluster();
  if (threadIdx.x == 0) ptx::mbarrier_init(&barrier, blockDim.x);
  cluster.sync();
  std::uint64_t* const remote = cluster.map_shared_rank(&barrier, 1 - cluster.block_rank());
  for (std::uint32_t phase = 0; phase < 2; ++phase) {
    atomicAdd(out + (1 - cluster.block_rank()), 1);
    ptx::mbarrier_arrive(ptx::sem_relaxed, ptx::scope_cluster, ptx::space_shared, remote);
    if (threadIdx.x == 0) {
      wait_for(&barrier, phase);
      out[2 + 2 * phase + cluster.block_rank()] = atomicAdd(out + cluster.block_rank(), 0);
    }
    cluster.sync();
  }
}

TEST_F(Cluster, AMemoryBarrierCountsArrivalsOfEveryPhase) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(6, 0);
    ASSERT_EQ(launch_clusters(2, 2, 64, arrive_remotely, out.data()), cudaSuccess) << failure();
    EXPECT_EQ(out, (std::vector<int>{128, 128, 64, 64, 128, 128})) << "seed " << seed;
  }
}

__global__ void never_arrives(int arrivals) {
  __shared__ std::uint64_t barrier;
  if (threadIdx.x == 0) ptx::mbarrier_init(&barrier, 1);
  __syncthreads();
  for (int i = 0; i < arrivals; ++i) {
    ptx::mbarrier_arrive_expect_tx(ptx::sem_relaxed, ptx::scope_cta, ptx::space_shared, &barrier, 16);
  }
  wait_for(&barrier, 0);
}

TEST_F(Cluster, WrongUseOfAMemoryBarrierFails) {
  EXPECT_EQ(launch(1, 1, never_arrives, 2), cudaErrorLaunchFailure);
  expect_failure("expects no more arrivals");
  EXPECT_EQ(launch(1, 1, never_arrives, 1), cudaErrorLaunchTimeout);  // 16 bytes are announced and never copied
}

// --- bulk copies ----------------------------------------------------------------------------------------------------

/// Copies 64 words through shared memory in two copies of one phase. Without the wait, the words are undefined.
__global__ void copy_in_bulk(const int* in, int* out, bool wait, unsigned offset) {
  alignas(128) __shared__ int buffer[64];
  __shared__ std::uint64_t barrier;
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&barrier, 1);
    ptx::cp_async_bulk(ptx::space_shared, ptx::space_global, buffer, in + offset, 128, &barrier);
    ptx::cp_async_bulk(ptx::space_shared, ptx::space_global, buffer + 32, in + 32, 128, &barrier);
    ptx::mbarrier_arrive_expect_tx(ptx::sem_relaxed, ptx::scope_cta, ptx::space_shared, &barrier, 256);
  }
  __syncthreads();
  if (wait) wait_for(&barrier, 0);
  out[threadIdx.x] = buffer[threadIdx.x];
}

TEST_F(Cluster, ABulkCopyIsThereAfterTheWait) {
  alignas(16) int in[64];
  std::iota(in, in + 64, 7);
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(64);
    ASSERT_EQ(launch(1, 64, copy_in_bulk, static_cast<const int*>(in), out.data(), true, 0u), cudaSuccess);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), in)) << "seed " << seed;
    ASSERT_EQ(launch(1, 64, copy_in_bulk, static_cast<const int*>(in), out.data(), false, 0u), cudaSuccess);
    EXPECT_EQ(out, std::vector<int>(64, static_cast<int>(simt::undefined_word()))) << "seed " << seed;
  }
}

/// The static variables of both blocks have the same addresses.
__global__ void copy_in_each_block(const int* in, int* out) {
  alignas(128) __shared__ int buffer[4];
  __shared__ std::uint64_t barrier;
  const auto cluster = cooperative_groups::this_cluster();
  const unsigned first = 4 * cluster.block_rank();
  if (threadIdx.x == 0) {
    ptx::mbarrier_init(&barrier, 1);
    ptx::cp_async_bulk(ptx::space_shared, ptx::space_global, buffer, in + first, 16, &barrier);
    ptx::mbarrier_arrive_expect_tx(ptx::sem_relaxed, ptx::scope_cta, ptx::space_shared, &barrier, 16);
  }
  cluster.sync();
  wait_for(&barrier, 0);
  out[first + threadIdx.x] = buffer[threadIdx.x];
}

TEST_F(Cluster, EachBlockWaitsForItsOwnBulkCopies) {
  alignas(16) const int in[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(8);
    ASSERT_EQ(launch_clusters(2, 2, 4, copy_in_each_block, &in[0], out.data()), cudaSuccess) << failure();
    EXPECT_TRUE(std::equal(out.begin(), out.end(), in)) << "seed " << seed;
  }
}

TEST_F(Cluster, AMisalignedBulkCopyFails) {
  alignas(16) int in[64]{};
  int out[64];
  EXPECT_EQ(launch(1, 64, copy_in_bulk, static_cast<const int*>(in), static_cast<int*>(out), true, 1u),
            cudaErrorMisalignedAddress);
  expect_failure("bulk copy of 128 bytes");
}

__global__ void elect(int* elected) {
  if (simt::elect_sync(~0u)) elected[threadIdx.x] += 1;
  if (threadIdx.x >= 20 && simt::elect_sync(~0u << 20)) elected[threadIdx.x] += 2;
}

TEST_F(Cluster, OneLaneIsElected) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> elected(32, 0), expected(32, 0);
    expected[0] = 1;
    expected[20] = 2;
    ASSERT_EQ(launch(1, 32, elect, elected.data()), cudaSuccess);
    EXPECT_EQ(elected, expected);
  }
}

// --- programmatic dependent launch ----------------------------------------------------------------------------------

__global__ void copy_around_the_wait(const int* in, int* early, int* late) {
  const auto cluster = cooperative_groups::this_cluster();
  if (cluster.block_rank() == 0) cluster.sync();
  early[block_number()] = in[block_number()];
  if (cluster.block_rank() != 0) cluster.sync();
  simt::grid_dependency_wait();
  late[block_number()] = in[block_number()];
}

TEST_F(Cluster, TheWaitOfAClusterEndsWhenAllItsThreadsWait) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> in(4, 7), earlier(4, 3), early(4), late(4);
    simt::add_predecessor(in.data(), sizeof(int) * 4, earlier.data());
    ASSERT_EQ(launch_clusters(2, 4, 1, copy_around_the_wait, in.data(), early.data(), late.data()), cudaSuccess);
    EXPECT_EQ(early, earlier);
    EXPECT_EQ(late, in);
    simt::no_predecessor();
  }
}

/// Block 0 of each cluster triggers, and writes before and after block 1 triggers.
__global__ void trigger_apart(int* out) {
  const auto cluster = cooperative_groups::this_cluster();
  const unsigned at = blockIdx.x / 2 * 3;
  if (cluster.block_rank() == 0) {
    simt::grid_dependency_launch();
    out[at] = 1;
  } else {
    out[at + 1] = 1;
  }
  cluster.sync();
  if (cluster.block_rank() == 1) simt::grid_dependency_launch();
  cluster.sync();
  if (cluster.block_rank() == 0) out[at + 2] = 1;
}

TEST_F(Cluster, TheTriggerOfTheLastBlockCounts) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(6, 0);
    simt::watch(out.data(), sizeof(int) * 6);
    ASSERT_EQ(launch_clusters(2, 4, 1, trigger_apart, out.data()), cudaSuccess);
    const auto* late = simt::scheduler().watch.late_bytes(out.data());
    std::vector<int> words(6, 0);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = (*late)[4 * i];
    EXPECT_EQ(words, (std::vector<int>{0, 0, 1, 0, 0, 1})) << "seed " << seed;
    simt::no_watch();
  }
}

}  // namespace
}  // namespace simt_test
