/// Compares the references that normalise rows with LibTorch, on the inputs of every case of the quick tier.
#include "tests/reference/torch/quick_inputs.h"

namespace dsv4::testing {
namespace {

/// The factor of each row of `x`, rounded to float. A sum of squares that is too large for a float is infinite.
at::Tensor factors_of(const at::Tensor& x, double eps) {
  const at::Tensor sum = overflow(at::square(x.to(at::kDouble)).sum(-1, true));
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

TEST(NormInputsAgainstTorch, RmsnormHead) {
  for_each_quick_case("rmsnorm_head", [](const Specimen& s) {
    const at::Tensor want = normalised(as_torch(s.call.tensor("input")), eps_of(s)).to(at::kBFloat16);
    expect_equal(as_double(s.result.tensor("output")), want.to(at::kDouble), "output");
  });
}

}  // namespace
}  // namespace dsv4::testing
