/// The genuine CUDA headers as they are outside of nvcc: types, constants, conversions, the runtime's declarations.
#pragma once

// Their own cudaLaunchKernelEx hands a kernel on as an untyped pointer. It gets a name that nobody uses, and launch.h
// defines one that can call the kernel.
#define cudaLaunchKernelEx simt_unused_cudaLaunchKernelEx
#include <cuda_runtime.h>
#undef cudaLaunchKernelEx

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
