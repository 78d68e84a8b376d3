/// What the C128 kernels do with a token, once its addresses are known. The kernels of V2 find the addresses in their
/// plans; the kernels of V1 find them in the pages of the requests. The addresses need not be inside the tensors.
#pragma once

#include <algorithm>

#include "kernels/common/launch.h"
#include "kernels/compress/c128_window.cuh"

namespace dsv4 {

inline constexpr int kWriteThreads = 128;
inline constexpr int kC128Blocks = 2;  ///< blocks of kC128Threads that run on a multiprocessor at the same time

/// What a decode step does with a token: it is kept in row `row` of the state. If it completes its group, an entry is
/// made from the state page `page`. Nothing is done if the state does not have the row. If it does not have the page,
/// there is no entry.
struct C128Step {
  std::int64_t row;
  bool completes;
  std::int64_t page;
};

/// The work of a thread in the memory of a call. All threads of a block must make the same calls.
template <int kHeadDim>
struct C128Thread {
  using Place = C128Place<kHeadDim>;
  static constexpr int kRow = Place::kRow;

  const OfflineTensors& t;
  Place place;

  DSV4_DEVICE bool has_page(std::int64_t page) const { return page >= 0 && page < t.pages; }

  /// Decode steps of a run of `per_block` tokens of the batch, at most kParts of them; the last run may be shorter.
  /// `place.unit` is the number of the run. `step_of(token)` returns the C128Step of a token. First, each warp copies
  /// the row of one token to the state. Then the block makes the entries of the tokens that complete a group, one after
  /// the other. An entry is its token's row of the output.
  template <class StepOf>
  DSV4_DEVICE void decode(int per_block, const StepOf& step_of) const {
    const std::int64_t begin = std::int64_t{place.unit} * per_block;
    const std::int64_t end = begin + per_block < t.tokens ? begin + per_block : t.tokens;
    __shared__ std::int64_t pages[kParts];  // of the entries; -1 if a token gives none
    if (begin + place.part < end) {
      const std::int64_t token = begin + place.part;
      const float* newest = t.input + token * kRow + place.column;
      Columns kv, score;
      kv.load(newest);  // these loads overlap with those of `step_of`
      score.load(newest + kHeadDim);
      const C128Step step = step_of(token);
      const bool is_kept = step.row >= 0 && step.row < t.pages * kGroup;
      if (is_kept) {
        float* kept = t.state + step.row * kRow + place.column;
        kv.store(kept);
        score.store(kept + kHeadDim);
      }
      if (threadIdx.x % kWarpLanes == 0) pages[place.part] = is_kept && step.completes ? step.page : -1;
    }
    __syncthreads();
    for (std::int64_t token = begin; token < end; ++token) {
      const std::int64_t page = pages[token - begin];
      if (!has_page(page)) continue;
      const float* group = column(page);
      C128Part<kHeadDim> window;
#pragma unroll
      for (int i = 0; i < kPart; ++i) {
        const int j = place.part * kPart + i;
        // The newest token is read from the batch, because the plan may have stored it in another page.
        window.load(i, j == kGroup - 1 ? t.input + token * kRow + place.column : group + j * kRow);
      }
      store(token, window);
      __syncthreads();  // the next entry uses the same shared memory
    }
  }

  /// Makes the entry whose last token is row `token` of the batch, as row `to` of the output. The first `window_before`
  /// window entries are read from the state page `page`, and the others from the batch. Does nothing if a row that it
  /// needs is not in the tensors.
  DSV4_DEVICE void compress(std::int64_t to, std::int64_t token, std::uint32_t window_before, std::int64_t page) const {
    const int from_state = window_before < kGroup ? static_cast<int>(window_before) : kGroup;
    if (!has_rows(token, from_state, page)) return;
    const float* group = column(page);
    // `batch + j * kRow` is the row of window entry j in the batch. It may be before the first row of the batch if
    // entry j comes from the state.
    const float* batch = t.input + place.column + (token - (kGroup - 1)) * kRow;
    C128Part<kHeadDim> window;
#pragma unroll
    for (int i = 0; i < kPart; ++i) {
      const int j = place.part * kPart + i;
      window.load(i, (j < from_state ? group : batch) + j * kRow);
    }
    store(to, window);
  }

 private:
  /// The thread's column in the first row of a state page.
  DSV4_DEVICE const float* column(std::int64_t page) const { return t.state + page * kGroup * kRow + place.column; }

  /// True if all rows that the entry needs are in the state and in the batch.
  DSV4_DEVICE bool has_rows(std::int64_t token, int from_state, std::int64_t page) const {
    if (from_state > 0 && !has_page(page)) return false;
    return from_state == kGroup || (token < t.tokens && token + from_state >= kGroup - 1);
  }

  DSV4_DEVICE void store(std::int64_t to, C128Part<kHeadDim>& window) const {
    const std::uint32_t first = place.column - threadIdx.x % kWarpLanes * kLaneColumns;
    store_mean<kHeadDim>(window, place.part, t.ape + place.column, t.output + to * kHeadDim + first);
  }
};

/// The work of a warp of a kernel that keeps rows. The warp copies 128 contiguous floats of a row.
template <int kHeadDim>
struct C128Copy {
  using Place = C128Place<kHeadDim>;

  std::uint32_t unit;   ///< plan row
  std::uint32_t first;  ///< first column of the lane

  DSV4_DEVICE C128Copy() {
    // The number of a thread may need more than 32 bits.
    const auto warp =
        static_cast<std::uint32_t>((std::uint64_t{blockIdx.x} * kWriteThreads + threadIdx.x) / kWarpLanes);
    unit = warp / Place::kBlocksPerUnit;
    first = warp % Place::kBlocksPerUnit * 2 * kBlockColumns + threadIdx.x % kWarpLanes * kLaneColumns;
  }
  static std::int64_t blocks(std::int64_t units) {
    return ceil_div<std::int64_t>(Place::blocks(units), kWriteThreads / kWarpLanes);
  }

  /// Copies the row of a token from the batch to the state, if both have the row. The two accesses of a lane are 256
  /// bytes apart.
  DSV4_DEVICE void keep(const OfflineTensors& t, std::int64_t token, std::int64_t row) const {
    if (token >= t.tokens || row < 0 || row >= t.pages * kGroup) return;
    const float* from = t.input + token * Place::kRow + first;
    float* to = t.state + row * Place::kRow + first;
    Columns part[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) part[i].load(from + i * kBlockColumns);
#pragma unroll
    for (int i = 0; i < 2; ++i) part[i].store(to + i * kBlockColumns);
  }
};

/// Launches a kernel with a place for each of `units` rows, if there are any.
template <int kHeadDim, class Params>
void launch_c128(const char* name, DLDevice device, std::int64_t units, void (*kernel)(Params), const Params& params) {
  if (units == 0) return;
  Launch{.name = name,
         .device = device,
         .grid = grid_of(C128Place<kHeadDim>::blocks(units), name),
         .block = dim3(kC128Threads)}(kernel, params);
}

/// The same for a decode step. A block takes more than one token if otherwise more blocks would be needed than can run
/// at the same time. So a token that completes no group costs little. The kernel's second argument is the number of
/// tokens of a block.
template <int kHeadDim, class Params>
void launch_c128_decode(const char* name, DLDevice device, std::int64_t tokens, void (*kernel)(Params, int),
                        const Params& params) {
  if (tokens == 0) return;
  const std::int64_t resident = std::int64_t{kC128Blocks} * multiprocessor_count(device);
  const std::int64_t per_block =
      std::clamp<std::int64_t>(ceil_div(C128Place<kHeadDim>::blocks(tokens), resident), 1, kParts);
  Launch{.name = name,
         .device = device,
         .grid = grid_of(C128Place<kHeadDim>::blocks(ceil_div(tokens, per_block)), name),
         .block = dim3(kC128Threads)}(kernel, params, static_cast<int>(per_block));
}

/// The same for a kernel that keeps rows.
template <int kHeadDim, class Params>
void launch_c128_copy(const char* name, DLDevice device, std::int64_t units, void (*kernel)(Params),
                      const Params& params) {
  if (units == 0) return;
  Launch{.name = name,
         .device = device,
         .grid = grid_of(C128Copy<kHeadDim>::blocks(units), name),
         .block = dim3(kWriteThreads)}(kernel, params);
}

}  // namespace dsv4
