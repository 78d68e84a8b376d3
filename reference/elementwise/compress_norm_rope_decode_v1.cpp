/// Reference of compress_norm_rope_decode_v1: normalises the rows of requests that complete a compressed entry,
/// multiplies them by a weight, and rotates their last 64 elements, in place.
///
/// Upstream's kernel is in sglang 0.5.13, jit_kernel/csrc/deepseek_v4/fused_norm_rope.cuh (below, "line" means a line
/// of this file), in the mode CompressDecode.
#include <cstdint>
#include <string>
#include <vector>

#include "interface/entry.h"
#include "reference/common/view.h"
#include "reference/elementwise/compressed_rows.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "compress_norm_rope_decode_v1";
constexpr std::int64_t kDecodeMode = 1;  ///< CompressDecode (lines 35-39)

/// The rows of the requests whose length is a positive multiple of the ratio. To upstream's kernel, a length of 0 is a
/// multiple too (line 80).
std::vector<PlacedRow> rows_of_lengths(TensorView seq_lens, std::int64_t mode, std::int64_t rows, std::int64_t ratio) {
  const View<const std::int32_t, 1> lengths(kOp, "seq_lens", seq_lens);
  lengths.expect_contiguous();
  if (lengths.size(0) > rows) {
    refuse(kOp, "seq_lens",
           "expected at most " + std::to_string(rows) + " elements, one for each row of 'input', got " +
               std::to_string(lengths.size(0)));
  }
  if (mode != kDecodeMode) refuse(kOp, "mode", "expected 1, got " + std::to_string(mode));
  std::vector<PlacedRow> placed;
  for (std::int64_t b = 0; b < lengths.size(0); ++b) {
    const std::int64_t length = lengths(b);
    if (length > 0 && length % ratio == 0) placed.push_back({b, length - ratio});
  }
  return placed;
}

/// forward: row b of a request that completes an entry becomes y = x / sqrt(mean(x^2) + eps) * weight, and the last 64
/// elements of y are rotated. Other rows are not changed.
///
/// Elements (D - 64 + 2i, D - 63 + 2i) are the real and the imaginary part of pair i. They are multiplied by cos_i + i
/// sin_i in the row of freqs_cis for the first token of the entry's own group: seq_lens[b] - ratio (line 81). A row
/// whose position is outside freqs_cis is normalised, but not rotated. Upstream's kernel does not check positions (line
/// 94).
///
/// @param input      f32 [rows, D], contiguous, in place; D is 128 or 512
/// @param weight     f32 [D], contiguous
/// @param seq_lens   i32 [requests], contiguous: row b belongs to request b. Upstream's kernel does not refuse more
///                   requests than rows (lines 187-226)
/// @param freqs_cis  f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param mode       1; upstream's function has two more modes, which are other ops
/// @param eps        is rounded to float
/// @param ratio      number of tokens of an entry, positive
void forward(TensorView input, TensorView weight, TensorView seq_lens, TensorView freqs_cis, std::int64_t mode,
             double eps, std::int64_t ratio) {
  const CompressedRows rows(kOp, input, weight, freqs_cis, eps, ratio);
  rows.change(rows_of_lengths(seq_lens, mode, rows.size(), ratio));
}

/// Computes the interval of right results, from the ends of the factor's interval.
///
/// @param input_lo, input_hi  f32 [rows, D], out: least and greatest right result; a row that is not changed has its
///                            input there
/// The other arguments are those of `forward`. Only input_lo and input_hi are written.
void interval(TensorView input, TensorView weight, TensorView seq_lens, TensorView freqs_cis, std::int64_t mode,
              double eps, std::int64_t ratio, TensorView input_lo, TensorView input_hi) {
  const CompressedRows rows(kOp, input, weight, freqs_cis, eps, ratio);
  rows.bracket(rows_of_lengths(seq_lens, mode, rows.size(), ratio), View<float, 2>(kOp, "input_lo", input_lo),
               View<float, 2>(kOp, "input_hi", input_hi));
}

DSV4_ENTRY(forward, forward, "compress_norm_rope_decode_v1", "compress_norm_rope_decode_v1/1", "");
DSV4_AUX(forward_interval, interval, "compress_norm_rope_decode_v1", "interval", "");

}  // namespace
}  // namespace dsv4::reference
