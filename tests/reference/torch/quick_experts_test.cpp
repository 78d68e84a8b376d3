/// Compares the references of the expert ops with LibTorch on the inputs of the quick tier. quick_inputs_test.cpp does
/// the same for the other ops.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {
namespace {

/// Returns the gates (half 0) or ups (half 1) of rows of `input`, [..., 2D], as a tensor [..., D].
at::Tensor half_of(const at::Tensor& input, bool swizzle, std::int64_t half) {
  std::vector<std::int64_t> shape = input.sizes().vec();
  const std::int64_t dim = shape.back() / 2, chunk = swizzle ? 8 : dim;
  std::vector<std::int64_t> chunks(shape.begin(), shape.end() - 1);
  chunks.insert(chunks.end(), {dim / chunk, 2, chunk});
  shape.back() = dim;
  return input.reshape(chunks).select(-2, half).reshape(shape);
}

/// silu(gate) * up of a case, rounded to float. Whether a kernel keeps or flushes subnormal numbers is open. `open` has
/// the elements for which this makes a difference.
struct Products {
  at::Tensor value;
  at::Tensor open;
};

Products products_of(at::Tensor gate, at::Tensor up, const Params& p) {
  const bool tmp = p.has("form") && p.is("form", "tmp"), limited = !p.is("limit", "none");
  if (limited) {
    at::Tensor limit = at::full({}, std::stod(p.text("limit")), at::kFloat);
    limit = (tmp ? limit : limit.to(at::kBFloat16)).to(at::kDouble);
    gate = at::fmin(gate, limit);
    up = tmp ? at::fmax(at::fmin(up, limit), -limit) : at::fmin(at::fmax(up, -limit), limit);
  }
  const auto to_bfloat16 = [](const at::Tensor& x) { return x.to(at::kFloat).to(at::kBFloat16).to(at::kDouble); };
  at::Tensor silu = at::silu(gate);
  if (tmp && !limited) silu = to_bfloat16(silu);
  at::Tensor v = overflow(silu * up).to(at::kFloat).to(at::kDouble);
  if (tmp && !limited) v = to_bfloat16(v);
  const at::Tensor open = (gate.lt(-87.0).logical_and(at::isfinite(gate)))
                              .logical_or(at::abs(silu).lt(2 * kSmallestNormal).logical_and(silu.ne(0.0)))
                              .logical_or(at::abs(up).lt(kSmallestNormal).logical_and(up.ne(0.0)))
                              .logical_or(at::abs(v).lt(2 * kSmallestNormal).logical_and(v.ne(0.0)));
  return {v, open};
}

/// The scales of groups, [..., groups], and the least and the greatest code of their elements, [..., groups, 128].
struct Quantised {
  at::Tensor scale, lower, upper;
};

Quantised quantised(const at::Tensor& v, bool ue8m0) {
  const at::Tensor maximum = greatest(v).clamp_min(double{1e-10f});
  const at::Tensor scale =
      ue8m0 ? at::exp2(at::ceil(at::log2(maximum / 448.0))) : (maximum / 448.0).to(at::kFloat).to(at::kDouble);
  const at::Tensor scaled = v * at::where(at::isinf(scale), 0.0, at::reciprocal(scale));
  // A float scale is rounded, so a value near the middle between two codes may have either. A power of two is exact.
  const double slack = ue8m0 ? 0.0 : 0x1p-22;
  return {scale.squeeze(-1), codes_of(scaled * (1.0 - slack)), codes_of(scaled * (1.0 + slack))};
}

/// The scales that bytes stand for.
at::Tensor scales_of(const at::Tensor& bytes) {
  const at::Tensor exponents = bytes.to(at::kDouble);
  return at::where(exponents.eq(255), kInfinity, at::exp2(exponents - 127));
}

/// Expects the scales `scale`, [groups], and the codes `code`, [groups, 128], of a row. Groups with open elements are
/// left out. Adds to the numbers of decided groups and of all groups.
void expect_row(const at::Tensor& scale, const at::Tensor& code, const Quantised& want, const at::Tensor& open,
                const std::string& row, std::int64_t& decided, std::int64_t& all) {
  const at::Tensor undecided = open.any(-1);
  EXPECT_TRUE(scale.eq(want.scale).logical_or(undecided).all().item<bool>()) << row;
  const at::Tensor right = code.eq(want.lower).logical_or(code.eq(want.upper));
  EXPECT_TRUE(right.logical_or(undecided.unsqueeze(-1)).all().item<bool>()) << row;
  all += undecided.numel();
  decided += undecided.logical_not().sum().item<std::int64_t>();
}

TEST(QuickInputsAgainstTorch, SiluAndMul) {
  std::int64_t decided = 0, all = 0;
  for_each_quick_case("silu_and_mul_masked_post_quant", [&](const Specimen& s) {
    const Params& p = s.c.params;
    const at::Tensor input = as_double(s.call.tensor("input"));
    const std::int64_t experts = input.size(0), tokens = input.size(1), groups = input.size(2) / 256;
    const auto grouped = [&](const at::Tensor& t) { return t.reshape({experts, tokens, groups, 128}); };
    const Products v =
        products_of(grouped(half_of(input, p.flag("swizzle"), 0)), grouped(half_of(input, p.flag("swizzle"), 1)), p);
    const Quantised want = quantised(v.value, p.flag("ue8m0"));
    at::Tensor scale = as_torch(s.result.tensor("output_scale"));
    if (p.flag("transposed")) {  // i32 [E, groups / 4, T]; the bytes of a word are the exponents of four groups
      const at::Tensor bytes = scale.contiguous().view(at::kByte).reshape({experts, groups / 4, tokens, 4});
      scale = scales_of(bytes.permute({0, 2, 1, 3}).reshape({experts, tokens, groups}));
    }
    const at::Tensor code = grouped(as_torch(s.result.tensor("output")).view(at::kByte));
    std::int64_t left = tokens * p.integer("topk");
    for (std::int64_t e = 0; e < experts; ++e) {
      const std::int64_t rows = as_torch(s.call.tensor("masked_m"))[e].item<std::int32_t>();
      for (std::int64_t t = 0; t < rows && left > 0; ++t, --left) {
        expect_row(scale[e][t].to(at::kDouble), code[e][t], {want.scale[e][t], want.lower[e][t], want.upper[e][t]},
                   v.open[e][t], std::to_string(e) + " " + std::to_string(t), decided, all);
      }
    }
  });
  EXPECT_GT(2 * decided, all);
}

TEST(QuickInputsAgainstTorch, SiluAndMulContig) {
  std::int64_t decided = 0, all = 0;
  for_each_quick_case("silu_and_mul_contig_post_quant", [&](const Specimen& s) {
    const Params& p = s.c.params;
    const at::Tensor input = as_double(s.call.tensor("input"));
    const std::int64_t rows = input.size(0), groups = input.size(1) / 256;
    const auto grouped = [&](const at::Tensor& t) { return t.reshape({rows, groups, 128}); };
    const Products v =
        products_of(grouped(half_of(input, p.flag("swizzle"), 0)), grouped(half_of(input, p.flag("swizzle"), 1)), p);
    const HostTensor packed = s.result.tensor("output_scale").packed();
    at::Tensor scale = as_torch(packed);
    if (p.flag("transposed")) scale = scales_of(scale.view(at::kByte).reshape({rows, groups}));
    expect_row(scale.to(at::kDouble), grouped(as_torch(s.result.tensor("output")).view(at::kByte)),
               quantised(v.value, p.flag("ue8m0")), v.open, "all rows", decided, all);
  });
  EXPECT_GT(2 * decided, all);
}

TEST(QuickInputsAgainstTorch, SiluAndMulClamp) {
  std::int64_t decided = 0, all = 0;
  for_each_quick_case("silu_and_mul_clamp", [&](const Specimen& s) {
    const at::Tensor input = as_double(s.call.tensor("input"));
    const Products v = products_of(half_of(input, false, 0), half_of(input, false, 1), s.c.params);
    const at::Tensor want = v.value.to(at::kFloat).to(at::kBFloat16).to(at::kDouble);
    const at::Tensor got = as_double(s.result.tensor("output"));
    expect_equal(at::where(v.open, 0.0, got), at::where(v.open, 0.0, want), "output");
    all += v.open.numel();
    decided += v.open.logical_not().sum().item<std::int64_t>();
  });
  EXPECT_GT(2 * decided, all);
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
