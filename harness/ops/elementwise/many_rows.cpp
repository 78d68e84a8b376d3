#include "harness/ops/elementwise/many_rows.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kRows = 65540;
const std::vector<std::int64_t> kFilled{0, 32768, kRows - 1};

/// Copies between two tensors without gaps that differ in the size of one dimension: index i of this dimension in `few`
/// is index kFilled[i] in `many`. `copy` gets the addresses in both, and a number of bytes.
template <class Few, class Many, class Copy>
void for_each_filled(Few& few, Many& many, std::size_t dim, Copy copy) {
  std::int64_t outer = 1, inner = size_of(few.dtype);
  for (std::size_t d = 0; d < few.rank(); ++d) (d < dim ? outer : inner) *= d == dim ? 1 : few.size(d);
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < few.size(dim); ++i) {
      const std::int64_t place = o * many.size(dim) + kFilled.at(static_cast<std::size_t>(i));
      copy(few.storage.data() + (o * few.size(dim) + i) * inner, many.storage.data() + place * inner,
           static_cast<std::size_t>(inner));
    }
  }
}

/// `few` with kRows indices of dimension `dim`.
HostTensor spread(const HostTensor& few, std::size_t dim) {
  Shape shape = few.shape;
  shape.at(dim) = kRows;
  HostTensor many = HostTensor::make(few.dtype, shape);
  for_each_filled(few, many, dim,
                  [](const std::uint8_t* from, std::uint8_t* to, std::size_t bytes) { std::memcpy(to, from, bytes); });
  return many;
}

/// The filled rows of `many`, in a tensor like `few`.
HostTensor gathered(HostTensor few, const HostTensor& many, std::size_t dim) {
  for_each_filled(few, many, dim,
                  [](std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) { std::memcpy(to, from, bytes); });
  return few;
}

void compare_filled(ScenarioContext& x, const std::string& symbol, const std::string& also,
                    const std::function<void(Call&)>& prepare) {
  Call few = x.op.make(x.c);
  if (prepare) {
    prepare(few);
    x.op.fit(few);
  }
  const auto dim_of = [&](const Arg& arg) {
    const Argument& a = x.op.info().signature.argument(arg.name);
    return a.dim_of(symbol) >= 0 || also.empty() ? a.dim_of(symbol) : a.dim_of(also);
  };
  Call many = few;
  for (Arg& arg : many.args) {
    if (arg.is_tensor() && dim_of(arg) >= 0) arg.tensor() = spread(arg.tensor(), static_cast<std::size_t>(dim_of(arg)));
  }
  x.op.fit(many);
  CallResult result = x.call(fmt::format("{} {}", kRows, symbol), many);
  for (Arg& arg : result.args) {
    if (arg.is_tensor() && dim_of(arg) >= 0)
      arg.tensor() = gathered(few.tensor(arg.name), arg.tensor(), static_cast<std::size_t>(dim_of(arg)));
  }
  const Observation got = x.op.observe(x.c, few, result);
  x.expect_agree(fmt::format("{} {}", kRows, symbol), got, x.expected(few),
                 x.op.tolerances(x.c, few, result, got, x.reference));
}

}  // namespace

Points in_full(Params point) {
  return [point = std::move(point)](Tier tier) {
    return tier == Tier::kFull ? std::vector<Params>{point} : std::vector<Params>{};
  };
}

Scenario many_relation(const std::string& symbol, Points points, std::function<void(Call&)> prepare,
                       const std::string& also) {
  return relation(
      "many_" + symbol, fmt::format("the outputs are right if there are more {} than 16 bits can number", symbol),
      std::move(points),
      [symbol, also, prepare = std::move(prepare)](ScenarioContext& x) { compare_filled(x, symbol, also, prepare); });
}

}  // namespace dsv4
