/// compress_norm_rope_store: normalises compressed entries by their root mean square, multiplies them by a weight,
/// rotates their last 64 elements, and stores them in a paged cache. A plan says where an entry belongs.
///
///     forward_<layout>_p<P>(input, plan, weight, eps, freqs_cis, out_loc, kvcache, is_decode, compress_ratio)
///
/// | argument       | shape          | dtype   | |
/// |----------------|----------------|---------|-|
/// | input          | [N, D]         | float32 | contiguous; D = 512 for the layout flashmla, else 128 |
/// | plan           | [N, 16]        | uint8   | contiguous; DecodePlan or CompressPlan, aligned to 16 bytes |
/// | weight         | [D]            | float32 | contiguous |
/// | eps            | number         |         | rounded to float32 |
/// | freqs_cis      | [M, 64]        | float32 | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | out_loc        | [L]            | int32   | contiguous; slot of each token. L = N for a decode plan, else L >= N |
/// | kvcache        | [pages, bytes] | uint8   | pages of P slots, in place; P = 2 or 64 |
/// | is_decode      | flag           |         | which kind of records the plan has |
/// | compress_ratio | number         |         | tokens of a group, at least 1 |
///
/// y = (x * f) * w with f = rsqrt(sum(x^2) / D + eps), in float32. The last 64 dims of y are rotated as in
/// rotation.cuh. Their position is seq_len - compress_ratio. A slot (interface/kv_cache.h) then gets:
///
/// | layout      | what is stored |
/// |-------------|----------------|
/// | flashmla    | dims 0..447, rounded to bfloat16 and then quantised in groups of 64; the rotated dims as bfloat16 |
/// | indexer     | the Hadamard transform (hadamard.h), as E4M3 codes with one float32 scale, as in fused_store_cache |
/// | indexer_fp4 | the Hadamard transform, as E2M1 codes (e2m1.h) with a UE8M0 byte for each 32 of them |
///
/// A DecodePlan has an entry if its seq_len is a multiple of the ratio and is not 0; its slot is out_loc[i]. A
/// CompressPlan has one if its seq_len is not a sentinel; its slot is out_loc[ragged_id]. Other rows are skipped.
///
/// The plan and the slots are on the device, so the host cannot check them. A row is skipped if its ragged_id is
/// outside out_loc, or if its slot is negative or beyond the last page. An entry whose position is outside [0, M) is
/// stored without a rotation. If two entries have the same slot, their writes race. If N = 0, no kernel is launched.
///
/// One warp handles an entry, so it stays in registers between its only load and its only store (row_norm.cuh). If an
/// address is not a multiple of the access size, elements are read and written one by one.

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "kernels/attn/paged_cache.cuh"
#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/common/e2m1.h"
#include "kernels/common/hadamard.h"
#include "kernels/common/launch.h"
#include "kernels/elementwise/row_norm.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_norm_rope_store";
constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;

/// Where an entry belongs: its position, and the token whose slot it gets; -1 if a record has no entry.
struct Place {
  std::int64_t position;
  std::int64_t token;
};

struct EntryPlan {
  const void* records;
  const std::int32_t* out_loc;
  std::int64_t count;   ///< number of records
  std::int64_t tokens;  ///< number of slots in out_loc
  std::uint32_t ratio;
  bool is_decode;

  DSV4_DEVICE Place place(std::int64_t i) const {
    if (is_decode) {
      const std::uint32_t length = static_cast<const layout::DecodePlan*>(records)[i].seq_len;
      if (length == 0 || length % ratio != 0) return {0, -1};
      return {std::int64_t{length} - ratio, i};
    }
    const layout::CompressPlan record = static_cast<const layout::CompressPlan*>(records)[i];
    if (record.seq_len == layout::kNoEntry || record.ragged_id >= tokens) return {0, -1};
    return {std::int64_t{record.seq_len} - ratio, record.ragged_id};
  }
};

struct StoreParams {
  const float* rows;
  const float* weight;
  const float* freqs;
  EntryPlan plan;
  PagedCache cache;
  std::int64_t table_rows;
  float eps;
};

/// The entry that a warp handles.
struct Entry {
  std::int64_t position;
  std::int32_t slot;  ///< its number in the cache
  bool exists;        ///< all lanes of the warp agree
};

DSV4_DEVICE std::int64_t record_of_warp() { return static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32; }

/// Returns the entry of record `number`. The slot of a decode plan's record is loaded before the record is tested, so
/// that both loads overlap.
DSV4_DEVICE Entry entry_of(const StoreParams& p, std::int64_t number) {
  const std::int32_t own_slot = p.plan.is_decode ? p.plan.out_loc[number] : 0;
  const Place place = p.plan.place(number);
  if (place.token < 0) return {0, 0, false};
  return {place.position, p.plan.is_decode ? own_slot : p.plan.out_loc[place.token], true};
}

constexpr int kKeyDim = 512;
constexpr int kTiles = kKeyDim / kPerTile;

template <bool kWide>
__global__ void __launch_bounds__(kThreads) flashmla_kernel(const __grid_constant__ StoreParams p) {
  wait_for_previous_kernel();
  const std::int64_t number = record_of_warp();
  if (number >= p.plan.count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  WarpRow<kTiles, kWide, float> row, weight;
  row.load(p.rows + number * kKeyDim + lane * kPerLane);
  weight.load(p.weight + lane * kPerLane);
  // The angles wait for the record, and so does the slot of a CompressPlan. The row of a record without an entry is
  // loaded too. The reduction comes before the tests. So the compiler cannot move the load of the row behind them.
  const Entry entry = entry_of(p, number);
  LaneAngles<kWide> angles;
  angles.load(p.freqs, p.table_rows, entry.position, lane);
  const float factor = row.factor(p.eps);
  const Slot slot = p.cache.slot(entry.slot);
  if (!entry.exists || slot.page == nullptr) return;

  const FlashmlaSlot stored = flashmla_slot(p.cache, slot);
#pragma unroll
  for (int t = 0; t < kTiles; ++t) {
    const int dim = t * kPerTile + lane * kPerLane;
    Pack<float, kPerLane, kWide> y;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      y.v[i] = __fmul_rn(__fmul_rn(row.tile[t].v[i], factor), weight.tile[t].v[i]);
      if (dim < kQuantisedDims) y.v[i] = __bfloat162float(__float2bfloat16_rn(y.v[i]));
    }
    const float amax = lanes_max<8>(max_magnitude(y));  // the rotated dims ignore it
    if (t == kTiles - 1) angles.rotate(y);
    store_flashmla_dims(stored, dim, y, amax);
  }
}

constexpr int kIndexerDim = 128;
constexpr int kIndexerPerLane = kIndexerDim / 32;
constexpr int kFp4Bytes = kIndexerDim / 2;  ///< of the codes of an entry
constexpr int kFirstRotatedLane = (kIndexerDim - kRopeDim) / kIndexerPerLane;

/// Lane l holds dims 4l ... 4l + 3. With kFp4, eight neighbouring lanes hold a group of 32 dims.
template <bool kFp4, bool kWide>
__global__ void __launch_bounds__(kThreads) indexer_kernel(const __grid_constant__ StoreParams p) {
  wait_for_previous_kernel();
  const std::int64_t number = record_of_warp();
  if (number >= p.plan.count) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  Pack<float, kIndexerPerLane, kWide> y, weight, angles;
  y.load(p.rows + number * kIndexerDim + lane * kIndexerPerLane);
  weight.load(p.weight + lane * kIndexerPerLane);
  const Entry entry = entry_of(p, number);
  const bool is_rotated = lane >= kFirstRotatedLane && entry.position >= 0 && entry.position < p.table_rows;
  if (is_rotated) angles.load(p.freqs + entry.position * kRopeDim + (lane - kFirstRotatedLane) * kIndexerPerLane);
  const float factor = norm_factor<kIndexerDim>(lanes_sum<32>(sum_of_squares(y, 0.0f)), p.eps);
  const Slot slot = p.cache.slot(entry.slot);
  if (!entry.exists || slot.page == nullptr) return;

#pragma unroll
  for (int i = 0; i < kIndexerPerLane; ++i) y.v[i] = __fmul_rn(__fmul_rn(y.v[i], factor), weight.v[i]);
  if (is_rotated) {
#pragma unroll
    for (int i = 0; i < kIndexerPerLane; i += 2) {
      const float2 pair = rotated<false>(y.v[i], y.v[i + 1], angles.v[i], angles.v[i + 1]);
      y.v[i] = pair.x;
      y.v[i + 1] = pair.y;
    }
  }
  hadamard<kIndexerPerLane, 32>(y.v);

  if constexpr (kFp4) {
    const std::uint32_t byte = e2m1_scale_byte(lanes_max<8>(max_magnitude(y)));
    const std::uint32_t codes = e2m1_codes<kIndexerPerLane>(y.v, ue8m0_inverse(byte));
    const Pack<std::uint16_t, 1, kWide> stored{{static_cast<std::uint16_t>(codes)}};
    store_bytes<kWide>(slot.page + slot.place * kFp4Bytes + lane * 2, stored);
    if (lane % 8 == 0) {
      slot.page[(std::int64_t{kFp4Bytes} << p.cache.page_bits) + slot.place * 4 + lane / 8] =
          static_cast<std::uint8_t>(byte);
    }
  } else {
    const float scale = __fdiv_rn(max_number(kMinAmax, lanes_max<32>(max_magnitude(y))), kE4m3Max);
    store_bytes<kWide>(slot.page + slot.place * kIndexerDim + lane * kIndexerPerLane,
                       codes_of(y, __fdiv_rn(1.0f, scale)));
    if (lane == 0) {
      const Pack<float, 1, kWide> stored{{scale}};
      store_bytes<kWide>(slot.page + (std::int64_t{kIndexerDim} << p.cache.page_bits) + slot.place * 4, stored);
    }
  }
}

/// Checks the arguments that do not depend on the layout, and returns them. The cache is still missing.
StoreParams checked_params(ArgumentCheck& check, int dim, TensorView input, TensorView plan, TensorView weight,
                           double eps, TensorView freqs_cis, TensorView out_loc, bool is_decode,
                           std::int64_t compress_ratio) {
  Size records("records"), tokens("tokens"), table_rows("table rows");
  constexpr auto kBytes = static_cast<std::int64_t>(sizeof(layout::DecodePlan));
  static_assert(sizeof(layout::CompressPlan) == sizeof(layout::DecodePlan));
  check.tensor("input", input).dtype({kFloat32}).shape({records, dim}).on_cuda().contiguous();
  check.tensor("plan", plan).dtype({kUint8}).shape({records, kBytes}).on_cuda().contiguous().aligned(kBytes);
  check.tensor("weight", weight).dtype({kFloat32}).shape({dim}).on_cuda().contiguous();
  check.tensor("freqs_cis", freqs_cis).dtype({kFloat32}).shape({table_rows, kRopeDim}).on_cuda().contiguous();
  check.tensor("out_loc", out_loc).dtype({kInt32}).shape({tokens}).on_cuda().contiguous();
  const bool fits = is_decode ? tokens.value() == records.value() : tokens.value() >= records.value();
  check.require(fits, "out_loc", "size ", tokens.value(), " of dimension 0 must be ", is_decode ? "" : "at least ",
                records.value(), ", the number of records of 'plan'");
  check.require(compress_ratio >= 1 && compress_ratio <= 0xFFFFFFFF, "compress_ratio",
                "must be between 1 and 2^32 - 1, got ", compress_ratio);
  return {
      .rows = data_of<const float>(input),
      .weight = data_of<const float>(weight),
      .freqs = data_of<const float>(freqs_cis),
      .plan = {.records = data_of<const void>(plan),
               .out_loc = data_of<const std::int32_t>(out_loc),
               .count = records.value(),
               .tokens = tokens.value(),
               .ratio = static_cast<std::uint32_t>(compress_ratio),
               .is_decode = is_decode},
      .cache = {},
      .table_rows = table_rows.value(),
      .eps = static_cast<float>(eps),
  };
}

template <int kPage>
void forward_flashmla(TensorView input, TensorView plan, TensorView weight, double eps, TensorView freqs_cis,
                      TensorView out_loc, TensorView kvcache, bool is_decode, std::int64_t compress_ratio) {
  ArgumentCheck check(kOp);
  StoreParams params =
      checked_params(check, kKeyDim, input, plan, weight, eps, freqs_cis, out_loc, is_decode, compress_ratio);
  params.cache = checked_flashmla_cache(check, "kvcache", kvcache, kPage);
  if (params.plan.count == 0) return;

  const bool wide = is_aligned(input, 16) && is_aligned(weight, 16) && is_aligned(freqs_cis, 16) &&
                    is_aligned(kvcache, 16) && params.cache.page_bytes % 16 == 0;
  const auto kernel = wide ? flashmla_kernel<true> : flashmla_kernel<false>;
  const dim3 grid = grid_of(ceil_div<std::int64_t>(params.plan.count, kWarps), kOp);
  Launch{.name = kOp, .device = check.device(), .grid = grid, .block = dim3(kThreads)}(kernel, params);
}

template <bool kFp4, int kPage>
void forward_indexer(TensorView input, TensorView plan, TensorView weight, double eps, TensorView freqs_cis,
                     TensorView out_loc, TensorView kvcache, bool is_decode, std::int64_t compress_ratio) {
  constexpr std::int64_t kSlotBytes = (kFp4 ? kFp4Bytes : kIndexerDim) + 4;
  ArgumentCheck check(kOp);
  StoreParams params =
      checked_params(check, kIndexerDim, input, plan, weight, eps, freqs_cis, out_loc, is_decode, compress_ratio);
  params.cache = checked_cache(check, "kvcache", kvcache, kPage, kSlotBytes, kSlotBytes * kPage);
  if (params.plan.count == 0) return;

  const bool wide = is_aligned(input, 16) && is_aligned(weight, 16) && is_aligned(freqs_cis, 16) &&
                    is_aligned(kvcache, 4) && params.cache.page_bytes % 4 == 0;
  const auto kernel = wide ? indexer_kernel<kFp4, true> : indexer_kernel<kFp4, false>;
  const dim3 grid = grid_of(ceil_div<std::int64_t>(params.plan.count, kWarps), kOp);
  Launch{.name = kOp, .device = check.device(), .grid = grid, .block = dim3(kThreads)}(kernel, params);
}

}  // namespace
}  // namespace dsv4

#define DSV4_COMPRESS_NORM_ROPE(PAGE)                                                                      \
  DSV4_ENTRY(forward_flashmla_p##PAGE, dsv4::forward_flashmla<PAGE>, "compress_norm_rope_store",           \
             "compress_norm_rope_store/1", "layout=flashmla;page=" #PAGE);                                 \
  DSV4_ENTRY(forward_indexer_p##PAGE, (dsv4::forward_indexer<false, PAGE>), "compress_norm_rope_store",    \
             "compress_norm_rope_store/1", "layout=indexer;page=" #PAGE);                                  \
  DSV4_ENTRY(forward_indexer_fp4_p##PAGE, (dsv4::forward_indexer<true, PAGE>), "compress_norm_rope_store", \
             "compress_norm_rope_store/1", "layout=indexer_fp4;page=" #PAGE)

DSV4_COMPRESS_NORM_ROPE(2);
DSV4_COMPRESS_NORM_ROPE(64);
