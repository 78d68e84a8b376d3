/// `simt_configure(seed: int)`, which every module of a host set exports beside its ops.
#include <tvm/ffi/function.h>

#include <cstdint>

#include "kernels/simt/executor.h"

namespace {
void configure(std::int64_t seed) { simt::configure(static_cast<std::uint64_t>(seed)); }
}  // namespace

TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_configure, configure);
