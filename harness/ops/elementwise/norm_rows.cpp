#include "harness/ops/elementwise/norm_rows.h"

#include <cstring>
#include <utility>

#include "harness/core/poison.h"
#include "harness/generate/rotary.h"
#include "harness/op/scenarios.h"

namespace dsv4 {

Fill cancelling_pairs(const float* angles, float others) {
  return {"cancel", [angles, others](Random& r, Elements x) {
            x.set_all([&] { return r.gauss() * others; });
            const std::int64_t first = x.size() - kRotaryDim;
            for (std::int64_t d = 0; d < kRotaryDim; d += 2) {
              const float m = r.wide(-3, 3);
              x.set(first + d, m * angles[d + 1]);
              x.set(first + d + 1, m * angles[d]);
            }
          }};
}

Fills norm_row_fills(const float* angles) {
  return {fills::gauss(),
          fills::integers(-16, 16),
          fills::each("signs", [](Random& r) { return r.chance(2) ? 1.0f : -1.0f; }),  // without eps, the factor is 1
          cancelling_pairs(angles, 1.0f),
          fills::wide(-40, 40),
          fills::wide(-34, -20, "small"),  // eps makes up most of the sum
          fills::denormal(),               // the squares are too small for a float
          fills::wide(55, 60, "large"),    // the sum of the squares is near the greatest float
          fills::wide(100, 127, "huge"),   // the squares are too large for a float
          fills::zeros(),
          fills::one_inf(),
          fills::one_nan()};
}

std::vector<std::string> norm_row_fill_names() { return norm_row_fills(nullptr).names(); }

std::vector<std::string> plain_row_fill_names() {
  std::vector<std::string> names = norm_row_fill_names();
  std::erase(names, "cancel");
  return names;
}

ParamSpec eps_values() { return word("eps", {"1e-6", "1e-2", "0"}, "number that is added to the mean of the squares"); }

double eps_of(const Params& p) { return std::stod(p.text("eps")); }

const std::vector<std::string>& wide_head_layouts() {
  static const std::vector<std::string> kNames{"packed", "gaps", "slice"};
  return kNames;
}

bool has_trivial_rows(const Params& p) {
  const std::string& fill = p.text("fill");
  return fill == "huge" || fill == "zeros" || fill == "one_inf" || fill == "one_nan" ||
         (fill == "denormal" && p.is("eps", "0"));
}

const std::vector<std::string>& any_head_layouts() {
  static const std::vector<std::string> kNames{"packed", "gaps", "slice", "apart", "transposed"};
  return kNames;
}

HostTensor wide_heads(const std::string& layout, bool is_output, std::int64_t tokens, std::int64_t heads,
                      std::int64_t dim) {
  const Shape shape{tokens, heads, dim};
  HostTensor t = HostTensor::make(DType::kBF16, shape);
  if (layout == "gaps") {
    const std::int64_t token = heads * dim + 24;  // a multiple of 16 bytes, so vector access stays possible
    t = HostTensor::strided(DType::kBF16, shape, {token, dim, 1}, 8, tokens * token + 16);
  } else if (layout == "slice" && is_output) {
    const std::int64_t token = (heads + 3) * dim;  // one head before the slice, and two after it
    t = HostTensor::strided(DType::kBF16, shape, {token, dim, 1}, dim, tokens * token + dim);
  } else if (layout == "apart") {
    const std::int64_t head = dim + 8, token = heads * head + 16;
    t = HostTensor::strided(DType::kBF16, shape, {token, head, 1}, 8, tokens * token + 16);
  } else if (layout == "transposed") {
    t = HostTensor::strided(DType::kBF16, shape, {dim, tokens * dim, 1});
  }
  poison(t);
  return t;
}

HostTensor with_strides(const HostTensor& heads, Shape strides) {
  HostTensor spread = HostTensor::strided(heads.dtype, heads.shape, std::move(strides));
  poison(spread);
  for (std::int64_t i = 0; i < heads.numel(); ++i) std::memcpy(spread.element(i), heads.element(i), 2);
  return spread;
}

Scenario odd_strides(std::vector<std::string> names, Points points) {
  return call_relation(
      "odd_strides",
      "tokens an odd number of elements apart, where every access must be a single element, are handled like adjacent "
      "tokens",
      std::move(points), [names = std::move(names)](Case&, Call& call, Observation&) {
        for (const std::string& name : names) {
          HostTensor& heads = call.arg(name).tensor();
          const std::int64_t dim = heads.size(2);
          heads = with_strides(heads, {dim + 1, dim, 1});
        }
      });
}

void no_heads(Contracts& contracts, const Op& op) {
  contracts.edge("no_heads", "with no heads, nothing is written, or the call is refused", [&op](Call& call) {
    for (const Argument& a : op.info().signature.arguments()) {
      const int dim = a.dim_of("heads");
      if (dim < 0) continue;
      HostTensor& t = call.arg(a.name).tensor();
      Shape shape = t.shape;
      shape[static_cast<std::size_t>(dim)] = 0;
      t = HostTensor::make(t.dtype, shape);
    }
  });
}

}  // namespace dsv4
