/// Compares the references that quantise the queries of the indexer with LibTorch, on the inputs of every case of the
/// quick tier. LibTorch computes in double precision: products of complex numbers in their parts, and a product with
/// the matrix of the Hadamard transform.
#include <bit>
#include <cmath>

#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {
namespace {

/// Rows of numbers, [rows, 128], and how far float arithmetic may be from each.
struct Rows {
  at::Tensor value, error;
};

/// The matrix of the transform.
at::Tensor hadamard_matrix() {
  at::Tensor matrix = at::empty({128, 128}, at::kDouble);
  auto* const data = matrix.data_ptr<double>();
  for (unsigned i = 0; i < 128; ++i)
    for (unsigned j = 0; j < 128; ++j)
      data[128 * i + j] = (std::popcount(i & j) % 2 == 0 ? 1.0 : -1.0) / std::sqrt(128.0);
  return matrix;
}

at::Tensor bf16_of(const at::Tensor& x) { return x.to(at::kFloat).to(at::kBFloat16).to(at::kDouble); }

/// The queries of a call after the rotation and the transform. If `round` is true, rotated elements are rounded to
/// bfloat16.
Rows transformed(const Specimen& s, bool round) {
  const at::Tensor x = as_double(s.call.tensor("q_input"));
  const at::Tensor positions = as_torch(s.call.tensor("positions")).to(at::kLong);
  const at::Tensor angles = at::index_select(as_double(s.call.tensor("freqs_cis")), 0, positions).unsqueeze(1);
  const auto every_second = [](const at::Tensor& t, std::int64_t first) { return t.slice(2, first, t.size(2), 2); };
  const at::Tensor tail = x.slice(2, 64), re = every_second(tail, 0), im = every_second(tail, 1);
  const at::Tensor c = every_second(angles, 0), d = every_second(angles, 1);
  at::Tensor rotated = at::stack({re * c - im * d, re * d + im * c}, 3).reshape(tail.sizes());
  // Two roundings of parts that are no larger than the sum of the magnitudes.
  const at::Tensor sums = at::stack({at::abs(re * c) + at::abs(im * d), at::abs(re * d) + at::abs(im * c)}, 3);
  at::Tensor error = sums.reshape(tail.sizes()) * 0x1p-23 + 2 * kSmallestFloat;
  error = at::where(at::isfinite(rotated), error, 0.0);  // NaN and infinities have no error
  if (round) {
    const at::Tensor low = bf16_of(rotated - error), high = bf16_of(rotated + error);
    rotated = low;
    error = at::where(at::isfinite(rotated), high - low, 0.0);
  }
  const at::Tensor all = at::cat({x.slice(2, 0, 64), rotated}, 2).reshape({-1, 128});
  const at::Tensor errors = at::cat({at::zeros_like(x.slice(2, 0, 64)), error}, 2).reshape({-1, 128});
  // Each element is a sum in seven stages, and then a product. The float factor is itself rounded.
  const at::Tensor whole = at::abs(all).sum(1, true) * 9 * 0x1p-24 + errors.sum(1, true);
  const at::Tensor value = at::matmul(all, hadamard_matrix());
  return {value, at::where(at::isfinite(value), whole / std::sqrt(128.0) + kSmallestFloat * 256, 0.0)};
}

/// The rows whose finite elements cannot overflow in float. Others may have NaN where double has a number.
at::Tensor certain_rows(const Specimen& s) {
  const at::Tensor finite = at::nan_to_num(at::abs(as_double(s.call.tensor("q_input"))), 0.0, 0.0);
  return finite.sum(2).reshape({-1}).lt(0x1p126);
}

/// The new weights without the scales of the codes.
at::Tensor scaled_weights(const Specimen& s) {
  const auto factor = static_cast<float>(std::get<double>(s.call.arg("weight_scale").value));
  return (as_torch(s.call.tensor("weight")).to(at::kFloat) * factor).reshape({-1});
}

/// `a` where `rows` is true, and else 0.
at::Tensor only(const at::Tensor& rows, const at::Tensor& a) {
  return at::where(a.dim() == 2 ? rows.unsqueeze(1) : rows, a, 0.0);
}

TEST(IndexerInputsAgainstTorch, E4m3Codes) {
  for_each_quick_case("q_indexer_rope_hadamard_quant", [](const Specimen& s) {
    if (s.call.tensor("q_input").numel() == 0) return;
    const Rows y = transformed(s, false);
    const at::Tensor rows = certain_rows(s);
    const at::Tensor greatest_y = at::fmax(greatest(y.value), at::full({}, 1e-4f).to(at::kDouble));
    // The maximum has the error of an element, and scale, reciprocal and product are rounded.
    const at::Tensor share = y.error.slice(1, 0, 1) / greatest_y + 2 * 0x1p-23;
    const at::Tensor scaled = y.value * (448.0 / greatest_y);
    const at::Tensor error = (y.error * 448.0 / greatest_y + at::abs(scaled) * share) * 1.01;
    const auto number_of = [](const at::Tensor& x) { return codes_of(x).view(at::kFloat8_e4m3fn).to(at::kDouble); };
    const at::Tensor got = as_double(s.result.tensor("q_fp8")).reshape({-1, 128});
    EXPECT_TRUE(at::isfinite(got).all().item<bool>());
    const at::Tensor low = number_of(scaled - error), high = number_of(scaled + error);
    expect_near(only(rows, got), only(rows, (low + high) / 2), (high - low) / 2, "codes");
    const at::Tensor weights = scaled_weights(s), scale = (greatest_y / 448.0).reshape({-1});
    const at::Tensor want = overflow(weights.to(at::kDouble) * scale);
    const at::Tensor allowed = at::abs(want) * (share.reshape({-1}) + 0x1p-23) + kSmallestFloat;
    expect_near(only(rows, as_double(s.result.tensor("weights_out")).reshape({-1})), only(rows, want), allowed,
                "weights");
  });
}

TEST(IndexerInputsAgainstTorch, E2m1Codes) {
  std::int64_t compared = 0, all = 0;
  for_each_quick_case("q_indexer_rope_hadamard_fp4_quant", [&](const Specimen& s) {
    if (s.call.tensor("q_input").numel() == 0) return;
    const Rows y = transformed(s, true);
    const auto groups_of = [](const at::Tensor& t) { return t.reshape({-1, 4, 32}); };
    // Only groups whose elements have one right bfloat16 are compared.
    const at::Tensor low = groups_of(bf16_of(y.value - y.error)), high = groups_of(bf16_of(y.value + y.error));
    const at::Tensor same = low.eq(high).logical_or(at::isnan(low).logical_and(at::isnan(high)));
    const at::Tensor rows = certain_rows(s).unsqueeze(1).unsqueeze(2).logical_and(same.all(2, true));
    compared += rows.sum().item<std::int64_t>();
    all += rows.numel();

    const at::Tensor maximum = at::fmax(greatest(low), at::full({}, 1e-4f).to(at::kDouble));
    // An infinite scale has the byte 255, and its inverse is minus infinity.
    const at::Tensor infinite = at::isinf(maximum);
    const at::Tensor byte = at::where(infinite, 255.0, at::ceil(at::log2(maximum / 6.0)) + 127);
    const at::Tensor bytes = as_torch(s.result.tensor("q_sf")).contiguous().view(at::kByte).reshape({-1, 4, 1});
    expect_equal(at::where(rows, bytes.to(at::kDouble), 0.0), at::where(rows, byte, 0.0), "scales");
    const at::Tensor scaled = low * at::where(infinite, -kInfinity, at::exp2(127 - byte));
    // The number of midpoints that are below the magnitude.
    const at::Tensor middle = at::tensor({0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0}, at::kDouble);
    const at::Tensor magnitude = at::nan_to_num(at::abs(scaled), kInfinity).contiguous();
    const at::Tensor code = at::searchsorted(middle, magnitude);
    const at::Tensor sign = at::where(scaled.lt(0).logical_and(code.ne(0)), 8, 0);
    const at::Tensor packed = as_torch(s.result.tensor("q_fp4")).contiguous().view(at::kByte).to(at::kLong);
    const at::Tensor got = groups_of(at::stack({packed % 16, at::floor_divide(packed, 16)}, 3).reshape({-1, 128}));
    expect_equal(at::where(rows, got.to(at::kDouble), 0.0), at::where(rows, (code + sign).to(at::kDouble), 0.0),
                 "codes");
    const at::Tensor weights = as_double(s.result.tensor("weights_out")).reshape({-1});
    expect_equal(weights, scaled_weights(s).to(at::kDouble), "weights");
  });
  EXPECT_GT(static_cast<double>(compared), 0.7 * static_cast<double>(all));
}

}  // namespace
}  // namespace dsv4::testing
