#include "harness/sets/module.h"

#include <fmt/format.h>
#include <tvm/ffi/error.h>

#include "harness/core/error.h"

namespace dsv4 {

Module load_module(const std::string& path, const std::string& where) {
  namespace ffi = tvm::ffi;
  try {
    ffi::Module m = ffi::Module::LoadFromFile(path);
    const auto find = [&m](const char* name) -> std::optional<ffi::Function> {
      const auto f = m->GetFunction(name);
      return f.has_value() ? std::optional(f.value()) : std::nullopt;
    };
    return {.module = m,
            .configure = find("simt_configure"),
            .predecessor = find("simt_predecessor"),
            .no_predecessor = find("simt_no_predecessor"),
            .watch = find("simt_watch"),
            .late_writes = find("simt_late_writes"),
            .late_bytes = find("simt_late_bytes"),
            .no_watch = find("simt_no_watch")};
  } catch (const ffi::Error& e) {
    throw SetError(fmt::format("{}: cannot be loaded: {}", where, std::string(e.message())));
  }
}

Predecessor::~Predecessor() {
  if (writes_) (*module_.no_predecessor)();
}

void Predecessor::require() const {
  if (module_.predecessor && module_.no_predecessor) return;
  throw Unsupported("the module has no functions that simulate a previous kernel; build the set again");
}

void Predecessor::writes(void* memory, const std::vector<std::uint8_t>& earlier) {
  writes_ = true;
  (*module_.predecessor)(reinterpret_cast<std::int64_t>(memory), static_cast<std::int64_t>(earlier.size()),
                         reinterpret_cast<std::int64_t>(earlier.data()));
}

}  // namespace dsv4
