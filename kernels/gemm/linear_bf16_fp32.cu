/// linear_bf16_fp32: z = x y^T, a linear layer without a bias. Products and sums of bfloat16 are kept in float32.
///
///     run(x, y, z)
///
/// | argument | shape  | dtype    | |
/// |----------|--------|----------|-|
/// | x        | [M, K] | bfloat16 | by rows or by columns, see below |
/// | y        | [N, K] | bfloat16 | by rows or by columns: the weight |
/// | z        | [M, N] | float32  | contiguous, out |
///
/// A matrix is stored by rows if the elements of a row are neighbours, and by columns if those of a column are. There
/// may be gaps between the rows or columns. They must not overlap, so an expanded matrix is refused. If M = 0 or N = 0,
/// no kernel is launched. If K = 0, z is zero.
///
/// The order of the sums is unspecified, and it may depend on M, N and K. On a GPU cuBLAS computes the product.

#include <algorithm>

#include "interface/entry.h"
#include "kernels/common/check.h"
#include "kernels/gemm/bf16_product.cuh"

namespace dsv4 {
namespace {

/// How a matrix is stored.
struct Storage {
  bool by_rows;
  std::int64_t ld;  ///< distance between rows, or between columns
};

Storage storage_of(const ArgumentCheck& check, const char* name, const TensorView& matrix) {
  const std::int64_t rows = matrix.size(0), columns = matrix.size(1);
  // The stride of a dimension of size 1 has no meaning.
  const std::int64_t row_step = rows > 1 ? stride_of(matrix, 0) : std::max<std::int64_t>(columns, 1);
  const std::int64_t column_step = columns > 1 ? stride_of(matrix, 1) : 1;
  if (column_step == 1 && row_step >= std::max<std::int64_t>(columns, 1)) return {true, row_step};
  if ((rows <= 1 || stride_of(matrix, 0) == 1) && column_step >= std::max<std::int64_t>(rows, 1)) {
    return {false, column_step};
  }
  check.require(matrix.numel() == 0, name, "must be stored by rows or by columns without overlap, got strides ",
                stride_of(matrix, 0), " and ", stride_of(matrix, 1));
  return {true, std::max<std::int64_t>(columns, 1)};
}

void run(TensorView x, TensorView y, TensorView z) {
  ArgumentCheck check("linear_bf16_fp32");
  Size rows("M"), columns("N"), depth("K");
  check.tensor("x", x).dtype({kBfloat16}).shape({rows, depth}).on_cuda();
  check.tensor("y", y).dtype({kBfloat16}).shape({columns, depth}).on_cuda();
  check.tensor("z", z).dtype({kFloat32}).shape({rows, columns}).on_cuda().contiguous();
  const Storage in_x = storage_of(check, "x", x), in_y = storage_of(check, "y", y);
  if (rows.value() == 0 || columns.value() == 0) return;

  // BLAS stores by columns. So z, by rows, is its matrix C = y x^T, and a matrix by rows is already its transpose.
  multiply(check.device(), {.a = {.data = data_of<const __nv_bfloat16>(y), .transposed = in_y.by_rows, .ld = in_y.ld},
                            .b = {.data = data_of<const __nv_bfloat16>(x), .transposed = !in_x.by_rows, .ld = in_x.ld},
                            .c = data_of<float>(z),
                            .m = columns.value(),
                            .n = rows.value(),
                            .k = depth.value(),
                            .ldc = columns.value()});
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(run, dsv4::run, "linear_bf16_fp32", "linear_bf16_fp32/1", "");
