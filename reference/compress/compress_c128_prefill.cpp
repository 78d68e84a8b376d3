/// Reference of `compress_c128_prefill`: computes the compressed entries that a prefill batch completes. Then it stores
/// in the state the rows of the tokens that are kept.
///
/// An entry that ends at position p is made from the 128 tokens p - 127 ... p. Each column is the mean of the kv of
/// these tokens, weighted by the softmax of their scores. The first `buffer_len` tokens are read from the state as it
/// was before the batch. The other tokens are read from the batch. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c128_v2.cuh:92-216 and :269-330.)
#include "interface/entry.h"
#include "reference/compress/offline_prefill.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_prefill";
constexpr std::int64_t kRatio = 128;

/// prefill: computes the entries, and then stores the kept rows in the state. Plan records that are marked as empty
/// (sentinels) are skipped. The plans are on the device, so a kernel's host code cannot check them. A record that names
/// a token outside the batch, or a row or page outside the state, is skipped too. Throws a ValueError that names
/// the argument.
///
/// @param kv_buffer  f32 [pages, 128, 2H], in place: the state
/// @param kv_input   f32 [N, 2H]: rows of the batch's tokens
/// @param kv_output  f32 [n_c, H], out; row k belongs to record k of plan_c
/// @param ape        f32 [128, H]: bias of the scores for each place in the window
/// @param plan_c     u8 [n_c, 16]: CompressPlan records
/// @param plan_w     u8 [n_w, 8]: WritePlan records, n_w <= N
void prefill(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_c,
             TensorView plan_w) {
  offline_prefill(kOp, kRatio, kv_buffer, kv_input, kv_output, ape, plan_c, plan_w);
}

/// Computes the error bounds of `prefill`. The arguments are those of `prefill`, but `bound`, f32 [n_c, H], replaces
/// kv_output. `bound` receives the largest distance that each element of a correct output may have from the reference's
/// element. It is 0 in the rows of sentinels. No other argument is changed.
void prefill_bound(TensorView kv_buffer, TensorView kv_input, TensorView bound, TensorView ape, TensorView plan_c,
                   TensorView plan_w) {
  offline_prefill_bound(kOp, kRatio, kv_buffer, kv_input, bound, ape, plan_c, plan_w);
}

}  // namespace

DSV4_ENTRY(prefill, prefill, "compress_c128_prefill", "compress_c128_prefill/1", "");
DSV4_AUX(prefill_bound, prefill_bound, "compress_c128_prefill", "bound", "");

}  // namespace dsv4::reference
