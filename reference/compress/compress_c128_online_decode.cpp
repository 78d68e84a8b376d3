/// Reference of `compress_c128_online_decode`: adds each request's newest token to the running softmax of its group. If
/// the token completes the group, the mean is the compressed entry. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c128_online_v2.cuh:45-115.)
#include "interface/compress_plan.h"
#include "interface/entry.h"
#include "reference/compress/online_tensors.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_online_decode";

using layout::DecodePlan;

/// The merges of a plan. A record is skipped if its length is 0, or if the state does not have a slot that it uses. The
/// first token of a group does not read its slot, and the last one does not write it.
std::vector<Merge> merges_of(const OnlineTensors& t, const std::vector<DecodePlan>& plan) {
  if (static_cast<std::int64_t>(plan.size()) != t.input.size(0)) {
    refuse(kOp, "plan_d",
           "expected " + std::to_string(t.input.size(0)) + " rows, one per token, got " + std::to_string(plan.size()));
  }
  std::vector<Merge> merges;
  for (std::size_t b = 0; b < plan.size(); ++b) {
    if (plan[b].seq_len == 0) continue;
    const std::int64_t place = (std::int64_t{plan[b].seq_len} - 1) % kOnlineGroup;
    const bool completes = place == kOnlineGroup - 1;
    if ((place > 0 && !t.has_slot(plan[b].read_page_0)) || (!completes && !t.has_slot(plan[b].write_loc))) continue;
    const auto row = static_cast<std::int64_t>(b);
    merges.push_back({.first = row, .tokens = 1, .place = place, .from = plan[b].read_page_0, .to = plan[b].write_loc});
    if (completes) merges.back().entry = row;
  }
  return merges;
}

/// decode: throws a ValueError that names the argument. The plan is on the device, so a kernel's host code cannot
/// check it.
///
/// @param kv_buffer  f32 [slots, 1, 3H], in place: the state
/// @param kv_input   f32 [B, 2H]: rows of the newest tokens
/// @param kv_output  f32 [B, H], out; a row is written if the request's length is a multiple of 128
/// @param ape        f32 [128, H]: bias of the scores for each place in the group
/// @param plan_d     u8 [B, 16]: DecodePlan records of an online plan
void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  const auto plan = read_plan<DecodePlan>(kOp, "plan_d", plan_d);
  const OnlineTensors t = online_tensors(kOp, kv_buffer, kv_input, kv_output, ape, std::nullopt);
  for (const Merge& merge : merges_of(t, plan)) merge.has_earlier() ? apply(t, merge) : store_first(t, merge);
}

/// Computes the error bounds of `decode`. Two arguments follow those of `decode`: kv_output_bound and kv_buffer_bound
/// have the shapes of kv_output and kv_buffer. They receive the largest distance that each element of a correct result
/// may have from the reference's element. It is 0 in rows that `decode` does not write. No other argument is changed.
void decode_bound(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d,
                  TensorView kv_output_bound, TensorView kv_buffer_bound) {
  const auto plan = read_plan<DecodePlan>(kOp, "plan_d", plan_d);
  const OnlineTensors t = online_tensors(kOp, kv_buffer, kv_input, kv_output, ape, std::nullopt);
  const auto [output, state] = bound_tensors(kOp, t, kv_output_bound, kv_buffer_bound);
  for (const Merge& merge : merges_of(t, plan)) {
    if (merge.has_earlier()) apply_bound(t, merge, kDecodeRoundings, output, state);  // a first token is copied
  }
}

}  // namespace

DSV4_ENTRY(decode, decode, "compress_c128_online_decode", "compress_c128_online_decode/1", "");
DSV4_AUX(decode_bound, decode_bound, "compress_c128_online_decode", "bound", "");

}  // namespace dsv4::reference
