/// Reference of `compress_c128_online_prefill`: merges the segments of a prefill batch with the running softmaxes of
/// their groups. Segments that complete their group give compressed entries. The others are stored in the state.
/// (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c128_online_v2.cuh:235-380.)
#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/online_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_online_prefill";

using layout::CompressPlan;

/// The merge of a record, or nullopt if the record is a sentinel, or if its tokens or its slot are not in the tensors.
/// `entry` is its row of kv_output; without it, the segment is stored. A segment that begins its group reads no slot,
/// and one that completes its group writes none.
std::optional<Merge> merge_of(const OnlineTensors& t, const CompressPlan& plan, std::optional<std::int64_t> entry) {
  if (plan.seq_len == layout::kNoEntry || plan.seq_len == 0) return std::nullopt;
  const std::int64_t last = (std::int64_t{plan.seq_len} - 1) % kOnlineGroup;
  const Merge merge{.first = std::int64_t{plan.ragged_id} - plan.buffer_len + 1,
                    .tokens = plan.buffer_len,
                    .place = last - plan.buffer_len + 1,
                    .from = plan.read_page_0,
                    .to = plan.read_page_0,
                    .entry = entry};
  const bool has_tokens = merge.tokens > 0 && merge.first >= 0 && plan.ragged_id < t.input.size(0);
  const bool uses_slot = merge.has_earlier() || !entry;
  if (!has_tokens || merge.place < 0 || (uses_slot && !t.has_slot(plan.read_page_0))) return std::nullopt;
  return merge;
}

struct Merges {
  std::vector<Merge> complete;
  std::vector<Merge> open;
};

Merges merges_of(const OnlineTensors& t, const std::vector<CompressPlan>& plan_c,
                 const std::vector<CompressPlan>& plan_w) {
  if (static_cast<std::int64_t>(plan_w.size()) > t.input.size(0)) {
    refuse(kOp, "plan_w",
           "expected at most " + std::to_string(t.input.size(0)) + " rows, the number of rows of 'kv_input', got " +
               std::to_string(plan_w.size()));
  }
  Merges merges;
  for (std::size_t k = 0; k < plan_c.size(); ++k) {
    if (const auto merge = merge_of(t, plan_c[k], static_cast<std::int64_t>(k))) merges.complete.push_back(*merge);
  }
  for (const CompressPlan& plan : plan_w) {
    if (const auto merge = merge_of(t, plan, std::nullopt)) merges.open.push_back(*merge);
  }
  return merges;
}

/// prefill: computes the entries, and then stores the segments of open groups. So all segments of plan_c read the state
/// as it was before the batch. Throws a ValueError that names the argument. The plans are on the device, so a kernel's
/// host code cannot check them.
///
/// @param kv_buffer  f32 [slots, 1, 3H], in place: the state
/// @param kv_input   f32 [N, 2H]: rows of the batch's tokens
/// @param kv_output  f32 [n_c, H], out; row k belongs to record k of plan_c
/// @param ape        f32 [128, H]: bias of the scores for each place in the group
/// @param plan_c     u8 [n_c, 16]: CompressPlan records of an online plan
/// @param plan_w     u8 [n_w, 16]: the same for the segments of open groups, n_w <= N
void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  const auto complete = read_plan<CompressPlan>(kOp, "plan_c", plan_c);
  const auto open = read_plan<CompressPlan>(kOp, "plan_w", plan_w);
  const OnlineTensors t =
      online_tensors(kOp, kv_buffer, kv_input, kv_output, ape, static_cast<std::int64_t>(complete.size()));
  const Merges merges = merges_of(t, complete, open);
  for (const Merge& merge : merges.complete) apply(t, merge);
  for (const Merge& merge : merges.open) apply(t, merge);
}

/// Computes the error bounds of `prefill`. Three arguments follow those of `prefill`: kv_output_bound and
/// kv_buffer_bound have the shapes of kv_output and kv_buffer. They receive the largest distance that each element of a
/// correct result may have from the reference's element. An implementation may merge the same tokens in up to `merges`
/// further steps. The distance is 0 in rows that `prefill` does not write. No other argument is changed.
void prefill_bound(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
                   TensorView plan_w, TensorView kv_output_bound, TensorView kv_buffer_bound, std::int64_t merges) {
  const auto complete = read_plan<CompressPlan>(kOp, "plan_c", plan_c);
  const auto open = read_plan<CompressPlan>(kOp, "plan_w", plan_w);
  const OnlineTensors t =
      online_tensors(kOp, kv_buffer, kv_input, kv_output, ape, static_cast<std::int64_t>(complete.size()));
  const auto [output, state] = bound_tensors(kOp, t, kv_output_bound, kv_buffer_bound);
  const Roundings roundings = kPrefillRoundings.then(static_cast<double>(merges));
  const Merges all = merges_of(t, complete, open);
  for (const Merge& merge : all.complete) apply_bound(t, merge, roundings, output, state);
  for (const Merge& merge : all.open) apply_bound(t, merge, roundings, output, state);
}

}  // namespace

DSV4_ENTRY(prefill, prefill, "compress_c128_online_prefill", "compress_c128_online_prefill/1", "");
DSV4_AUX(prefill_bound, prefill_bound, "compress_c128_online_prefill", "bound", "");

}  // namespace dsv4::reference
