/// norm_rope: normalises rows by their root mean square, multiplies them by a weight, and rotates their last 64
/// elements, in place. Its results have intervals, as those of q_norm_rope.
///
/// Upstream's function has three modes. This op has mode 2, with a position for each row. The modes 0 and 1 are
/// compress_norm_rope_prefill_v1 and compress_norm_rope_decode_v1. No release after 0.5.16 calls them.
#include <algorithm>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/many_rows.h"
#include "harness/ops/elementwise/norm_rows.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kWidth = 512;

/// Fills of the weights.
const Fills kNormWeights{fills::each("ones", [](Random&) { return 1.0f; }), fills::gauss(), fills::wide(-20, 20),
                         fills::zeros()};

class NormRope final : public Op {
 public:
  NormRope()
      : Op({
            .name = "norm_rope",
            .family = "elementwise",
            .summary = "normalise rows, multiply them by a weight and rotate their last dimensions, in place",
            .upstream = "fused_norm_rope_inplace, _jit_norm_rope_module",
            .space = {number("tokens", 0, 1 << 13, "rows with a position",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 129, 257}}),
                      number("spare", 0, 64, "rows without a position, after the others", {.both = {0, 3}}),
                      number("table", 1, 1 << 17, "positions in the angle table",
                             {.usual = 300, .quick = {1, 2, 300}, .full = {300, 4099}, .soak = {65537}}),
                      word("angles", angle_tables(), "points of the unit circle, quarter turns, or any numbers"),
                      word("at", position_places(), "which positions the rows have"), eps_values(),
                      word("weight", kNormWeights.names(), "distribution of the weights"),
                      word("fill", norm_row_fill_names(), "distribution of the rows")},
            .signature = {{inout("input", {kBF16}, "rows? 512:dim", {.any_nan = true}),
                           in("weight", {kBF16}, "512:dim"),
                           in("positions", {kI64}, "tokens?", {.index = Index{.limit = "table"}}),
                           in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}), integer("mode"), real("eps"),
                           integer("ratio")},
                          "tokens"},
            .smoke = {"weight=gauss", "tokens=3 spare=3 at=last eps=0 fill=signs",
                      "tokens=9 eps=1e-2 weight=wide fill=small"},
            .quick = {"cover"},
            .full = {"cover", "tokens=1025 table=65537 weight=gauss", "tokens=1500 table=4099 weight=wide fill=wide"},
            .bench = each({"tokens={} table=65536 weight=gauss"}, {"64", "512", "4096"}),
            .without = {{"relation:any_batch", "rows of 'input' may have no position, so its rows are not the batch"}},
            .host_note = "the error of rsqrtf, and which products nvcc fuses",
        }) {}

  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    if (p.integer("tokens") == 0) return {"angles", "at", "table", "eps", "weight"};
    if (has_trivial_rows(p)) return {"angles", "at", "table", "eps", "weight"};
    if (p.is("weight", "zeros")) return {"angles", "at", "table", "eps", "fill"};
    return idle_angles(p);
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t tokens = p.integer("tokens"), rows = tokens + p.integer("spare");
    Call call = allocate(c, {{"rows", rows}});
    const HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
    Params with_index = p;
    const HostTensor positions = positions_tensor(with_index.set("index", "i64"), c.seed);
    HostTensor& input = call.arg("input").tensor();
    Random random(c.seed, "input"), weight_random(c.seed, "weight");
    for (std::int64_t t = 0; t < rows; ++t) {
      const std::int64_t position = t < tokens ? integer_at(positions, t) : 0;
      norm_row_fills(&table.at<float>(position, 0)).apply(p.text("fill"), random, Elements(input, t * kWidth, kWidth));
    }
    kNormWeights.apply(p.text("weight"), weight_random, Elements(call.arg("weight").tensor()));
    call.arg("positions").tensor() = positions;
    call.arg("freqs_cis").tensor() = table;
    call.arg("mode").value = std::int64_t{2};
    call.arg("eps").value = eps_of(p);
    fit(call);
    return call;
  }
  /// The call may write the rows that have a position.
  void fit(Call& call) const override {
    Arg& input = call.arg("input");
    std::vector<std::int64_t> rows;
    for (std::int64_t t = 0; t < std::min(input.tensor().size(0), call.tensor("positions").numel()); ++t)
      rows.push_back(t);
    input.footprint = footprint_of_rows(input.tensor(), rows, kWidth);
  }

  /// The rows that have a position. The footprint shows whether the others keep their bytes.
  [[nodiscard]] Observation observe(const Case& c, const Call& call, const CallResult& result) const override {
    Observation o = Op::observe(c, call, result);
    for (Output& output : o.outputs) output.value = used_rows(call, output.value);
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    Tolerances ends = intervals(call, reference, {"input"},
                                "sums of 512 squares and rsqrtf within their errors; either product of a*b + c*d may "
                                "be fused");
    Tolerance& t = ends.at("input");
    t.low = used_rows(call, t.low);
    t.high = used_rows(call, t.high);
    return ends;
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("tokens") == 0 || has_trivial_rows(c.params) || c.params.is("weight", "zeros");
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    return {.bytes = tokens * (4.0 * kWidth + 4.0 * kRotaryDim + 8.0),
            .flops = tokens * (4.0 * kWidth + 3.0 * kRotaryDim)};
  }

  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return {{"position_outside", positions_outside(call)}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{
        angles_further_down(), far_angles(at({"tokens=10 weight=gauss"})),
        many_relation("tokens", at({}, {"tokens=3 table=70000 at=last weight=gauss"}), {}, "rows"),
        call_relation("row_alignment", "rows that do not start at a multiple of 16 bytes give the same results",
                      kFirstSmokePoint, [](Case&, Call& call, Observation&) { call.arg("input").misalign = 2; })};
    Contracts contracts(list);  // the first smoke point: 5 rows, 5 positions
    contracts.refused("positions_more", "more positions than rows are refused", "positions", [](Call& call) {
      call.arg("positions").tensor() = numbers({0, 1, 2, 3, 4, 5}, kI64);
    });
    contracts.integer("mode_3", "a mode that does not exist is refused", "mode", 3);
    contracts.integer("mode_negative", "a mode that does not exist is refused", "mode", -1);
    contracts.integer("ratio_4", "a ratio other than 0 is refused in mode 2", "ratio", 4);
    return list;
  }

 private:
  static HostTensor used_rows(const Call& call, const HostTensor& rows) {
    std::vector<std::int64_t> used;
    for (std::int64_t t = 0; t < std::min(rows.size(0), call.tensor("positions").numel()); ++t) used.push_back(t);
    return rows_of(rows, used);
  }
};

DSV4_REGISTER_OP(NormRope);

}  // namespace
}  // namespace dsv4
