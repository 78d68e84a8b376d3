#include "harness/device/allocations.h"

#include <tvm/ffi/extra/c_env_api.h>

#include <exception>
#include <utility>

namespace dsv4 {
namespace {

struct Managed {
  DLManagedTensorVersioned tensor{};
  Shape shape;
  Shape strides;
};

}  // namespace

Allocations::Allocations(DeviceMemory& device, DeviceMemory& host, const Options& options,
                         std::function<void(const GuardedBlock&, bool on_device)> on_block)
    : device_(device), host_(host), options_(options), on_block_(std::move(on_block)) {
  static const bool once = [] {
    TVMFFIEnvSetDLPackManagedTensorAllocator(&Allocations::allocate, 1, nullptr);
    return true;
  }();
  (void)once;
  active_ = this;
}

Allocations::~Allocations() { active_ = previous_; }

GuardedBlock& Allocations::add(std::size_t bytes, bool on_device) {
  blocks_.push_back(std::make_unique<GuardedBlock>(on_device ? device_ : host_, bytes, options_.poison, 0,
                                                   on_device ? options_.on_device : options_.on_host));
  if (on_block_) on_block_(*blocks_.back(), on_device);
  blocks_.back()->arm();
  return *blocks_.back();
}

void Allocations::disarm() {
  for (const auto& block : blocks_) block->disarm();
}

const GuardedBlock* Allocations::find(const std::uint8_t* address) const {
  for (const auto& b : blocks_) {
    const auto* payload = static_cast<const std::uint8_t*>(b->payload());
    if (address >= payload && address < payload + b->bytes()) return b.get();
  }
  return nullptr;
}

int Allocations::allocate(DLTensor* prototype, DLManagedTensorVersioned** out, void* error_context,
                          void (*set_error)(void*, const char*, const char*)) {
  if (active_ == nullptr) {
    set_error(error_context, "RuntimeError", "a module allocated a tensor outside a call");
    return -1;
  }
  try {
    auto managed = std::make_unique<Managed>();
    std::int64_t elements = 1;
    for (int i = 0; i < prototype->ndim; ++i) {
      managed->shape.push_back(prototype->shape[i]);
      elements *= prototype->shape[i];
    }
    managed->strides.assign(managed->shape.size(), 1);
    for (std::size_t i = managed->shape.size(); i-- > 1;)
      managed->strides[i - 1] = managed->strides[i] * managed->shape[i];
    const auto bytes = static_cast<std::size_t>(elements) * ((prototype->dtype.bits * prototype->dtype.lanes + 7) / 8);
    GuardedBlock& block = active_->add(bytes, prototype->device.device_type == kDLCUDA);
    managed->tensor.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    managed->tensor.manager_ctx = managed.get();
    // This deletes only the description of the tensor. Its block is checked and released after the call, when the
    // device is idle.
    managed->tensor.deleter = [](DLManagedTensorVersioned* self) { delete static_cast<Managed*>(self->manager_ctx); };
    managed->tensor.dl_tensor = *prototype;
    managed->tensor.dl_tensor.data = block.payload();
    managed->tensor.dl_tensor.shape = managed->shape.data();
    managed->tensor.dl_tensor.strides = managed->strides.data();
    managed->tensor.dl_tensor.byte_offset = 0;
    *out = &managed.release()->tensor;
    return 0;
  } catch (const std::exception& e) {
    set_error(error_context, "MemoryError", e.what());
    return -1;
  }
}

}  // namespace dsv4
