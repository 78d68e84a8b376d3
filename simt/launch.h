/// Kernel launches. The CUDA runtime takes a kernel as an untyped pointer. The executor cannot call such a pointer,
/// because it needs the types of the kernel's parameters. So the templates of this file replace the launch templates of
/// the CUDA headers.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "simt/cuda_headers.h"
#include "simt/executor.h"

namespace simt {

#pragma GCC visibility push(hidden)
/// Checks a launch configuration as the CUDA runtime does, and then runs the launch. cudaGetLastError also reports the
/// returned error.
cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel, void (*invoke)(const void*),
                   const void* arguments);
#pragma GCC visibility pop

/// Calls a kernel for one thread. Each call gets a new copy of the arguments, because each thread of a GPU has its
/// own copy.
template <typename... Parameters>
struct Call {
  void (*kernel)(Parameters...);
  std::tuple<std::remove_cv_t<Parameters>...> arguments;

  static void invoke(const void* self) {
    const auto& call = *static_cast<const Call*>(self);
    std::apply(call.kernel, call.arguments);
  }
};

}  // namespace simt

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const simt::Call<Parameters...> call{kernel, {std::forward<Arguments>(arguments)...}};
  return simt::launch(*config, reinterpret_cast<const void*>(kernel), &call.invoke, &call);
}

/// `arguments[i]` points to the i-th argument.
template <typename... Parameters>
cudaError_t cudaLaunchKernel(void (*kernel)(Parameters...), dim3 grid, dim3 block, void** arguments,
                             std::size_t shared_bytes = 0, cudaStream_t stream = nullptr) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return cudaLaunchKernelEx(&config, kernel, *static_cast<std::remove_cvref_t<Parameters>*>(arguments[I])...);
  }
  (std::index_sequence_for<Parameters...>{});
}

template <typename... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
