/// The shapes that the benchmark times: each op at the points that its declaration lists in OpInfo::bench.
#pragma once

#include <string>
#include <vector>

#include "harness/bench/timer.h"
#include "harness/op/op.h"

namespace dsv4::bench {

/// An op at one of its points.
struct Shape {
  const Op* op;
  std::string point;  ///< the text in the op's declaration

  /// The op and the point, for instance "topk_v1 batch=64 len=131072".
  [[nodiscard]] std::string title() const { return op->info().name + " " + point; }
};

/// The call of a shape, and how it is timed.
struct ShapeCall {
  Call call;
  Cost cost;    ///< least work of the op: each byte that it must read or write counts once
  Clock clock;  ///< the most exact clock that can time the call
};

/// The shapes of `ops` whose point contains one of `parts`; an empty list of parts allows every point. Throws Error if
/// there is none.
std::vector<Shape> shapes_of(const std::vector<const Op*>& ops, const std::vector<std::string>& parts);

/// Makes the call of a shape. The inputs are the same as in the op's test case at this point with seed 1.
ShapeCall make_call(const Shape& shape);

}  // namespace dsv4::bench
