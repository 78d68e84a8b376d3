/// The original CUDA headers, as they are without nvcc: types, constants, conversions, and the runtime's declarations.
#pragma once

// The cudaLaunchKernelEx of the CUDA headers passes the kernel as an untyped pointer. Here it is renamed and never
// used; launch.h defines a cudaLaunchKernelEx that can call the kernel.
#define cudaLaunchKernelEx simt_unused_cudaLaunchKernelEx
#include <cuda_runtime.h>
#undef cudaLaunchKernelEx

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
