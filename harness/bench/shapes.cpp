#include "harness/bench/shapes.h"

#include <algorithm>
#include <utility>

#include "harness/core/error.h"

namespace dsv4::bench {
namespace {

/// True for an input in host memory. The function reads it on the host, and a CUDA graph does not record this read.
bool is_read_on_host(const Arg& arg) {
  return arg.is_tensor() && arg.place == Place::kHost && (arg.role == Role::kIn || arg.role == Role::kInOut);
}

}  // namespace

std::vector<Shape> shapes_of(const std::vector<const Op*>& ops, const std::vector<std::string>& parts) {
  std::vector<Shape> shapes;
  for (const Op* op : ops) {
    for (const std::string& point : op->info().bench) {
      const auto contains = [&](const std::string& part) { return point.find(part) != std::string::npos; };
      if (parts.empty() || std::ranges::any_of(parts, contains)) shapes.push_back({op, point});
    }
  }
  if (shapes.empty()) throw Error("there is no such shape; 'dsv4diff bench --list' prints the shapes of all ops");
  return shapes;
}

ShapeCall make_call(const Shape& shape) {
  const Op& op = *shape.op;
  const Case c{op.info().name, "", op.info().space.at(shape.point), 1};
  Call call = op.make(c);
  const Cost cost = op.cost(c, call);
  const Clock clock = std::ranges::any_of(call.args, is_read_on_host) ? Clock::kHost : Clock::kGraph;
  return {std::move(call), cost, clock};
}

}  // namespace dsv4::bench
