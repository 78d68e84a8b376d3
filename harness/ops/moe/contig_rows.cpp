#include "harness/ops/moe/contig_rows.h"

#include <cstring>

#include "harness/op/records.h"
#include "harness/ops/moe/gate_up_rows.h"

namespace dsv4 {

HostTensor transposed_scale(std::int64_t rows, std::int64_t words, std::int64_t pad) {
  const std::int64_t column = (rows + 3) / 4 * 4 + pad;
  return HostTensor::strided(DType::kI32, {rows, words}, {1, column}, 0, column * words);
}

Call contig_call(const Op& op, Params compile, std::int64_t rows, std::int64_t dim, bool transposed, std::int64_t pad) {
  return op.call({HostTensor::make(DType::kBF16, {rows, 2 * dim}), HostTensor::make(DType::kE4M3, {rows, dim}),
                  transposed ? transposed_scale(rows, dim / (4 * kScaleGroup), pad)
                             : HostTensor::make(DType::kF32, {rows, dim / kScaleGroup}),
                  transposed, 0.0},
                 std::move(compile));
}

HostTensor scales_by_group(const Call& call, const HostTensor& output_scale) {
  HostTensor packed = output_scale.packed();
  if (!flag_of(call, "transposed")) return packed;
  // In a packed row, the bytes of the words are in the order of the groups.
  HostTensor bytes = HostTensor::make(DType::kU8, {packed.size(0), 4 * packed.size(1)});
  bytes.storage = packed.storage;
  return bytes;
}

}  // namespace dsv4
