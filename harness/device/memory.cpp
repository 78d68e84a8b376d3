#include "harness/device/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <unordered_map>

#include "harness/core/error.h"
#include "harness/core/poison.h"
#include "harness/device/plugin.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace dsv4 {
namespace {

/// Size in bytes of the margin on each side of a reserved block. The margin is address space without accessible memory.
/// If an offset, in elements of at most eight bytes, wraps to a negative 32-bit number, the access is in this margin.
/// So it cannot reach other memory.
constexpr std::size_t kReservedMargin = std::size_t{8} << 31;

class HostMemory final : public DeviceMemory {
 public:
  void* allocate(std::size_t bytes) override {
    // The size that aligned_alloc gets must be a multiple of the alignment.
    void* block = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }
  void release(void* block) override {
    const auto reserved = reserved_.find(block);
    if (reserved == reserved_.end()) {
      std::free(block);
    } else {
      ::munmap(static_cast<std::uint8_t*>(block) - kReservedMargin, reserved->second);
      reserved_.erase(reserved);
    }
  }
  void* reserve(std::size_t bytes) override {
    const std::size_t all = bytes + 2 * kReservedMargin;
    void* const base = ::mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    void* const block = static_cast<std::uint8_t*>(base) + kReservedMargin;
    reserved_.emplace(block, all);
    return block;
  }
  void open(void* part, std::size_t bytes) override {
    if (::mprotect(part, bytes, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  }
  void forbid([[maybe_unused]] const void* part, [[maybe_unused]] std::size_t bytes) override {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(part, bytes);
#endif
  }
  void permit([[maybe_unused]] const void* part, [[maybe_unused]] std::size_t bytes) override {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(part, bytes);
#endif
  }
  void upload(void* device, const void* host, std::size_t bytes) override { std::memcpy(device, host, bytes); }
  void download(void* host, const void* device, std::size_t bytes) override { std::memcpy(host, device, bytes); }
  void synchronize() override {}
  void* stream() override { return nullptr; }

 private:
  std::unordered_map<void*, std::size_t> reserved_;  ///< size of each mapping in bytes, by block
};

}  // namespace

std::unique_ptr<DeviceMemory> make_host_memory() { return std::make_unique<HostMemory>(); }

std::unique_ptr<DeviceMemory> make_cuda_memory() {
  using Open = DeviceMemory* (*)(char*, std::size_t);
  const auto open = reinterpret_cast<Open>(
      plugin_function("dsv4_cuda", "dsv4_open_cuda_memory", "CUDA sets need libdsv4_cuda.so and LibTorch with CUDA",
                      "Run scripts/setup on the GPU machine, or choose a CPU set (--set host)"));
  char why[1024] = "";
  DeviceMemory* memory = open(why, sizeof why);
  if (memory == nullptr) {
    throw Error(fmt::format(
        "no usable CUDA device: {}. Choose a CPU set (--set host), or run on a machine with a GPU and its driver",
        why));
  }
  return std::unique_ptr<DeviceMemory>(memory);
}

std::uint8_t* GuardedBlock::allocate(std::size_t misalign, Surround surround, std::size_t alignment) {
  constexpr std::size_t kPage = DeviceMemory::kPage;
  before_ = misalign;
  if (surround == Surround::kBands) {
    before_ += kGuard;
    after_ = kGuard;
  }
  if (surround == Surround::kBands || surround == Surround::kNothing) {
    return static_cast<std::uint8_t*>(memory_.allocate(std::max<std::size_t>(before_ + bytes_ + after_, 1)));
  }
  if (surround == Surround::kPageAfter) {
    before_ = 0;
    after_ = (alignment - bytes_ % alignment) % alignment;
  }
  const std::size_t pages = (before_ + bytes_ + after_ + kPage - 1) / kPage * kPage;
  const std::size_t rest = pages - before_ - bytes_ - after_;
  (surround == Surround::kPageAfter ? before_ : after_) += rest;
  try {
    auto* const base = static_cast<std::uint8_t*>(memory_.reserve(std::max(pages, kPage)));
    if (pages != 0) memory_.open(base, pages);  // a tensor without elements has no accessible byte at all
    return base;
  } catch (const std::bad_alloc&) {
    throw Unavailable("this machine has no address space for a tensor with inaccessible pages around it");
  }
}

GuardedBlock::GuardedBlock(DeviceMemory& memory, std::size_t bytes, std::uint32_t poison, std::size_t misalign,
                           Surround surround, std::size_t alignment)
    : memory_(memory),
      bytes_(bytes),
      poison_(poison),
      base_(allocate(misalign, surround, alignment)),
      payload_(base_ + before_) {
  // The payload is poisoned as well, because memory that a module allocates (a workspace, a returned plan) must not
  // start as zeros.
  std::vector<std::uint8_t> image(before_ + bytes_ + after_);
  poison_bytes(image.data(), image.size(), poison_);
  if (!image.empty()) memory_.upload(base_, image.data(), image.size());
}

GuardedBlock::~GuardedBlock() {
  disarm();
  memory_.release(base_);
}

void GuardedBlock::write(const std::vector<std::uint8_t>& image) {
  if (!image.empty()) memory_.upload(payload_, image.data(), image.size());
}

std::vector<std::uint8_t> GuardedBlock::read() const {
  std::vector<std::uint8_t> image(bytes_);
  if (bytes_ != 0) memory_.download(image.data(), payload_, bytes_);
  return image;
}

void GuardedBlock::arm() {
  memory_.forbid(base_, before_);
  memory_.forbid(payload_ + bytes_, after_);
}

void GuardedBlock::disarm() { memory_.permit(base_, before_ + bytes_ + after_); }

void GuardedBlock::check(const std::string& name, std::vector<Finding>& findings) const {
  const auto scan = [&](const std::uint8_t* device, std::size_t n, std::size_t origin, const char* side,
                        std::ptrdiff_t sign) {
    if (n == 0) return;
    std::vector<std::uint8_t> band(n);
    std::vector<std::uint8_t> intact(n);
    memory_.download(band.data(), device, n);
    poison_bytes(intact.data(), n, poison_, origin);
    if (band == intact) return;
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t i = sign > 0 ? k : n - 1 - k;  // start with the byte nearest to the payload
      if (band[i] != poison_byte(poison_, origin + i)) {
        const std::size_t distance = sign > 0 ? i : n - 1 - i;
        findings.push_back({"guard", fmt::format("'{}': byte {} {} its memory was overwritten (0x{:02x} -> 0x{:02x})",
                                                 name, distance + 1, side, poison_byte(poison_, origin + i), band[i])});
        return;
      }
    }
  };
  scan(base_, before_, 0, "before", -1);
  scan(payload_ + bytes_, after_, before_ + bytes_, "after", 1);
}

}  // namespace dsv4
