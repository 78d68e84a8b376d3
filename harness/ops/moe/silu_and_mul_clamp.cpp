/// silu_and_mul_clamp: silu(gate) * up with both clamped, rounded to bfloat16.
///
/// silu uses approximate exponentials and reciprocals, so a value near the middle between two bfloat16 numbers has two
/// right results. The reference computes the interval that the error bound of silu allows.
#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/moe/gate_up_rows.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {
namespace {

class SiluAndMulClamp final : public Op {
 public:
  SiluAndMulClamp()
      : Op({
            .name = "silu_and_mul_clamp",
            .family = "moe",
            .summary = "silu(gate) * up, with both clamped",
            .upstream = "silu_and_mul_clamp, _jit_silu_and_mul_clamp_module",
            .space = {number("rows", 1, 1 << 20, "tokens",
                             {.usual = 5, .quick = {1, 2, 3, 5}, .full = {1, 33, 129, 257}}),
                      number("dim", 8, 8192, "outputs of a row, a multiple of 8",
                             {.usual = 512, .quick = {8, 136, 512}, .full = {8, 2048, 3072, 8192}}),
                      word("dtype", {"bf16"}, "type of inputs and outputs"),
                      word("limit", {"10", "7", "7.03", "0.1", "0", "-1", "1e30"}, "clamp of gates and ups"),
                      word("fill", covered_gate_up_fills(), "distribution of gates and ups")},
            .signature = {{in("input", {kBF16}, "rows columns!", {.dtype_of = "dtype"}),
                           out("output", {kBF16}, "rows dim", {.dtype_of = "dtype", .any_nan = true}),
                           real("swiglu_limit")},
                          "rows"},
            // At the last points, values reach both ends of both clamps.
            .smoke = {"", "rows=2 dim=8 limit=7.03 fill=at_limit", "rows=3 dim=136 limit=0.1 fill=at_limit",
                      "rows=3 limit=1e30 fill=wide"},
            .quick = {"cover", "rows=2 dim=8192", "rows=3 dim=1544 limit=7 fill=bits"},
            .full = {"cover", "rows=4097 dim=2048"},
            .bench = each({"rows={} dim=2048"}, {"64", "4096"}),
            .host_note = "the effects of fast-math: on a CPU the exponential and the reciprocal are accurate, and "
                         "subnormals are not flushed to zero",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.integer("dim") % 8 != 0) return "a thread handles 8 outputs: dim must be a multiple of 8";
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("rows") * p.integer("dim") <= 1 << 24) return std::nullopt;
    return "this case would take too long: rows times dim must be at most 2^24";
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    Call call = allocate(c, {{"columns", 2 * p.integer("dim")}}, Params().set("dtype", p.text("dtype")));
    fill_gate_up_rows(call.arg("input").tensor(), p, /*swizzle=*/false, c.seed);
    call.arg("swiglu_limit").value = limit_of(p);
    return call;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return intervals(call, reference, {"output"},
                     "errors of __expf and __fdividef, as documented; 1 / 1 exact, as measured on an H200");
  }

  /// If every up is clamped to -1 or to zero, all outputs may be equal.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.is("limit", "0") || c.params.is("limit", "-1");
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto outputs = static_cast<double>(call.tensor("output").numel());
    return {.bytes = outputs * 6.0, .flops = outputs * 5.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{unaligned_relation({{"input", 2}, {"output", 2}}), scaled_ups("negated_ups", -1.0, ""),
                               scaled_ups("doubled_ups", 2.0, "limit=1e30")};
    list.push_back(many_rows_relation(*this, {"rows=65540 dim=8", "rows=32770 dim=16 limit=7"}));
    Contracts contracts(list);  // the first smoke point: 5 rows of 512 outputs
    contracts.reshaped("output_dim", "an output that is not half as wide as the input is refused", "output",
                       [](Shape& s) { s[1] /= 2; });
    for (const std::int64_t dim : {0, 12, 8200, 16384}) {
      contracts.edge(fmt::format("dim_{}", dim), fmt::format("{} outputs of a row are right, or refused", dim),
                     [this, dim](Call& call) {
                       call =
                           this->call({HostTensor::make(kBF16, {2, 2 * dim}), HostTensor::make(kBF16, {2, dim}), 10.0},
                                      call.compile);
                       Random random(1, "input");
                       fill_floats(call.arg("input").tensor(), [&] { return 4.0f * random.gauss(); });
                     });
    }
    return list;
  }

 private:
  /// A relation: if the ups are multiplied by a power of two, so are the outputs. No value of the point is clamped, or
  /// the factor is -1.
  Scenario scaled_ups(std::string name, double factor, const std::string& point) const {
    return call_relation(std::move(name), fmt::format("if the ups are multiplied by {}, so are the outputs", factor),
                         at({point}), [factor](Case&, Call& call, Observation& want) {
                           HostTensor& input = call.arg("input").tensor();
                           const std::int64_t columns = input.size(1);
                           const auto scale = [factor](HostTensor& t, std::int64_t i) {
                             set_float(t, i, factor * value_of(t.dtype, t.element(i)));
                           };
                           for (std::int64_t i = 0; i < input.numel(); ++i) {
                             if (i % columns >= columns / 2) scale(input, i);
                           }
                           HostTensor& output = want.outputs.front().value;
                           for (std::int64_t i = 0; i < output.numel(); ++i) scale(output, i);
                         });
  }
};

DSV4_REGISTER_OP(SiluAndMulClamp);

}  // namespace
}  // namespace dsv4
