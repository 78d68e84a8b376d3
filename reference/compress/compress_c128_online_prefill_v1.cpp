/// Reference of `compress_c128_online_prefill_v1`: merges the segments of a prefill batch with the running softmaxes of
/// their groups. Segments that complete their group give compressed entries. The others are stored in the state.
/// (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c128_online.cuh:316-450.)
#include <tvm/ffi/optional.h>

#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/online_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_online_prefill_v1";

using layout::TokenPlan;
using Extra = ::tvm::ffi::Optional<TensorView>;

struct Batch {
  OnlineTensors t;
  View<const std::int32_t, 1> store;  ///< slots of the groups that stay open
  View<const std::int32_t, 1> load;   ///< slots of the earlier tokens (c128_online.cuh:559-563)
  std::vector<TokenPlan> complete;
  std::vector<TokenPlan> open;

  Batch(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
        TensorView compress_plan, TensorView write_plan, const Extra& extra)
      : t(online_tensors(kOp, kv_buffer, kv_input, kv_output, ape, std::nullopt)),
        store(kOp, "indices", indices),
        load(kOp, extra.has_value() ? "extra" : "indices", extra.has_value() ? extra.value() : indices),
        complete(read_plan<TokenPlan>(kOp, "compress_plan", compress_plan)),
        open(read_plan<TokenPlan>(kOp, "write_plan", write_plan)) {
    store.expect_contiguous();
    load.expect_size(0, store.size(0)).expect_contiguous();
  }

  /// The merge of a record, or nullopt if the record is a sentinel, or if its request, its tokens or a slot that it
  /// uses are not in the tensors. A segment that begins its group reads no slot, and one that completes its group
  /// writes none. In these plans, `window_len` is the number of tokens of the segment.
  [[nodiscard]] std::optional<Merge> merge_of(const TokenPlan& plan, bool completes) const {
    if (plan.ragged_id == layout::kNoEntry || plan.batch_id >= store.size(0)) return std::nullopt;
    const std::int64_t tokens = plan.window_len, last = plan.ragged_id;
    Merge merge{.first = last - tokens + 1,
                .tokens = tokens,
                .place = plan.position % kOnlineGroup - tokens + 1,
                .from = load(plan.batch_id),
                .to = store(plan.batch_id)};
    if (completes) merge.entry = last;
    const bool has_tokens = tokens > 0 && merge.first >= 0 && last < t.input.size(0) && merge.place >= 0;
    if (!has_tokens || (merge.has_earlier() && !t.has_slot(merge.from)) || (!completes && !t.has_slot(merge.to))) {
      return std::nullopt;
    }
    return merge;
  }

  /// Calls visit(merge) for each segment that completes its group, and then for those of open groups.
  template <class Visit>
  void each_merge(Visit visit) const {
    for (const TokenPlan& plan : complete) {
      if (const auto merge = merge_of(plan, true)) visit(*merge);
    }
    for (const TokenPlan& plan : open) {
      if (const auto merge = merge_of(plan, false)) visit(*merge);
    }
  }
};

/// prefill: computes the entries, and then stores the segments of open groups. So all segments of compress_plan read
/// the state as it was before the batch. Throws a ValueError that names the argument. Plans and slots are on the
/// device, so a kernel's host code cannot check them. Upstream's kernel uses them unchecked.
///
/// @param kv_buffer      f32 [slots, 1, 3H], in place: the state
/// @param kv_input       f32 [N, 2H]: rows of the batch's tokens
/// @param kv_output      f32 [N, H], out; the row of the last token of each segment of compress_plan is written
/// @param ape            f32 [128, H]: bias of the scores for each place in the group
/// @param indices        i32 [B]: slot in which the open group of each request is stored
/// @param compress_plan  u8 [n_c, 16]: TokenPlan records of an online plan
/// @param write_plan     u8 [n_w, 16]: the same for the segments of open groups
/// @param extra          i32 [B], optional: slot of the earlier tokens of each request; without it, `indices`
void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
             TensorView compress_plan, TensorView write_plan, Extra extra) {
  const Batch batch(kv_buffer, kv_input, kv_output, ape, indices, compress_plan, write_plan, extra);
  batch.each_merge([&](const Merge& merge) { apply(batch.t, merge); });
}

/// Computes the error bounds of `prefill`. Three arguments follow those of `prefill`: kv_output_bound and
/// kv_buffer_bound have the shapes of kv_output and kv_buffer. They receive the largest distance that each element of a
/// correct result may have from the reference's element, also if an implementation merges the same tokens in up to
/// `merges` further steps. It is 0 in rows that `prefill` does not write. No other argument is changed.
void prefill_bound(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView indices,
                   TensorView compress_plan, TensorView write_plan, Extra extra, TensorView kv_output_bound,
                   TensorView kv_buffer_bound, std::int64_t merges) {
  const Batch batch(kv_buffer, kv_input, kv_output, ape, indices, compress_plan, write_plan, extra);
  const auto [output, state] = bound_tensors(kOp, batch.t, kv_output_bound, kv_buffer_bound);
  const Roundings roundings = kPrefillRoundings.then(static_cast<double>(merges));
  batch.each_merge([&, &output = output, &state = state](const Merge& merge) {
    apply_bound(batch.t, merge, roundings, output, state);
  });
}

}  // namespace

DSV4_ENTRY(prefill, prefill, "compress_c128_online_prefill_v1", "compress_c128_online_prefill_v1/1", "");
DSV4_AUX(prefill_bound, prefill_bound, "compress_c128_online_prefill_v1", "bound", "");

}  // namespace dsv4::reference
