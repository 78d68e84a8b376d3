#include "harness/sets/late_writes.h"

#include <fmt/format.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tuple.h>

#include <algorithm>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

namespace ffi = tvm::ffi;

std::int64_t address_of(const void* memory) { return reinterpret_cast<std::int64_t>(memory); }

}  // namespace

LateWriteWatch::~LateWriteWatch() {
  if (!watched_.empty()) (*module_.no_watch)();
}

void LateWriteWatch::require(const CallOptions& options) const {
  if (options.late_allocations || !options.late.empty() || options.edge != Edge::kNone) {
    throw Error("a call cannot have late arguments, late allocations or an edge while its late writes are watched");
  }
  if (module_.watch && module_.late_writes && module_.late_bytes && module_.no_watch) return;
  throw Unsupported("the module has no functions that watch its late writes; build the set again");
}

void LateWriteWatch::add(std::string name, const void* memory, std::size_t bytes) {
  if (bytes == 0) return;
  watched_[address_of(memory)] = {std::move(name), bytes};
  (*module_.watch)(address_of(memory), static_cast<std::int64_t>(bytes));
}

std::vector<std::uint8_t> LateWriteWatch::late_bytes(const void* memory) const {
  const auto found = watched_.find(address_of(memory));
  if (found == watched_.end()) return {};
  std::vector<std::uint8_t> late(found->second.bytes);
  (*module_.late_bytes)(found->first, address_of(late.data()));
  return std::ranges::find(late, 1) == late.end() ? std::vector<std::uint8_t>{} : late;
}

std::vector<Finding> LateWriteWatch::findings() const {
  std::vector<Finding> list;
  if (watched_.empty()) return list;
  const ffi::Any all = (*module_.late_writes)();
  for (const ffi::Any& item : all.cast<ffi::Array<ffi::Any>>()) {
    const auto w = item.cast<ffi::Tuple<ffi::String, std::int64_t, std::int64_t, std::int64_t>>();
    list.push_back(
        {"written_late", fmt::format("{} wrote {} bytes to {} after it let the next kernel go (first: byte {})",
                                     std::string(w.get<0>()), w.get<2>(), watched_.at(w.get<1>()).name, w.get<3>())});
  }
  return list;
}

}  // namespace dsv4
