#include "harness/op/far.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/core/error.h"
#include "harness/op/scenarios.h"

namespace dsv4 {

Scenario far_relation(const std::string& argument, const std::string& what, Points points,
                      std::function<void(Call& call)> move) {
  const auto run = [move = std::move(move)](ScenarioContext& x) {
    const Call near = x.op.make(x.c);
    Call far = near;
    move(far);
    // Do this first, so that a machine with too little memory skips the case before any work is done.
    const Observation got = x.op.observe(x.c, near, x.call("far", far));
    const CallResult result = x.call("near", near);
    const Observation want = x.op.observe(x.c, near, result);
    x.expect_agree("near", want, x.expected(near), x.op.tolerances(x.c, near, result, want, x.reference));
    x.about(far);
    x.expect_agree("far", got, want);
  };
  return relation("far_" + argument, fmt::format("{} give the same outputs as the same data in a small tensor", what),
                  std::move(points), run);
}

std::vector<std::int64_t> far_edges(DType dtype) {
  constexpr std::int64_t kTwo31 = std::int64_t{1} << 31;
  std::vector<std::int64_t> edges{2 * kTwo31, kTwo31};
  if (size_of(dtype) > 1) edges.push_back(kTwo31 / size_of(dtype));
  return edges;
}

std::vector<std::int64_t> far_rows(std::int64_t count, std::int64_t row_elements,
                                   const std::vector<std::int64_t>& edges) {
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < count; ++i) {
    if (i == 0) {
      rows.push_back(0);
      continue;
    }
    const std::int64_t edge = edges[static_cast<std::size_t>((i - 1) % std::ssize(edges))];
    const std::int64_t first =
        (edge + row_elements - 1) / row_elements;  // the first row that begins at or after the edge
    // Rounds 0, 1, 2, 3, ... take the rows first, first - 1, first + 1, first - 2, ...
    const std::int64_t round = (i - 1) / std::ssize(edges);
    rows.push_back(first + (round % 2 == 0 ? round / 2 : -(round + 1) / 2));
  }
  return rows;
}

FarLayout far_pool(const HostTensor& tensor, std::vector<std::int64_t> rows) {
  if (!tensor.contiguous() || rows.empty()) throw Error("far_pool: the tensor is not contiguous, or there are no rows");
  Shape shape = tensor.shape;
  shape[0] = *std::ranges::max_element(rows) + 1;
  return {std::move(shape), tensor.strides, std::move(rows)};
}

FarLayout far_apart(const HostTensor& tensor, std::size_t dim) {
  // The stride is a multiple of 8 elements, so that rows stay aligned for vector access. It exceeds 2^31 by only 8
  // elements. So if the offset of index 2 wraps to 32 bits, 16 elements remain: a place in the data of index 0, or in
  // the guard band after them.
  constexpr std::int64_t kStride = (std::int64_t{1} << 31) + 8;
  FarLayout p{tensor.shape, tensor.strides, {}};
  p.strides.at(dim) = kStride;
  for (std::int64_t i = 0; i < tensor.size(0); ++i) p.rows.push_back(i);
  return p;
}

std::function<void(Call& call)> move_apart(std::string argument, std::size_t dim) {
  return [argument = std::move(argument), dim](Call& call) {
    Arg& far = call.arg(argument);
    far.far_layout = far_apart(far.tensor(), dim);
  };
}

}  // namespace dsv4
