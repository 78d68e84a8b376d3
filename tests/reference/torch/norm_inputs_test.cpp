/// Compares the references that normalise rows with LibTorch, on the inputs of every case of the quick tier.
#include <vector>

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

TEST(NormInputsAgainstTorch, CompressNormRopeStore) {
  for_each_quick_case("compress_norm_rope_store", [](const Specimen& s) {
    std::vector<std::int64_t> used, positions;
    const HostTensor slots = entry_slots(s.call);
    for (std::int64_t i = 0; i < slots.numel(); ++i) {
      if (integer_at(slots, i) < 0) continue;
      used.push_back(i);
      positions.push_back(positions_in_plan(s.call).at(static_cast<std::size_t>(i)));
    }
    const at::Tensor rows = at::tensor(used, at::kLong);
    const at::Tensor y = normalised(as_torch(s.call.tensor("input")), eps_of(s)) * as_torch(s.call.tensor("weight"));
    const at::Tensor own = y.index_select(0, rows);
    expect_stored_keys(s, rows, own, own.to(at::kBFloat16).to(at::kFloat), at::tensor(positions, at::kLong));
  });
}

}  // namespace
}  // namespace dsv4::testing
