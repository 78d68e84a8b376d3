/// C = op(A) op(B) for bfloat16 matrices A and B and a float32 matrix C. The arguments are those of BLAS: matrices are
/// stored by columns, and `ld` is the distance between columns.
///
/// On a GPU cuBLAS computes the product. The host executor cannot run cuBLAS, so there a plain kernel takes its place.
/// It takes the same arguments, so the host set tests everything around the product.
#pragma once

#include <cstdint>

#include "kernels/common/device.h"
#include "kernels/common/launch.h"

#if !defined(DSV4_SIMT)
#include "kernels/gemm/cublas.h"
#endif

namespace dsv4 {

/// A factor of the product.
struct Factor {
  const __nv_bfloat16* data;
  bool transposed;  ///< op(A) is the transpose of the stored matrix
  std::int64_t ld;
};

struct ProductParams {
  Factor a, b;
  float* c;
  std::int64_t m, n, k;  ///< C is m x n, op(A) is m x k, op(B) is k x n
  std::int64_t ldc;
};

#if defined(DSV4_SIMT)

inline constexpr int kProductThreads = 256;

/// Each thread computes one element of C, and adds its products in order.
__global__ void __launch_bounds__(kProductThreads) product_kernel(const __grid_constant__ ProductParams p) {
  wait_for_previous_kernel();
  const std::int64_t at = static_cast<std::int64_t>(blockIdx.x) * kProductThreads + threadIdx.x;
  if (at >= p.m * p.n) return;
  const std::int64_t i = at % p.m, j = at / p.m;
  const __nv_bfloat16* a = p.a.data + i * (p.a.transposed ? p.a.ld : 1);
  const __nv_bfloat16* b = p.b.data + j * (p.b.transposed ? 1 : p.b.ld);
  const std::int64_t a_step = p.a.transposed ? 1 : p.a.ld, b_step = p.b.transposed ? p.b.ld : 1;
  float sum = 0.0f;
  for (std::int64_t l = 0; l < p.k; ++l) sum = __fmaf_rn(to_float(a[l * a_step]), to_float(b[l * b_step]), sum);
  p.c[i + j * p.ldc] = sum;
}

inline void multiply(DLDevice device, const ProductParams& p) {
  Launch{.name = "linear_bf16_fp32",
         .device = device,
         .grid = grid_of(ceil_div<std::int64_t>(p.m * p.n, kProductThreads), "linear_bf16_fp32"),
         .block = dim3(kProductThreads)}(product_kernel, p);
}

#else

inline void multiply(DLDevice device, const ProductParams& p) {
  const DeviceScope scope(device.device_id);
  const cudaStream_t stream = current_stream(device);
  if (p.k == 0) {
    throw_on_cuda_error(cudaMemset2DAsync(p.c, p.ldc * sizeof(float), 0, p.m * sizeof(float), p.n, stream),
                        "linear_bf16_fp32");
    return;
  }
  const float alpha = 1.0f, beta = 0.0f;
  const auto op = [](const Factor& f) { return f.transposed ? cublas::kTransposed : cublas::kPlain; };
  const std::lock_guard lock(cublas::calls());
  cublas::throw_on_error(
      cublas::functions().gemm(cublas::handle_of(device.device_id, stream), op(p.a), op(p.b), p.m, p.n, p.k, &alpha,
                               p.a.data, CUDA_R_16BF, p.a.ld, p.b.data, CUDA_R_16BF, p.b.ld, &beta, p.c, CUDA_R_32F,
                               p.ldc, cublas::kCompute32F, cublas::kDefaultGemm),
      "cublasGemmEx");
}

#endif

}  // namespace dsv4
