#include "harness/call/call.h"

#include <fmt/format.h>

#include <cstring>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

Arg make(std::string name, Value value, Role role, Place place, std::vector<std::uint8_t> footprint) {
  Arg a;
  a.name = std::move(name);
  a.value = std::move(value);
  a.role = role;
  a.place = place;
  a.footprint = std::move(footprint);
  return a;
}

}  // namespace

Arg in(std::string name, HostTensor tensor, Place place) {
  return make(std::move(name), std::move(tensor), Role::kIn, place, {});
}
Arg out(std::string name, HostTensor tensor, std::vector<std::uint8_t> footprint) {
  return make(std::move(name), std::move(tensor), Role::kOut, Place::kDevice, std::move(footprint));
}
Arg inout(std::string name, HostTensor tensor, std::vector<std::uint8_t> footprint, Place place) {
  return make(std::move(name), std::move(tensor), Role::kInOut, place, std::move(footprint));
}
Arg workspace(std::string name, HostTensor tensor, Place place) {
  return make(std::move(name), std::move(tensor), Role::kWorkspace, place, {});
}
Arg scalar(std::string name, std::int64_t value) { return make(std::move(name), value, Role::kIn, Place::kHost, {}); }
Arg scalar(std::string name, double value) { return make(std::move(name), value, Role::kIn, Place::kHost, {}); }
Arg scalar(std::string name, bool value) { return make(std::move(name), value, Role::kIn, Place::kHost, {}); }
Arg absent(std::string name) { return make(std::move(name), None{}, Role::kIn, Place::kHost, {}); }

void write_addresses(const Arg& reached, std::uint64_t first, Arg& addresses) {
  if (!addresses.is_tensor() || size_of(addresses.tensor().dtype) != 8) return;
  const HostTensor& t = reached.tensor();
  const std::int64_t rows = reached.far_layout ? reached.far_layout->shape.at(0) : t.size(0);
  const std::int64_t stride = reached.far_layout ? reached.far_layout->strides.at(0) : t.strides.at(0);
  const std::int64_t count = addresses.tensor().numel();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row = i * rows / count;
    const std::uint64_t address = first + static_cast<std::uint64_t>(row * stride * size_of(t.dtype));
    std::memcpy(addresses.tensor().element(i), &address, sizeof address);
  }
}

const Arg& Call::arg(std::string_view name) const {
  for (const Arg& a : args) {
    if (a.name == name) return a;
  }
  throw Error(fmt::format("op '{}' has no argument '{}'", op, name));
}

Arg& Call::arg(std::string_view name) { return const_cast<Arg&>(static_cast<const Call*>(this)->arg(name)); }

const HostTensor& CallResult::tensor(std::string_view name) const {
  for (const Arg& a : args) {
    if (a.name == name) return a.tensor();
  }
  throw Error(fmt::format("the call has no argument '{}'", name));
}

}  // namespace dsv4
