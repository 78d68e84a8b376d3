/// Compares the references of the expert ops with LibTorch on the inputs of the quick tier. quick_inputs_test.cpp does
/// the same for the other ops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {
namespace {

TEST(QuickInputsAgainstTorch, SiluAndMul) {
  std::int64_t decided_groups = 0, all_groups = 0;
  for_each_quick_case("silu_and_mul_masked_post_quant", [&](const Specimen& s) {
    const Params& p = s.c.params;
    const at::Tensor input = as_double(s.call.tensor("input"));
    const std::int64_t experts = input.size(0), tokens = input.size(1), dim = input.size(2) / 2, groups = dim / 128;
    const std::int64_t chunk = p.flag("swizzle") ? 8 : dim;
    const at::Tensor pairs = input.reshape({experts, tokens, dim / chunk, 2, chunk});
    at::Tensor gate = pairs.select(3, 0).reshape({experts, tokens, groups, 128});
    at::Tensor up = pairs.select(3, 1).reshape({experts, tokens, groups, 128});
    if (!p.is("limit", "none")) {
      const at::Tensor limit = at::full({}, std::stod(p.text("limit")), at::kFloat).to(at::kBFloat16).to(at::kDouble);
      gate = at::fmin(gate, limit);
      up = at::fmin(at::fmax(up, -limit), limit);
    }
    const at::Tensor silu = at::silu(gate);
    const at::Tensor v = overflow(silu * up).to(at::kFloat).to(at::kDouble);
    // Whether a kernel keeps or flushes subnormal numbers is open. Groups in which this makes a difference are left
    // out.
    const at::Tensor open = (gate.lt(-87.0).logical_and(at::isfinite(gate)))
                                .logical_or(at::abs(silu).lt(2 * kSmallestNormal).logical_and(silu.ne(0.0)))
                                .logical_or(at::abs(up).lt(kSmallestNormal).logical_and(up.ne(0.0)))
                                .logical_or(at::abs(v).lt(2 * kSmallestNormal).logical_and(v.ne(0.0)))
                                .any(-1);
    const at::Tensor maximum = greatest(v).clamp_min(double{1e-10f});
    const at::Tensor scale = p.flag("ue8m0") ? at::exp2(at::ceil(at::log2(maximum / 448.0)))
                                             : (maximum / 448.0).to(at::kFloat).to(at::kDouble);
    const at::Tensor scaled = v * at::where(at::isinf(scale), 0.0, at::reciprocal(scale));
    // A float scale is rounded, so a value near the middle between two codes may have either. A power of two is exact.
    const double slack = p.flag("ue8m0") ? 0.0 : 0x1p-22;
    const at::Tensor lower = codes_of(scaled * (1.0 - slack)), upper = codes_of(scaled * (1.0 + slack));

    const at::Tensor given = as_torch(s.result.tensor("output_scale"));
    at::Tensor got_scale;
    if (p.flag("transposed")) {  // i32 [E, groups / 4, T]; the bytes of a word are the exponents of four groups
      const at::Tensor bytes = given.contiguous().view(at::kByte).reshape({experts, groups / 4, tokens, 4});
      const at::Tensor exponents = bytes.permute({0, 2, 1, 3}).reshape({experts, tokens, groups}).to(at::kDouble);
      got_scale = at::where(exponents.eq(255), kInfinity, at::exp2(exponents - 127));
    } else {
      got_scale = given.to(at::kDouble);
    }
    const at::Tensor got_codes =
        as_torch(s.result.tensor("output")).view(at::kByte).reshape({experts, tokens, groups, 128});
    std::int64_t left = tokens * p.integer("topk");
    for (std::int64_t e = 0; e < experts; ++e) {
      const std::int64_t rows = as_torch(s.call.tensor("masked_m"))[e].item<std::int32_t>();
      for (std::int64_t t = 0; t < rows && left > 0; ++t, --left) {
        for (std::int64_t g = 0; g < groups; ++g) {
          ++all_groups;
          if (open[e][t][g].item<bool>()) continue;
          ++decided_groups;
          EXPECT_EQ(got_scale[e][t][g].item<double>(), scale[e][t][g].item<double>()) << e << ' ' << t << ' ' << g;
          const at::Tensor code = got_codes[e][t][g];
          EXPECT_TRUE(code.eq(lower[e][t][g]).logical_or(code.eq(upper[e][t][g])).all().item<bool>())
              << e << ' ' << t << ' ' << g;
        }
      }
    }
  });
  EXPECT_GT(2 * decided_groups, all_groups);
}

TEST(QuickInputsAgainstTorch, MegaMoePreDispatch) {
  for_each_quick_case("mega_moe_pre_dispatch", [](const Specimen& s) {
    const std::int64_t group = s.c.params.integer("group");
    const at::Tensor x = as_torch(s.call.tensor("x")).to(at::kFloat);
    const std::int64_t tokens = x.size(0), groups = x.size(1) / group;
    const at::Tensor ids = as_torch(s.result.tensor("buf_topk_idx"));
    EXPECT_TRUE(at::equal(ids.slice(0, 0, tokens), as_torch(s.call.tensor("topk_idx")).to(at::kLong)));
    EXPECT_TRUE(ids.slice(0, tokens).eq(-1).all().item<bool>());
    // The weights are compared as integers, because a NaN does not equal itself.
    const auto bits = [](const HostTensor& t) { return as_torch(t).view(at::kInt); };
    const at::Tensor weights = bits(s.result.tensor("buf_topk_weights"));
    EXPECT_TRUE(at::equal(weights.slice(0, 0, tokens), bits(s.call.tensor("topk_weights"))));
    EXPECT_TRUE(weights.slice(0, tokens).eq(0).all().item<bool>());
    if (tokens == 0) return;
    // Maximum, quotient and product are single float operations, so they are done in float.
    const at::Tensor values = x.reshape({tokens, groups, group});
    const at::Tensor maximum = at::fmax(greatest(values), at::full({}, 1e-10f));
    const at::Tensor exponent =
        at::where(at::isinf(maximum), 255.0, at::ceil(at::log2((maximum / 448.0f).to(at::kDouble))) + 127);
    // For byte 255 upstream's exponent field wraps around to minus infinity.
    const at::Tensor factor = at::where(exponent.eq(255), -kInfinity, at::exp2(127 - exponent)).to(at::kFloat);
    const at::Tensor codes = codes_of((values * factor).to(at::kDouble)).reshape({tokens, x.size(1)});
    const at::Tensor stored = as_torch(s.result.tensor("buf_x")).slice(0, 0, tokens).contiguous().view(at::kByte);
    EXPECT_TRUE(at::equal(stored, codes));
    const at::Tensor bytes = as_torch(s.result.tensor("buf_x_sf")).slice(0, 0, tokens).contiguous().view(at::kByte);
    EXPECT_TRUE(at::equal(bytes.to(at::kDouble), exponent.reshape({tokens, groups})));
  });
}

}  // namespace
}  // namespace dsv4::testing
