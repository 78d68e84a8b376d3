/// Compares the references that normalise rows with LibTorch, on the inputs of every case of the quick tier.
#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/generate/random.h"
#include "harness/ops/elementwise/compressed_rows.h"
#include "harness/ops/elementwise/entry_plans.h"
#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {
namespace {

/// The factor of each row of `x`, rounded to float. A sum of squares that is too large for a float is infinite. It is 0
/// if all squares are too small for a float.
at::Tensor factors_of(const at::Tensor& x, double eps) {
  const at::Tensor exact = overflow(at::square(x.to(at::kDouble)).sum(-1, true));
  const at::Tensor sum = at::where(at::square(x.to(at::kFloat)).sum(-1, true).eq(0), 0.0, exact);
  const at::Tensor mean = sum / x.size(-1) + at::full({}, eps, at::kFloat).to(at::kDouble);
  return at::rsqrt(mean).to(at::kFloat);
}

/// `x` times the factors, rounded to float.
at::Tensor normalised(const at::Tensor& x, double eps) { return x.to(at::kFloat) * factors_of(x, eps); }

double eps_of(const Specimen& s) { return std::get<double>(s.call.arg("eps").value); }

TEST(NormInputsAgainstTorch, QNormRope) {
  for_each_quick_case("q_norm_rope", [](const Specimen& s) {
    const at::Tensor x = as_torch(s.call.tensor("q_input")), got = as_double(s.result.tensor("q_output"));
    const at::Tensor want = normalised(x, eps_of(s)).to(at::kBFloat16).to(at::kDouble);
    expect_equal(got.slice(2, 0, 448), want.slice(2, 0, 448), "normalised");
    expect_rotated(s, want.slice(2, 448), got.slice(2, 448), false, "rotated");
  });
}

TEST(NormInputsAgainstTorch, NormRope) {
  for_each_quick_case("norm_rope", [](const Specimen& s) {
    const std::int64_t tokens = s.call.tensor("positions").numel();
    if (tokens == 0) return;
    const at::Tensor x = as_torch(s.call.tensor("input")), got = as_double(s.result.tensor("input"));
    expect_equal(got.slice(0, tokens), x.slice(0, tokens).to(at::kDouble), "rows without a position");
    const at::Tensor weighted = normalised(x, eps_of(s)) * as_torch(s.call.tensor("weight")).to(at::kFloat);
    const at::Tensor want = weighted.to(at::kBFloat16).to(at::kDouble).slice(0, 0, tokens);
    expect_equal(got.slice(0, 0, tokens).slice(1, 0, 448), want.slice(1, 0, 448), "normalised");
    const auto heads = [tokens](const at::Tensor& t) { return t.reshape({tokens, 1, 64}); };
    expect_rotated(s, heads(want.slice(1, 448)), heads(got.slice(0, 0, tokens).slice(1, 448)), false, "rotated");
  });
}

/// The rows of compressed entries, which are floats.
void expect_compressed_rows(const Specimen& s) {
  const HostTensor& input = s.call.tensor("input");
  std::vector<std::int64_t> changed, others, positions;
  for (const ChangedRow& r : dynamic_cast<const CompressedRowsOp&>(s.op).changed(s.call)) {
    changed.push_back(r.row);
    positions.push_back(r.position);
  }
  for (std::int64_t r = 0; r < input.size(0); ++r) {
    if (std::ranges::count(changed, r) == 0) others.push_back(r);
  }
  const at::Tensor x = as_torch(input), got = as_double(s.result.tensor("input"));
  const auto rows_of = [](const at::Tensor& t, const std::vector<std::int64_t>& rows) {
    return t.index_select(0, at::tensor(rows, at::kLong));
  };
  if (!others.empty()) expect_equal(rows_of(got, others), rows_of(x, others).to(at::kDouble), "other rows");
  if (changed.empty()) return;
  const at::Tensor y = rows_of(normalised(x, eps_of(s)) * as_torch(s.call.tensor("weight")), changed).to(at::kDouble);
  const at::Tensor rows = rows_of(got, changed);
  const std::int64_t n = std::ssize(changed), tail = input.size(1) - 64;
  expect_equal(rows.slice(1, 0, tail), y.slice(1, 0, tail), "normalised");
  const auto heads = [n](const at::Tensor& t) { return t.reshape({n, 1, 64}); };
  expect_rotated_at(s, at::tensor(positions, at::kLong), heads(y.slice(1, tail)), heads(rows.slice(1, tail)), false,
                    "rotated", 24);
}

TEST(NormInputsAgainstTorch, CompressNormRopePrefillV1) {
  for_each_quick_case("compress_norm_rope_prefill_v1", expect_compressed_rows);
}

TEST(NormInputsAgainstTorch, CompressNormRopeDecodeV1) {
  for_each_quick_case("compress_norm_rope_decode_v1", expect_compressed_rows);
}

TEST(NormInputsAgainstTorch, RmsnormHead) {
  for_each_quick_case("rmsnorm_head", [](const Specimen& s) {
    const at::Tensor want = normalised(as_torch(s.call.tensor("input")), eps_of(s)).to(at::kBFloat16);
    expect_equal(as_double(s.result.tensor("output")), want.to(at::kDouble), "output");
  });
}

/// Compares the stored `rows` with `y`, normalised rows of which the first 448 elements are quantised and the last 64
/// are rotated by the angles at `positions`. `quantised` has the elements as they are quantised.
void expect_stored_keys(const Specimen& s, const at::Tensor& rows, const at::Tensor& y, const at::Tensor& quantised,
                        const at::Tensor& positions) {
  const std::int64_t tokens = y.size(0);
  if (tokens == 0) return;
  const at::Tensor groups = quantised.slice(1, 0, 448).reshape({tokens, 7, 64});
  const at::Tensor scale = at::fmax(greatest(groups.to(at::kDouble)).to(at::kFloat), at::full({}, 1e-4f)) / 448.0f;
  // An infinite scale has the byte 255, and its inverse is minus infinity.
  const at::Tensor infinite = at::isinf(scale);
  const at::Tensor exponent = at::where(infinite, 255.0, at::ceil(at::log2(scale.to(at::kDouble))) + 127);
  const at::Tensor inverse = at::where(infinite, -kInfinity, at::exp2(127 - exponent));
  const at::Tensor codes = codes_of(groups.to(at::kDouble) * inverse).reshape({tokens, 448});
  const Observation stored = s.op.observe(s.c, s.call, s.result);
  const auto output = [&](const char* name) { return as_torch(stored.output(name)).index_select(0, rows); };
  EXPECT_TRUE(at::equal(as_torch(stored.output("codes")).view(at::kByte).index_select(0, rows), codes));
  EXPECT_TRUE(at::equal(output("scales").to(at::kDouble), exponent.reshape({tokens, 7})));
  const auto heads = [tokens](const at::Tensor& t) { return t.to(at::kDouble).reshape({tokens, 1, 64}); };
  expect_rotated_at(s, positions, heads(y.slice(1, 448)), heads(output("tail")), false, "tail");
}

TEST(NormInputsAgainstTorch, KNormRopeFlashmla) {
  for_each_quick_case("k_norm_rope_flashmla", [](const Specimen& s) {
    const at::Tensor y =
        normalised(as_torch(s.call.tensor("kv")), eps_of(s)) * as_torch(s.call.tensor("kv_weight")).to(at::kFloat);
    expect_stored_keys(s, at::arange(y.size(0)), y, y, as_torch(s.call.tensor("positions")).to(at::kLong));
  });
}

/// Compares the codes and scales of the rows `rows` of the indexer's cache with `y`, f64 [n, 128]: the values that they
/// stand for may differ by half a step of the format, and by the errors of float arithmetic.
void expect_stored_for_the_indexer(const Specimen& s, const at::Tensor& rows, const at::Tensor& y) {
  const bool fp4 = s.c.params.is("layout", "indexer_fp4");
  const Observation stored = s.op.observe(s.c, s.call, s.result);
  const std::int64_t n = y.size(0), groups = fp4 ? 4 : 1;
  const at::Tensor grid = at::tensor({0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0}, at::kDouble);
  const HostTensor& code_tensor = stored.output("codes");
  at::Tensor codes;
  if (fp4) {
    const at::Tensor ranks = as_torch(code_tensor).view(at::kChar).to(at::kLong);
    ASSERT_LE(at::abs(ranks).max().item<std::int64_t>(), 7);
    codes = at::sign(ranks) * grid.index_select(0, at::abs(ranks).flatten()).reshape(ranks.sizes());
  } else {
    codes = as_double(code_tensor);
  }
  codes = codes.index_select(0, rows).reshape({n, groups, 128 / groups});
  at::Tensor scales = as_double(stored.output("scales")).index_select(0, rows).reshape({n, groups, 1});
  if (fp4) scales = at::exp2(scales - 127);
  const at::Tensor want = y.reshape({n, groups, 128 / groups});
  const at::Tensor known = at::isfinite(want).all(-1, true).logical_and(at::abs(want).amax(-1, true).lt(1e30));
  // An error of 2^-18 of the greatest element contains that of the norm, the rotation and the transform.
  const at::Tensor most = at::abs(want).amax(-1, true), error = at::clamp_min(most, 1e-30) * 0x1p-16;
  const at::Tensor least_scale = at::clamp_min(most, 1e-4) / (fp4 ? 6.0 : 448.0);
  const at::Tensor exact_scale = fp4 ? at::exp2(at::ceil(at::log2(least_scale))) : least_scale;
  const at::Tensor off = at::abs(scales / exact_scale - 1.0);
  EXPECT_TRUE(at::where(known, off, 0.0).lt(fp4 ? 1.1 : 0x1p-16).all().item<bool>());
  EXPECT_LE((at::where(known, off, 0.0).gt(0x1p-16)).sum().item<std::int64_t>(), n * groups / 8);
  const at::Tensor u = at::abs(want / scales);
  const at::Tensor half_step =
      fp4 ? at::where(u.lt(2.0), 0.25, at::where(u.lt(4.0), 0.5, 1.0)) : at::clamp_min(u / 16.0, 0x1p-10);
  const at::Tensor allowed = half_step * scales * (1 + 0x1p-10) + error;
  expect_near(at::where(known, codes * scales, 0.0), at::where(known, want, 0.0), allowed, "stored for the indexer");
}

/// Rotates the last 64 elements of each row of `y`, f64 [n, 128], and multiplies the row by the Hadamard matrix.
at::Tensor transformed(const Specimen& s, const at::Tensor& positions, const at::Tensor& y) {
  const std::int64_t n = y.size(0);
  const auto complex = [n](const at::Tensor& t) { return at::view_as_complex(t.reshape({n, 32, 2}).contiguous()); };
  const at::Tensor angles = complex(as_double(s.call.tensor("freqs_cis")).index_select(0, positions));
  const at::Tensor tail = at::view_as_real(complex(y.slice(1, 64)) * angles).reshape({n, 64});
  at::Tensor matrix = at::ones({1, 1}, at::kDouble);
  for (int i = 0; i < 7; ++i) matrix = at::kron(at::tensor({1.0, 1.0, 1.0, -1.0}, at::kDouble).reshape({2, 2}), matrix);
  return at::matmul(at::cat({y.slice(1, 0, 64), tail}, 1), matrix / std::sqrt(128.0));
}

TEST(NormInputsAgainstTorch, CompressNormRopeStore) {
  for_each_quick_case("compress_norm_rope_store", [](const Specimen& s) {
    std::vector<std::int64_t> used, positions;
    const HostTensor slots = entry_slots(s.call);
    for (std::int64_t i = 0; i < slots.numel(); ++i) {
      if (integer_at(slots, i) < 0) continue;
      used.push_back(i);
      positions.push_back(positions_in_plan(s.call).at(static_cast<std::size_t>(i)));
    }
    if (used.empty()) return;
    const at::Tensor rows = at::tensor(used, at::kLong), at_positions = at::tensor(positions, at::kLong);
    const at::Tensor all = normalised(as_torch(s.call.tensor("input")), eps_of(s)) * as_torch(s.call.tensor("weight"));
    const at::Tensor y = all.index_select(0, rows);
    if (s.c.params.is("layout", "flashmla")) {
      expect_stored_keys(s, rows, y, y.to(at::kBFloat16).to(at::kFloat), at_positions);
    } else {
      expect_stored_for_the_indexer(s, rows, transformed(s, at_positions, y.to(at::kDouble)));
    }
  });
}

}  // namespace
}  // namespace dsv4::testing
