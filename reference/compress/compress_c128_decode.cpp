/// Reference of `compress_c128_decode`: stores the row of each request's newest token in the state. If the token
/// completes a group, the compressed entry is computed from the state. (sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/c128_v2.cuh:92-266.)
#include "interface/entry.h"
#include "reference/compress/offline_decode.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_c128_decode";
constexpr std::int64_t kRatio = 128;

/// decode: stores the new rows in the state, and then computes the entries. Throws a ValueError that names
/// the argument.
///
/// The plan is on the device, so a kernel's host code cannot check it. A record is skipped if its length is 0, or if
/// the state does not have its row: nothing is kept, and no entry is written. If the state does not have a page that
/// the entry needs, the token is kept, and no entry is written.
///
/// @param kv_buffer  f32 [pages, 128, 2H], in place: the state
/// @param kv_input   f32 [B, 2H]: rows of the newest tokens
/// @param kv_output  f32 [B, H], out; a row is written if the request's length is a multiple of 128
/// @param ape        f32 [128, H]: bias of the scores for each place in the window
/// @param plan_d     u8 [B, 16]: DecodePlan records
void decode(TensorView kv_buffer, TensorView kv_input, TensorView kv_output, TensorView ape, TensorView plan_d) {
  offline_decode(kOp, kRatio, kv_buffer, kv_input, kv_output, ape, plan_d);
}

/// Computes the error bounds of `decode`. The arguments are those of `decode`, but `bound`, f32 [B, H], replaces
/// kv_output. `bound` receives the largest distance that each element of a correct output may have from the reference's
/// element. It is 0 in rows that `decode` does not write. No other argument is changed.
void decode_bound(TensorView kv_buffer, TensorView kv_input, TensorView bound, TensorView ape, TensorView plan_d) {
  offline_decode_bound(kOp, kRatio, kv_buffer, kv_input, bound, ape, plan_d);
}

}  // namespace

DSV4_ENTRY(decode, decode, "compress_c128_decode", "compress_c128_decode/1", "");
DSV4_AUX(decode_bound, decode_bound, "compress_c128_decode", "bound", "");

}  // namespace dsv4::reference
