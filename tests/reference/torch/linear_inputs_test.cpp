/// Compares the reference of linear_bf16_fp32 with LibTorch, on the inputs of every case of the quick tier.
#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {
namespace {

TEST(LinearInputsAgainstTorch, LinearBf16Fp32) {
  for_each_quick_case("linear_bf16_fp32", [](const Specimen& s) {
    const at::Tensor x = as_double(s.call.tensor("x")), y = as_double(s.call.tensor("y"));
    // The reference rounds the sum to float. Sums in double are added in another order.
    const at::Tensor want = at::matmul(x, y.t());
    const at::Tensor magnitude = at::matmul(at::abs(x), at::abs(y).t());
    const double depth = static_cast<double>(x.size(1));
    expect_near(as_double(s.result.tensor("z")), want, half_float_step(want) + magnitude * (2 * depth * 0x1p-53), "z");
  });
}

}  // namespace
}  // namespace dsv4::testing
