/// Calls cuBLAS without its headers and without linking it.
///
/// The library has some 400 MB, and only this product needs it. So it is loaded at the first call. A build needs no
/// cuBLAS, and a machine without it gets an error that says what is missing. In a process that uses LibTorch for CUDA,
/// the library is loaded already. The constants below are part of cuBLAS's ABI (cublas_api.h of CUDA 13).
#pragma once

#include <dlfcn.h>
#include <tvm/ffi/error.h>

#include <cstdint>
#include <map>
#include <mutex>

#include "kernels/common/launch.h"

namespace dsv4::cublas {

inline constexpr const char* kLibrary = "libcublas.so.13";

using Handle = void*;
inline constexpr int kSuccess = 0;       // CUBLAS_STATUS_SUCCESS
inline constexpr int kPlain = 0;         // CUBLAS_OP_N
inline constexpr int kTransposed = 1;    // CUBLAS_OP_T
inline constexpr int kCompute32F = 68;   // CUBLAS_COMPUTE_32F
inline constexpr int kDefaultGemm = -1;  // CUBLAS_GEMM_DEFAULT

/// The functions of the library. Each returns a cublasStatus_t.
struct Functions {
  int (*create)(Handle*);
  int (*set_stream)(Handle, cudaStream_t);
  int (*gemm)(Handle, int op_a, int op_b, std::int64_t m, std::int64_t n, std::int64_t k, const void* alpha,
              const void* a, cudaDataType type_a, std::int64_t lda, const void* b, cudaDataType type_b,
              std::int64_t ldb, const void* beta, void* c, cudaDataType type_c, std::int64_t ldc, int compute,
              int algorithm);
};

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) TVM_FFI_THROW(RuntimeError) << kLibrary << " has no function " << name << ": " << dlerror();
}

/// Loads the library once. If that fails, the next call tries again.
inline const Functions& functions() {
  static const Functions loaded = [] {
    void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      TVM_FFI_THROW(RuntimeError) << "linear_bf16_fp32 needs cuBLAS 13, but it could not be loaded (" << dlerror()
                                  << "). Install the wheel nvidia-cublas, and name the folder of " << kLibrary
                                  << " in LD_LIBRARY_PATH";
    }
    Functions f{};
    find(library, "cublasCreate_v2", f.create);
    find(library, "cublasSetStream_v2", f.set_stream);
    find(library, "cublasGemmEx_64", f.gemm);
    return f;
  }();
  return loaded;
}

inline void throw_on_error(int status, const char* what) {
  if (status != kSuccess) TVM_FFI_THROW(RuntimeError) << "linear_bf16_fp32: " << what << ": cuBLAS status " << status;
}

/// The handle of the current device, with `stream`. A handle is never destroyed: at the end of the process, the CUDA
/// runtime may already be gone.
inline Handle handle_of(int device, cudaStream_t stream) {
  static std::map<int, Handle> handles;
  Handle& handle = handles[device];
  if (handle == nullptr) throw_on_error(functions().create(&handle), "cublasCreate");
  throw_on_error(functions().set_stream(handle, stream), "cublasSetStream");
  return handle;
}

/// A handle must not be used by two threads at once.
inline std::mutex& calls() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace dsv4::cublas
