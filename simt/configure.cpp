/// The functions that every module of a host set exports in addition to its ops:
///
///     simt_configure(seed: int)                                 sets the seed of the schedule; executor.h
///     simt_predecessor(address: int, bytes: int, earlier: int)  adds memory that is still being written; overlap.h
///     simt_no_predecessor()                                     removes all memory that was added
///     simt_watch(address: int, bytes: int)                      watches memory; trigger.h
///     simt_late_writes() -> [(kernel, address, bytes, first)]   what was written after a trigger, by kernel and memory
///     simt_late_bytes(address: int, out: int)                   copies the watched memory's marks, a byte each, to out
///     simt_no_watch()                                           removes all watched memory, and the records
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tuple.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/function.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simt/executor.h"
#include "simt/fault.h"
#include "simt/scheduler.h"

namespace {

// Addresses are passed as integers, because a TVM-FFI function cannot take raw pointers.
void* pointer(std::int64_t address) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return reinterpret_cast<void*>(address);
}

void configure(std::int64_t seed) { simt::configure(static_cast<std::uint64_t>(seed)); }

void add_predecessor(std::int64_t address, std::int64_t bytes, std::int64_t earlier) {
  simt::add_predecessor(pointer(address), static_cast<std::size_t>(bytes), pointer(earlier));
}

void watch(std::int64_t address, std::int64_t bytes) { simt::watch(pointer(address), static_cast<std::size_t>(bytes)); }

using LateWrites = tvm::ffi::Tuple<tvm::ffi::String, std::int64_t, std::int64_t, std::int64_t>;

tvm::ffi::Array<LateWrites> late_writes() {
  tvm::ffi::Array<LateWrites> list;
  for (const auto& w : simt::scheduler().watch.late_writes()) {
    list.push_back(LateWrites(simt::kernel_name(w.kernel), reinterpret_cast<std::int64_t>(w.address),
                              static_cast<std::int64_t>(w.bytes), static_cast<std::int64_t>(w.first)));
  }
  return list;
}

void late_bytes(std::int64_t address, std::int64_t out) {
  const std::vector<unsigned char>* late = simt::scheduler().watch.late_bytes(pointer(address));
  if (late == nullptr) TVM_FFI_THROW(ValueError) << "simt_late_bytes: the memory at " << address << " is not watched";
  std::memcpy(pointer(out), late->data(), late->size());
}

}  // namespace

TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_configure, configure);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_predecessor, add_predecessor);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_no_predecessor, simt::no_predecessor);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_watch, watch);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_late_writes, late_writes);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_late_bytes, late_bytes);
TVM_FFI_DLL_EXPORT_TYPED_FUNC(simt_no_watch, simt::no_watch);
