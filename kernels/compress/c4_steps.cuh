/// What the C4 kernels do with a token, once its addresses are known. The kernels of V2 find the addresses in their
/// plans; the kernels of V1 find them in the pages of the requests. The addresses need not be inside the tensors.
///
/// A state page has four rows here. A ring of V1 has eight rows, and is two such pages.
#pragma once

#include <cfloat>

#include "kernels/common/launch.h"
#include "kernels/compress/c4_window.cuh"

namespace dsv4 {

/// The state pages of an entry.
struct C4Pages {
  std::int64_t group_before;
  std::int64_t group;
};

/// The pages of the group of a token at `position`, and of the group before it, in a ring of V1. A request's groups
/// take the two pages of its ring in turn.
DSV4_DEVICE C4Pages pages_of_ring(std::int64_t ring, std::uint32_t position) {
  const std::uint32_t second = position / kGroup % 2;
  return {2 * ring + (1 - second), 2 * ring + second};
}

/// Checks the tensors of a V1 call. Without `extra`, the state has rings of eight rows. Its pages are counted in units
/// of four rows.
inline OfflineTensors check_c4_v1_tensors(ArgumentCheck& check, const TensorView& kv_buffer, const TensorView& kv_input,
                                          const TensorView& kv_output, const TensorView& ape, Size& tokens,
                                          bool has_extra) {
  OfflineForm form = kC4Form;
  form.ratio = has_extra ? kGroup : kWindow;
  OfflineTensors t = check_offline_tensors(check, form, kv_buffer, kv_input, kv_output, ape, tokens, tokens);
  t.pages *= form.ratio / kGroup;
  return t;
}

inline constexpr float kAbsentScore = -FLT_MAX;  ///< of an absent window entry in V2
inline constexpr float kAbsentScoreV1 = -1e9f;   ///< in V1

/// The newest token of a decode step: its row number in the batch, and the lane's columns of its four blocks.
struct C4Token {
  std::int64_t number;
  Columns block[4];
};

/// The work of a lane in the memory of a call.
template <int kHeadDim>
struct C4Lane {
  using Place = C4Place<kHeadDim>;
  static constexpr int kRow = Place::kRow;

  const OfflineTensors& t;
  Place place;

  DSV4_DEVICE bool has_page(std::int64_t page) const { return page >= 0 && page < t.pages; }
  DSV4_DEVICE bool has_row(std::int64_t row) const { return row >= 0 && row < t.pages * kGroup; }

  /// Copies the row of a token from the batch to the state, if both have the row. A warp copies 512 contiguous floats.
  /// The four accesses of a lane are 512 bytes apart.
  DSV4_DEVICE void keep(std::int64_t token, std::int64_t row) const {
    if (token >= t.tokens || !has_row(row)) return;
    const std::uint32_t lane = threadIdx.x % kWarpLanes * kLaneColumns;
    const std::uint32_t first = (place.column - lane) * 4 + lane;
    const float* from = t.input + token * kRow + first;
    float* to = t.state + row * kRow + first;
    Columns part[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) part[i].load(from + i * kWarpColumns);
#pragma unroll
    for (int i = 0; i < 4; ++i) part[i].store(to + i * kWarpColumns);
  }

  /// Makes the entry whose last token is row `token` of the batch, as row `to` of the output. The first `window_before`
  /// window entries are read from the state, and the others from the batch. Does nothing if a row that it needs is not
  /// in the tensors.
  DSV4_DEVICE void compress(std::int64_t to, std::int64_t token, bool first_group, std::uint32_t window_before,
                            const C4Pages& pages, float absent_score) const {
    const int from_state = window_before < kWindow ? static_cast<int>(window_before) : kWindow;
    if (!has_rows(token, first_group, from_state, pages)) return;
    const float* group_before = column(pages.group_before);
    const float* group = column(pages.group);
    // `batch + i * kRow` is the row of window entry i in the batch. It may be before the first row of the batch if
    // entry i comes from the state.
    const float* batch = t.input + place.column + (token - (kWindow - 1)) * kRow;
    C4Window<kHeadDim> window;
#pragma unroll
    for (int i = 0; i < kWindow; ++i) {
      // All loads are unconditional, so that they overlap. An absent entry gets a row that is certainly there.
      const int j = i < kGroup && first_group ? i + kGroup : i;
      const float* page = j < kGroup ? group_before : group;
      window.load(i, j < from_state ? page + j % kGroup * kRow : batch + j * kRow);
    }
    if (first_group) window.mark_absent(absent_score);
    store(to, window);
  }

  /// Loads the newest token of a decode step. It is separate from `decode`. So it overlaps with the loads that tell
  /// where the token belongs.
  DSV4_DEVICE C4Token load_token(std::int64_t token) const {
    const float* row = t.input + token * kRow + place.column;
    C4Token loaded;
    loaded.number = token;
#pragma unroll
    for (int i = 0; i < 4; ++i) loaded.block[i].load(row + i * kHeadDim);
    return loaded;
  }

  /// A decode step: copies the newest token to row `row` of the state. If the token completes a group, makes the entry
  /// as row `newest.number` of the output. Does nothing if the state does not have the row. If it does not have the
  /// pages, there is no entry.
  DSV4_DEVICE void decode(const C4Token& newest, std::int64_t row, bool completes, bool first_group,
                          const C4Pages& pages, float absent_score) const {
    if (!has_row(row)) return;
    // A lane stores its own columns of all four blocks. So the window below reads nothing that another lane writes.
    float* kept = t.state + row * kRow + place.column;
#pragma unroll
    for (int i = 0; i < 4; ++i) newest.block[i].store(kept + i * kHeadDim);
    if (!completes || !has_page(pages.group) || (!first_group && !has_page(pages.group_before))) return;

    const float* group_before = column(pages.group_before);
    const float* group = column(pages.group);
    C4Window<kHeadDim> window;
#pragma unroll
    for (int i = 0; i < kWindow - 1; ++i) {
      // All loads are unconditional, so that they overlap. An absent entry gets a row that is certainly there.
      window.load(i, (i < kGroup && !first_group ? group_before : group) + i % kGroup * kRow);
    }
    if (first_group) window.mark_absent(absent_score);
    window.kv[kWindow - 1] = newest.block[1];  // the newest token is in registers
    window.score[kWindow - 1] = newest.block[3];
    store(newest.number, window);
  }

 private:
  /// The lane's column in the first row of a state page.
  DSV4_DEVICE const float* column(std::int64_t page) const { return t.state + page * kGroup * kRow + place.column; }

  /// True if all rows that the entry needs are in the state and in the batch.
  DSV4_DEVICE bool has_rows(std::int64_t token, bool first_group, int from_state, const C4Pages& pages) const {
    const int first = first_group ? kGroup : 0;                      // the first window entry that is present
    const int from_batch = from_state > first ? from_state : first;  // the first one that is read from the batch
    if (from_state > first && first == 0 && !has_page(pages.group_before)) return false;
    if (from_state > kGroup && !has_page(pages.group)) return false;
    return from_batch == kWindow || (token < t.tokens && token + from_batch >= kWindow - 1);
  }

  DSV4_DEVICE void store(std::int64_t to, C4Window<kHeadDim>& window) const {
    window.mean(t.ape + place.column).store(t.output + to * kHeadDim + place.column);
  }
};

/// Launches a kernel that has a place for each of `units` rows, if there are any.
template <int kHeadDim, class Params>
void launch_c4(const char* name, DLDevice device, std::int64_t units, void (*kernel)(Params), const Params& params) {
  if (units == 0) return;
  Launch{.name = name,
         .device = device,
         .grid = grid_of(C4Place<kHeadDim>::blocks(units), name),
         .block = dim3(kC4Threads)}(kernel, params);
}

}  // namespace dsv4
