/// Selects the k best-scored positions of every row, and maps them through a page table. This is the kernel of topk_v1
/// and topk_v2, which differ in their arguments only.
///
/// Every score is read from global memory into registers and is compared there (select.cuh). If the rows are too few to
/// fill the device with one block each, a long row is divided among several blocks. Each block writes those entries of
/// its part that can be among the row's k largest to a workspace (filter.cuh). A second kernel selects from these
/// entries. The workspace has 38 KiB per part, and at most 2 parts per multiprocessor. The number of parts depends on
/// the length of the row, not on the width of the matrix. So a short row in a wide matrix costs little. If a row has
/// more than about a million scores, its sample is often misleading. Then a single block selects from all of them.
#pragma once

#include <tvm/ffi/extra/c_env_api.h>

#include <algorithm>
#include <bit>

#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/launch.h"
#include "kernels/topk/filter.cuh"
#include "kernels/topk/select.cuh"

namespace dsv4::topk {

/// Number of blocks of `select_scores_kernel` that run on a multiprocessor at the same time. With many rows it is
/// three, so that some blocks load while others compute. With few rows, the time of a single block determines the time
/// of the call. Then it is two, which leaves more registers for each thread.
constexpr int kBlocksManyRows = 3;
constexpr int kBlocksFewRows = 2;

struct TopkParams {
  const float* scores;
  const std::int32_t* lengths;
  const std::int32_t* page_table;
  std::int32_t* page_indices;
  std::int32_t* raw_indices;  ///< may be null
  Entry* parts = nullptr;     ///< [B, max_parts, kPartEntries]; null if max_parts = 1
  std::int64_t score_stride;
  std::int64_t table_stride;
  int max_length;  ///< min(columns, pages * page size)
  int max_parts = 1;
  int page_bits;
};

/// A row of at most kWholeRow scores has one part. A longer row has at most one part for each kPartScores scores,
/// rounded up, and at most kMostParts parts. Far shorter parts would leave threads without a score.
constexpr int kWholeRow = ScoreChunk::kEntries;
constexpr unsigned kPartScores = kThreads * 4;
constexpr int kMostParts = 256;
constexpr std::int64_t kPartEntries = kListCapacity + 1;  ///< the last one holds the number of entries

/// Longer rows are refused. The kernel's 32-bit offsets go beyond the end of a row by up to one chunk, and must
/// not overflow.
constexpr std::int64_t kMaxColumns = (std::int64_t{1} << 31) - (1 << 16);

struct Row {
  int length;
  int parts;
  int part_length;  ///< length of each part; the last part may be shorter
};

DSV4_DEVICE Row row_of(const TopkParams& p, std::int64_t row) {
  int n = p.lengths[row];
  n = n < 0 ? 0 : n > p.max_length ? p.max_length : n;
  const int useful = static_cast<int>((static_cast<unsigned>(n) + kPartScores - 1) / kPartScores);
  const int parts = n <= kWholeRow ? 1 : useful > p.max_parts ? p.max_parts : useful;
  return {n, parts, static_cast<int>((static_cast<unsigned>(n) + parts - 1) / parts)};
}

/// Writes slot `slot` of a row's output.
template <int K>
DSV4_DEVICE void write_slot(const TopkParams& p, std::int64_t row, std::uint32_t slot, std::uint32_t position) {
  const auto page = static_cast<std::uint32_t>(p.page_table[row * p.table_stride + (position >> p.page_bits)]);
  const std::uint32_t in_page = position & ((1u << p.page_bits) - 1);
  p.page_indices[row * K + slot] = static_cast<std::int32_t>(page << p.page_bits | in_page);
  if (p.raw_indices != nullptr) p.raw_indices[row * K + slot] = static_cast<std::int32_t>(position);
}

/// Writes the output of a row of at most K scores: all positions in order, then -1 in the other slots.
template <int K>
DSV4_DEVICE void write_whole_row(const TopkParams& p, std::int64_t row, std::int64_t length) {
  for (int slot = static_cast<int>(threadIdx.x); slot < K; slot += kThreads) {
    if (slot < length) {
      write_slot<K>(p, row, slot, slot);
    } else {
      p.page_indices[row * K + slot] = -1;
      if (p.raw_indices != nullptr) p.raw_indices[row * K + slot] = -1;
    }
  }
}

/// Selects the K largest scores of a row, and writes their positions to the output.
template <int K>
DSV4_DEVICE void select_row(const TopkParams& p, Selection<K>& selection, std::int64_t row, int length) {
  const float* const scores = p.scores + row * p.score_stride;
  for (int offset = first_offset(scores); offset < length; offset += ScoreChunk::kEntries) {
    ScoreChunk chunk;
    chunk.load(scores, offset, length, /*begin=*/0);
    chunk.convert();
    selection.add(chunk, length - offset, offset + ScoreChunk::kEntries >= length);
  }
  selection.finish([&](std::uint32_t slot, Entry entry) { write_slot<K>(p, row, slot, index_of(entry)); });
}

/// Block (row, part): if the row has only one part, the block writes the row's output. Otherwise, it writes to the
/// workspace the entries of its part that can be among the row's K largest.
template <int K, int kBlocks>
__global__ void __launch_bounds__(kThreads, kBlocks) select_scores_kernel(const __grid_constant__ TopkParams p) {
  alignas(16) __shared__ SelectMemory<K> memory;
  wait_for_previous_kernel();
  const std::int64_t row_index = blockIdx.x;
  const int part = static_cast<int>(blockIdx.y);
  const Row row = row_of(p, row_index);
  if (part >= row.parts) return;
  if (row.length <= K) {
    write_whole_row<K>(p, row_index, row.length);
    return;
  }
  Selection<K> selection(memory);
  if (row.parts == 1) {
    select_row<K>(p, selection, row_index, row.length);
    return;
  }
  const float* const scores = p.scores + row_index * p.score_stride;
  const int begin = part * row.part_length;
  const int length = row.length - begin < row.part_length ? row.length - begin : row.part_length;
  filter_part(memory, scores, row.length, begin, length, p.parts + (row_index * p.max_parts + part) * kPartEntries);
}

/// The entries of a part, as the threads that copy them need them.
struct PartInList {
  std::uint16_t start;  ///< place of its first entry in the list
  std::uint16_t count;
};

/// One block per row selects the K largest entries among those that `select_scores_kernel` wrote for the row's parts.
/// If these are not usable, it selects among the scores of the whole row.
template <int K>
__global__ void __launch_bounds__(kThreads) select_parts_kernel(const __grid_constant__ TopkParams p) {
  alignas(16) __shared__ SelectMemory<K> memory;
  __shared__ PartInList in_list[kMostParts];
  wait_for_previous_kernel();
  const std::int64_t row_index = blockIdx.x;
  const Row row = row_of(p, row_index);
  if (row.parts == 1) return;  // already written
  const Entry* const entries = p.parts + row_index * p.max_parts * kPartEntries;

  Selection<K> selection(memory);
  const auto own = static_cast<int>(threadIdx.x);
  // A part that had no room for all of its entries counts as more entries than the list takes.
  std::uint32_t count = own < row.parts ? static_cast<std::uint32_t>(entries[own * kPartEntries + kListCapacity]) : 0;
  count = count > kListCapacity ? kListCapacity + 1 : count;
  const std::uint32_t start = take_positions(memory, count);
  if (own < row.parts) in_list[own] = {static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(count)};
  __syncthreads();
  const std::uint32_t total = memory.cursor;
  if (total < K || total > kListCapacity) {
    __syncthreads();  // all threads must have read the cursor before a thread changes it again
    if (threadIdx.x == 0) memory.cursor = 0;
    __syncthreads();
    select_row<K>(p, selection, row_index, row.length);
    return;
  }
  // The threads are divided among the parts. A thread loads several entries before it stores them.
  constexpr int kAtOnce = 8;
  const int threads = kThreads / row.parts;
  if (own / threads < row.parts) {
    const PartInList copied = in_list[own / threads];
    const Entry* const from = entries + own / threads * kPartEntries;
    for (int i = own % threads; i < copied.count; i += kAtOnce * threads) {
      Entry held[kAtOnce];
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) held[j] = i + j * threads < copied.count ? from[i + j * threads] : 0;
#pragma unroll
      for (int j = 0; j < kAtOnce; ++j) {
        if (i + j * threads < copied.count) memory.list[copied.start + i + j * threads] = held[j];
      }
    }
  }
  __syncthreads();
  selection.add_list(total);
  selection.finish([&](std::uint32_t slot, Entry entry) { write_slot<K>(p, row_index, slot, index_of(entry)); });
}

template <int K>
void launch_topk(TopkParams params, std::int64_t rows, DLDevice device, const char* op) {
  // A row gets only as many parts as are needed to give every multiprocessor kBlocksFewRows blocks.
  const std::int64_t multiprocessors = multiprocessor_count(device);
  if (params.max_length > kWholeRow) {
    const auto useful = ceil_div<std::int64_t>(params.max_length, kPartScores);
    params.max_parts = static_cast<int>(std::clamp<std::int64_t>(multiprocessors * kBlocksFewRows / rows, 1,
                                                                 std::min<std::int64_t>(useful, kMostParts)));
  }
  ::tvm::ffi::Optional<::tvm::ffi::Tensor> workspace;
  if (params.max_parts > 1) {
    workspace =
        ::tvm::ffi::Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, {rows, params.max_parts, kPartEntries}, kInt64, device);
    params.parts = static_cast<Entry*>(workspace.value().data_ptr());
  }
  dim3 grid = grid_of(rows, op);
  grid.y = static_cast<unsigned>(params.max_parts);
  const auto scores_kernel = rows > multiprocessors * kBlocksFewRows ? select_scores_kernel<K, kBlocksManyRows>
                                                                     : select_scores_kernel<K, kBlocksFewRows>;
  Launch{.name = op, .device = device, .grid = grid, .block = dim3(kThreads)}(scores_kernel, params);
  if (params.max_parts > 1) {
    grid.y = 1;
    Launch{.name = op, .device = device, .grid = grid, .block = dim3(kThreads)}(select_parts_kernel<K>, params);
  }
}

/// Checks the sizes that both ops limit in the same way.
inline void check_sizes(const ArgumentCheck& check, std::int64_t k, std::int64_t page_size, std::int64_t columns) {
  check.require(k == 512 || k == 1024, "page_indices", "size ", k, " of dimension 1 must be 512 or 1024");
  check.require(page_size > 0 && page_size <= (std::int64_t{1} << 30) && (page_size & (page_size - 1)) == 0,
                "page_size", "must be a power of two up to 2^30, got ", page_size);
  check.require(columns <= kMaxColumns, "scores", "rows of at most ", kMaxColumns, " scores are supported, got ",
                columns);
}

/// The parameters of a call whose arguments have been checked. `max_parts` and `parts` are set by launch_topk.
inline TopkParams params_of(const TensorView& scores, const TensorView& seq_lens, const TensorView& page_table,
                            const TensorView& page_indices, std::int64_t page_size) {
  const std::int64_t rows = scores.size(0);
  return {
      .scores = data_of<const float>(scores),
      .lengths = data_of<const std::int32_t>(seq_lens),
      .page_table = data_of<const std::int32_t>(page_table),
      .page_indices = data_of<std::int32_t>(page_indices),
      .raw_indices = nullptr,
      .score_stride = rows > 1 ? stride_of(scores, 0) : 0,
      .table_stride = rows > 1 ? stride_of(page_table, 0) : 0,
      .max_length = static_cast<int>(std::min(scores.size(1), page_table.size(1) * page_size)),
      .page_bits = std::countr_zero(static_cast<std::uint64_t>(page_size)),
  };
}

}  // namespace dsv4::topk
