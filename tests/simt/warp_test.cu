// Compares warp collectives with the results that the CUDA programming guide specifies for each lane.
#include <algorithm>
#include <bit>

#include "tests/simt/launching.h"

namespace simt_test {
namespace {

using Warp = SimtTest;
constexpr unsigned kAll = 0xFFFFFFFFu;

enum class Form { kIndex, kUp, kDown, kXor };

template <typename T, Form kForm>
__global__ void shuffle(T* out, int argument, int width) {
  const T mine = static_cast<T>(threadIdx.x) + static_cast<T>(1000);
  T got;
  if constexpr (kForm == Form::kIndex) got = __shfl_sync(kAll, mine, argument, width);
  if constexpr (kForm == Form::kUp) got = __shfl_up_sync(kAll, mine, static_cast<unsigned>(argument), width);
  if constexpr (kForm == Form::kDown) got = __shfl_down_sync(kAll, mine, static_cast<unsigned>(argument), width);
  if constexpr (kForm == Form::kXor) got = __shfl_xor_sync(kAll, mine, argument, width);
  out[threadIdx.x] = got;
}

/// Returns the source lane as PTX defines it for shfl.sync. The operand of shfl.sync has 5 bits.
int expected_source(Form form, int lane, int operand, int width) {
  const int base = lane / width * width, within = lane % width, argument = operand % 32;
  switch (form) {
    case Form::kIndex:
      return base + argument % width;
    case Form::kUp:
      return within - argument < 0 ? lane : lane - argument;
    case Form::kDown:
      return within + argument >= width ? lane : lane + argument;
    case Form::kXor:
      return (lane ^ argument) >= base + width ? lane : lane ^ argument;
  }
  return -1;
}

template <typename T, Form kForm>
void check_shuffle() {
  for (const int width : {32, 16, 8, 4, 2, 1}) {
    for (const int argument : {0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33}) {
      std::vector<T> out(64);
      ASSERT_EQ(launch(1, 64, shuffle<T, kForm>, out.data(), argument, width), cudaSuccess);
      for (int thread = 0; thread < 64; ++thread) {
        const int source = expected_source(kForm, thread % 32, argument, width) + thread / 32 * 32;
        ASSERT_EQ(out[static_cast<std::size_t>(thread)], static_cast<T>(source) + static_cast<T>(1000))
            << "width " << width << ", argument " << argument << ", thread " << thread;
      }
    }
  }
}

TEST_F(Warp, ShufflesReadTheLaneThatTheirFormNames) {
  for (const auto seed : {0, 1, 2}) {
    simt::configure(static_cast<std::uint64_t>(seed));
    check_shuffle<int, Form::kIndex>();
    check_shuffle<unsigned, Form::kUp>();
    check_shuffle<float, Form::kDown>();
    check_shuffle<double, Form::kXor>();
    check_shuffle<long long, Form::kXor>();
    check_shuffle<unsigned long long, Form::kIndex>();
    check_shuffle<long, Form::kUp>();
  }
}

__global__ void collectives(unsigned* out) {
  const unsigned lane = threadIdx.x, value = lane / 4;
  unsigned* mine = out + 16 * lane;
  mine[0] = __ballot_sync(kAll, lane % 3 == 0);
  mine[1] = static_cast<unsigned>(__any_sync(kAll, lane == 31) * 4 + __any_sync(kAll, 0) * 2 + __all_sync(kAll, 1));
  mine[2] =
      static_cast<unsigned>(__all_sync(kAll, lane != 5) * 2 + __uni_sync(kAll, 0) * 4 + __uni_sync(kAll, lane == 3));
  mine[3] = __match_any_sync(kAll, value);
  int same = -1;
  mine[4] = __match_all_sync(kAll, 17, &same) + static_cast<unsigned>(same);
  mine[5] = __match_all_sync(kAll, value, &same) + static_cast<unsigned>(same);
  mine[6] = __reduce_add_sync(kAll, lane);
  mine[7] = static_cast<unsigned>(__reduce_min_sync(kAll, static_cast<int>(lane) - 16));
  mine[8] = __reduce_max_sync(kAll, lane);
  mine[9] = __reduce_and_sync(kAll, lane | 0x100u);
  mine[10] = __reduce_or_sync(kAll, lane);
  mine[11] = __reduce_xor_sync(kAll, 1u << lane);
  __syncwarp();
}

TEST_F(Warp, VotesMatchesAndReductionsHaveKnownResults) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<unsigned> out(32 * 16);
    ASSERT_EQ(launch(1, 32, collectives, out.data()), cudaSuccess);
    for (unsigned lane = 0; lane < 32; ++lane) {
      const unsigned* got = &out[16 * lane];
      EXPECT_EQ(got[0], 0x49249249u);
      EXPECT_EQ(got[1], 5u);
      EXPECT_EQ(got[2], 4u);
      EXPECT_EQ(got[3], 0xFu << (lane / 4 * 4));
      EXPECT_EQ(got[4], 0xFFFFFFFFu + 1u);
      EXPECT_EQ(got[5], 0u);
      EXPECT_EQ(got[6], 496u);
      EXPECT_EQ(static_cast<int>(got[7]), -16);
      EXPECT_EQ(got[8], 31u);
      EXPECT_EQ(got[9], 0x100u);
      EXPECT_EQ(got[10], 31u);
      EXPECT_EQ(got[11], 0xFFFFFFFFu);
    }
  }
}

/// Each half of a warp first shuffles alone: the lower half in four steps, the upper half in one. Then all lanes
/// shuffle together.
__global__ void sub_groups(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int sum = lane;
  const unsigned half = lane < 16 ? 0x0000FFFFu : 0xFFFF0000u;
  for (int offset = lane < 16 ? 8 : 1; offset > 0; offset /= 2) sum += __shfl_xor_sync(half, sum, offset);
  out[lane] = __shfl_xor_sync(kAll, sum, 16);
}

TEST_F(Warp, PartsOfAWarpExchangeIndependently) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<int> out(32);
    ASSERT_EQ(launch(1, 32, sub_groups, out.data()), cudaSuccess);
    for (int lane = 0; lane < 16; ++lane) {
      EXPECT_EQ(out[static_cast<std::size_t>(lane + 16)], 120);
      const int pair = (lane + 16) / 2 * 2;
      EXPECT_EQ(out[static_cast<std::size_t>(lane)], pair * 2 + 1);
    }
  }
}

__global__ void tail(unsigned* out) {
  if (threadIdx.x >= 20) return;
  out[threadIdx.x] = __ballot_sync(kAll, 1);
  out[32 + threadIdx.x] = __shfl_down_sync(kAll, threadIdx.x, 8);
}

TEST_F(Warp, LanesThatEndedTakeNoPartAndTheirValuesAreUndefined) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    std::vector<unsigned> out(64);
    ASSERT_EQ(launch(1, 30, tail, out.data()), cudaSuccess);  // the warp has 30 lanes; 10 of them end immediately
    for (unsigned lane = 0; lane < 20; ++lane) {
      EXPECT_EQ(out[lane], 0xFFFFFu);
      EXPECT_EQ(out[32 + lane], lane + 8 < 20 ? lane + 8 : lane + 8 < 32 ? simt::undefined_word() : lane);
    }
  }
}

/// Counts with one atomic per warp. The count is right only if the active mask contains only lanes inside the branch.
__global__ void count_odd(unsigned* count, unsigned* slots) {
  const unsigned lane = threadIdx.x % 32;
  if (threadIdx.x % 2 == 1) {
    const unsigned active = __activemask();
    const unsigned leader = static_cast<unsigned>(__ffs(static_cast<int>(active))) - 1;
    unsigned base = 0;
    if (lane == leader) base = atomicAdd(count, static_cast<unsigned>(__popc(active)));
    base = __shfl_sync(active, base, static_cast<int>(leader));
    slots[base + static_cast<unsigned>(__popc(active & ((1u << lane) - 1)))] = threadIdx.x;
  }
  __syncthreads();
}

TEST_F(Warp, TheActiveMaskNamesNoLaneOutsideTheBranch) {
  for (const auto seed : seeds()) {
    simt::configure(seed);
    unsigned count = 0;
    std::vector<unsigned> slots(32);
    ASSERT_EQ(launch(1, 64, count_odd, &count, slots.data()), cudaSuccess) << failure();
    EXPECT_EQ(count, 32u);
    std::sort(slots.begin(), slots.end());
    for (unsigned i = 0; i < 32; ++i) EXPECT_EQ(slots[i], 2 * i + 1);
  }
}

}  // namespace
}  // namespace simt_test
