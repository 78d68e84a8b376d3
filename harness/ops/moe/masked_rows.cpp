#include "harness/ops/moe/masked_rows.h"

#include <vector>

namespace dsv4 {

MaskedSizes::MaskedSizes(const Call& call)
    : experts(call.tensor("input").size(0)),
      tokens(call.tensor("input").size(1)),
      dim(call.tensor("input").size(2) / 2),
      transposed(std::get<bool>(call.arg("transposed").value)) {}

Call masked_call(const Op& op, Params compile, std::int64_t experts, std::int64_t tokens, std::int64_t dim,
                 bool transposed) {
  const Shape scales =
      transposed ? Shape{experts, dim / (4 * kScaleGroup), tokens} : Shape{experts, tokens, dim / kScaleGroup};
  return op.call({HostTensor::make(DType::kBF16, {experts, tokens, 2 * dim}),
                  HostTensor::make(DType::kE4M3, {experts, tokens, dim}),
                  HostTensor::make(transposed ? DType::kI32 : DType::kF32, scales),
                  HostTensor::make(DType::kI32, {experts}), std::int64_t{1}, transposed, 0.0},
                 std::move(compile));
}

HostTensor masked_codes(const Call& call, const HostTensor& output) {
  HostTensor codes = HostTensor::make(DType::kE4M3, output.shape);
  const MaskedSizes s(call);
  for_each_masked_row(call, [&](std::int64_t e, std::int64_t t) {
    const auto row = static_cast<std::size_t>((e * s.tokens + t) * s.dim);
    std::memcpy(codes.storage.data() + row, output.storage.data() + row, static_cast<std::size_t>(s.dim));
  });
  return codes;
}

HostTensor masked_scales(const Call& call, const HostTensor& output_scale) {
  const MaskedSizes s(call);
  HostTensor scales = HostTensor::make(s.transposed ? DType::kU8 : DType::kF32, {s.experts, s.tokens, s.groups()});
  for_each_masked_row(call, [&](std::int64_t e, std::int64_t t) {
    for (std::int64_t g = 0; g < s.groups(); ++g) {
      std::memcpy(scales.element((e * s.tokens + t) * s.groups() + g),
                  output_scale.storage.data() + s.scale_at(e, t, g), static_cast<std::size_t>(s.scale_bytes()));
    }
  });
  return scales;
}

void poison_unprocessed_rows(Call& call) {
  constexpr std::uint16_t kNan = 0x7FC0, kInfinity = 0x7F80;
  HostTensor& input = call.arg("input").tensor();
  const MaskedSizes s(call);
  std::vector<bool> processed(static_cast<std::size_t>(s.experts * s.tokens));
  for_each_masked_row(call, [&](std::int64_t e, std::int64_t t) { processed[e * s.tokens + t] = true; });
  auto* row = input.data<std::uint16_t>();
  for (std::size_t r = 0; r < processed.size(); ++r, row += 2 * s.dim) {
    if (processed[r]) continue;
    for (std::int64_t i = 0; i < 2 * s.dim; ++i) row[i] = i % 2 == 0 ? kNan : kInfinity;
  }
}

void set_masked_footprints(Call& call) {
  Arg& output = call.arg("output");
  Arg& scale = call.arg("output_scale");
  output.footprint.assign(output.tensor().storage.size(), 0);
  scale.footprint.assign(scale.tensor().storage.size(), 0);
  const MaskedSizes s(call);
  for_each_masked_row(call, [&](std::int64_t e, std::int64_t t) {
    std::fill_n(output.footprint.begin() + (e * s.tokens + t) * s.dim, s.dim, 1);
    for (std::int64_t g = 0; g < s.groups(); ++g) {
      std::fill_n(scale.footprint.begin() + s.scale_at(e, t, g), s.scale_bytes(), 1);
    }
  });
}

}  // namespace dsv4
