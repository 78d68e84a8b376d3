/// The functions that every module of a host set exports in addition to its ops:
///
///     simt_configure(seed: int)                                 sets the seed of the schedule; executor.h
///     simt_predecessor(address: int, bytes: int, earlier: int)  adds memory that is still being written; overlap.h
///     simt_no_predecessor()                                     removes all memory that was added
#include <tvm/ffi/function.h>

#include <cstddef>
#include <cstdint>

#include "simt/executor.h"

namespace {
void configure(std::int64_t seed) { simt::configure(static_cast<std::uint64_t>(seed)); }

void add_predecessor(std::int64_t address, std::int64_t bytes, std::int64_t earlier) {
  // Addresses are passed as integers, because a TVM-FFI function cannot take raw pointers.
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  simt::add_predecessor(reinterpret_cast<void*>(address), static_cast<std::size_t>(bytes),
                        // NOLINTNEXTLINE(performance-no-int-to-ptr)
                        reinterpret_cast<const void*>(earlier));
}
}  // namespace

TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_configure, configure);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_predecessor, add_predecessor);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_no_predecessor, simt::no_predecessor);
