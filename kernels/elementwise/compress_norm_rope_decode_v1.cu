/// compress_norm_rope_decode_v1: normalises the rows of requests that complete a compressed entry by their root mean
/// square, multiplies them by a weight, and rotates their last 64 elements, in place (compressed_rows.cuh).
///
///     forward(input, weight, seq_lens, freqs_cis, mode, eps, ratio)
///
/// | argument  | shape   | dtype   | |
/// |-----------|---------|---------|-|
/// | input     | [N, D]  | float32 | contiguous, in place; D is 128 or 512 |
/// | weight    | [D]     | float32 | contiguous |
/// | seq_lens  | [B]     | int32   | contiguous, B <= N: row b belongs to request b |
/// | freqs_cis | [M, 64] | float32 | contiguous; row = cos_0, sin_0, ..., cos_31, sin_31 |
/// | mode      | 1       |         | upstream's function has other modes, which this one refuses |
/// | eps       | number  |         | rounded to float32 |
/// | ratio     | number  |         | tokens of an entry, at least 1 |
///
/// A row is changed if the length of its request is a positive multiple of the ratio. Its position is that of the first
/// token of the entry's own group: length - ratio.
///
/// Lengths are on the device, so the host cannot check them. Rows of other requests are not changed. If B = 0, no
/// kernel is launched.

#include "interface/entry.h"
#include "kernels/elementwise/compressed_rows.cuh"

namespace dsv4 {
namespace {

constexpr const char* kOp = "compress_norm_rope_decode_v1";

struct RequestLengths {
  const std::int32_t* lengths;

  DSV4_DEVICE RowPlace place(std::int64_t i, std::int64_t, std::int64_t ratio) const {
    const std::int64_t length = lengths[i];
    if (length <= 0 || length % ratio != 0) return {-1, 0};
    return {i, length - ratio};
  }
};

void forward(TensorView input, TensorView weight, TensorView seq_lens, TensorView freqs_cis, std::int64_t mode,
             double eps, std::int64_t ratio) {
  ArgumentCheck check(kOp);
  auto params = checked_rows<RequestLengths>(check, input, weight, freqs_cis, eps, ratio);
  Size count("requests");
  check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({count}).on_cuda().contiguous();
  check.require(count.value() <= params.row_count, "seq_lens", "size ", count.value(),
                " of dimension 0 must be at most ", params.row_count, ", the number of rows of 'input'");
  check.require(mode == 1, "mode", "must be 1, got ", mode);
  params.records = {data_of<const std::int32_t>(seq_lens)};
  params.count = count.value();
  change_rows(check, kOp, params);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(forward, dsv4::forward, "compress_norm_rope_decode_v1", "compress_norm_rope_decode_v1/1",
           "head_dim=128|512");
