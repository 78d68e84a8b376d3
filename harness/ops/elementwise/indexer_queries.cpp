#include "harness/ops/elementwise/indexer_queries.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/many_rows.h"
#include "harness/ops/elementwise/norm_rows.h"

namespace dsv4 {
namespace {

/// The bfloat16 number that is `steps` after the one nearest to `x`.
float bf16_near(double x, std::int64_t steps) {
  return float_from_bf16(static_cast<std::uint16_t>(bf16_from_float(static_cast<float>(x)) + steps));
}

/// An element of the part that is not rotated. No position changes it.
std::int64_t fixed_place(Random& r) { return r.below(kQueryDim - kRotaryDim); }

/// Sets a row with four elements, which are not rotated. Its sums are +-a and +-b, so all elements of the transformed
/// row have one of two magnitudes.
void set_two_magnitudes(Elements x, float a, float b, Random& r) {
  const std::int64_t first = fixed_place(r), second = (first + 1 + r.below(63)) % 64;
  std::int64_t third = fixed_place(r);
  while (third == first || third == second) third = fixed_place(r);
  x.set_all([] { return 0.0f; });
  // Row i of the matrix gives these elements the signs s, t, u and s t u. If s = t, the sum is +-a, and else +-b.
  x.set(first, a / 2);
  x.set(second, a / 2);
  x.set(third, b / 2);
  x.set(first ^ second ^ third, -b / 2);
}

/// A random element of a list.
double one_of(const std::vector<double>& list, Random& r) {
  return list[static_cast<std::size_t>(r.below(std::ssize(list)))];
}

/// Half of the rows are as near to a midpoint as float arithmetic allows, or exactly there.
Fill midpoints(const QuantisedForm& form) {
  return {"midpoints", [form](Random& r, Elements x) {
            const double a =
                form.unit * one_of(form.multiples, r) * std::ldexp(1.0, static_cast<int>(r.between(-3, 3)));
            const double b = a * one_of(form.midpoints, r) / form.greatest;
            set_two_magnitudes(x, static_cast<float>(a), bf16_near(b, r.chance(2) ? 0 : r.between(-1, 1)), r);
          }};
}

Fill scale_edges(const QuantisedForm& form) {
  return {"scale_edges", [form](Random& r, Elements x) {
            const double power = std::ldexp(1.0, static_cast<int>(r.between(-12, 30)));
            const float greatest = bf16_near(form.unit * power, r.between(-1, 1));
            set_two_magnitudes(x, greatest, bf16_near(greatest * r.unit(), 0), r);
          }};
}

/// The greatest magnitude after the transform is near 1e-4, from which the least scale is computed.
Fill least_scale() {
  return {"least_scale", [](Random& r, Elements x) {
            const float greatest = bf16_near(1e-4 * std::sqrt(128.0), r.between(-2, 2));
            set_two_magnitudes(x, greatest, bf16_near(greatest * r.unit(), 0), r);
          }};
}

/// A single element, so the transformed row is a row of the matrix.
Fill one_element() {
  return {"one_element", [](Random& r, Elements x) {
            x.set_all([] { return 0.0f; });
            x.set(r.below(x.size()), r.wide(-3, 3));
          }};
}

Fills query_fills(const QuantisedForm& form, const float* angles) {
  return {fills::gauss(),
          fills::integers(-16, 16),
          cancelling_pairs(angles, 0x1p-8f),
          one_element(),
          midpoints(form),
          scale_edges(form),
          least_scale(),
          fills::wide(-40, 40),
          fills::wide(-34, -14, "small"),
          fills::denormal(),
          fills::wide(118, 122, "large"),
          fills::wide(124, 127, "huge"),  // sums of the transform overflow
          fills::zeros(),
          fills::one_inf(),
          fills::one_nan()};
}

const Fills kHeadWeights{fills::gauss(), fills::integers(-3, 3), fills::wide(-60, 60), fills::special()};

/// Multiplies each query by 2, which is exact.
void double_queries(Call& call) {
  HostTensor& queries = call.arg("q_input").tensor();
  for (std::int64_t i = 0; i < queries.numel(); ++i)
    set_float(queries, i, 2.0 * value_of(queries.dtype, queries.element(i)));
}

/// The parameters. The fills are those for `form`.
Space query_space(const QuantisedForm& form) {
  return {number("tokens", 0, 1 << 17, "tokens", {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 257}}),
          number("heads", 1, 256, "heads of the queries", {.usual = 3, .quick = {1, 3, 8}, .full = {1, 7, 64}}),
          word("index", {"i32", "i64"}, "type of the positions"),
          number("table", 1, 1 << 17, "positions in the angle table",
                 {.usual = 300, .quick = {1, 2, 300}, .full = {300, 4099}, .soak = {65537}}),
          word("angles", angle_tables(), "points of the unit circle, quarter turns, or any numbers"),
          word("at", position_places(), "which positions the tokens have"),
          word("weight", kHeadWeights.names(), "distribution of the weights of the heads"),
          word("scale", {"0.0110485435", "1", "-1e38", "0"}, "number by which all weights are multiplied"),
          word("fill", query_fills(form, nullptr).names(), "distribution of the queries")};
}

/// The arguments of both ops, with the op's own outputs after q_input.
std::vector<Argument> query_arguments(const std::vector<Argument>& quantised) {
  std::vector<Argument> list{in("q_input", {kBF16}, "tokens heads 128:dim")};
  list.insert(list.end(), quantised.begin(), quantised.end());
  const std::vector<Argument> others{
      in("weight", {kBF16}, "tokens heads"), out("weights_out", {kF32}, "tokens heads 1:dim", {.any_nan = true}),
      real("weight_scale"), in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}),
      in("positions", {kI32, kI64}, "tokens:count", {.dtype_of = "index", .index = Index{.limit = "table"}})};
  list.insert(list.end(), others.begin(), others.end());
  return list;
}

}  // namespace

QuantisedForm e4m3_form() {
  QuantisedForm form{.greatest = 448.0, .midpoints = {}, .unit = 448.0, .multiples = {1.0, 3.0, 5.0, 7.0}};
  for (std::uint8_t code = 0; code < 0x7e; ++code)
    form.midpoints.push_back((double_from_e4m3(code) + double_from_e4m3(static_cast<std::uint8_t>(code + 1))) / 2);
  return form;
}

QuantisedForm e2m1_form() {
  // 68 / sqrt(128) is 6.01, which becomes 6 when it is rounded to bfloat16. Then the scale is exactly 1.
  return {.greatest = 68.0 / std::sqrt(128.0),
          .midpoints = {0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0},
          .unit = 68.0,
          .multiples = {1.0}};
}

QueryOp::QueryOp(const QueryForm& op)
    : Op({
          .name = op.name,
          .family = "elementwise",
          .summary = op.summary,
          .upstream = op.upstream,
          .space = query_space(op.form),
          .signature = {query_arguments(op.quantised), "tokens"},
          .smoke = joined({{"", "tokens=3 heads=8 index=i64 at=last angles=axes weight=wide scale=1 fill=integers",
                            "tokens=9 heads=4 fill=midpoints", "tokens=4 heads=3 fill=least_scale"},
                           op.smoke}),
          .quick = {"cover"},
          .full = {"cover", "tokens=128 heads=64 index=i64 table=65537", "tokens=1 heads=128 fill=cancel",
                   "tokens=1500 heads=3 table=4099 fill=wide", "tokens=400 heads=8 fill=midpoints"},
          .bench = each({"tokens={} heads=64 index=i64 table=65536"}, {"64", "512", "4096"}),
          .host_note = "which products nvcc fuses",
      }),
      form_(op.form),
      codes_(op.quantised.front().name),
      out_bytes_(op.out_bytes) {}

std::optional<std::string> QueryOp::too_large(const Params& p) const {
  if (p.integer("tokens") * p.integer("heads") <= 1 << 15) return std::nullopt;
  return "this case would take too long: tokens times heads must be at most 2^15";
}

std::vector<std::string> QueryOp::idle(const Params& p) const {
  if (p.integer("tokens") == 0) return {"angles", "at", "table", "weight", "scale", "fill"};
  // Only the elements before the rotated ones are not 0 in some fills.
  static const std::vector<std::string> kFixed{"midpoints", "scale_edges", "least_scale", "zeros", "one_nan"};
  std::vector<std::string> names = idle_angles(p);
  if (std::ranges::count(kFixed, p.text("fill")) != 0) names = {"angles", "at", "table"};
  if (p.is("scale", "0")) names.emplace_back("weight");
  return names;
}

bool QueryOp::trivial_by_design(const Case& c) const {
  static const std::vector<std::string> kTrivial{"denormal", "huge", "zeros", "one_inf", "one_nan"};
  return c.params.integer("tokens") == 0 || std::ranges::count(kTrivial, c.params.text("fill")) != 0;
}

Call QueryOp::make(const Case& c) const {
  Call call = allocate(c);
  const Params& p = c.params;
  const HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
  const HostTensor positions = positions_tensor(p, c.seed);
  HostTensor& queries = call.arg("q_input").tensor();
  Random random(c.seed, "q_input"), weight_random(c.seed, "weight");
  const std::int64_t heads = p.integer("heads");
  for (std::int64_t row = 0; row < p.integer("tokens") * heads; ++row) {
    const float* const angles = &table.at<float>(integer_at(positions, row / heads), 0);
    query_fills(form_, angles).apply(p.text("fill"), random, Elements(queries, row * kQueryDim, kQueryDim));
  }
  kHeadWeights.apply(p.text("weight"), weight_random, Elements(call.arg("weight").tensor()));
  call.arg("weight_scale").value = std::stod(p.text("scale"));
  call.arg("freqs_cis").tensor() = table;
  call.arg("positions").tensor() = positions;
  return call;
}

Cost QueryOp::cost(const Case& c, const Call&) const {
  const auto tokens = static_cast<double>(c.params.integer("tokens"));
  const double rows = tokens * static_cast<double>(c.params.integer("heads"));
  return {.bytes = rows * (2.0 * kQueryDim + 2.0 + out_bytes_) + tokens * sizeof(float) * kRotaryDim,
          .flops = rows * (3.0 * kRotaryDim + 7.0 * kQueryDim + 3.0 * kQueryDim)};
}

ElementFacts QueryOp::element_facts(const Case&, const Call& call) const {
  return {{"position_outside", positions_outside(call)}};
}

std::vector<Scenario> QueryOp::scenarios() const {
  std::vector<Scenario> list{
      angles_further_down(),
      far_angles(at({"tokens=10 heads=1", "tokens=10 heads=1 index=i64"})),
      many_relation("tokens", at({}, {"tokens=3 heads=1 table=70000 at=last"})),
      many_relation("heads", in_full(params_at("tokens=1 heads=3 index=i64"))),
      call_relation("alignment", "arguments that do not start at a multiple of 16 bytes give the same results",
                    kFirstSmokePoint,
                    [this](Case&, Call& call, Observation&) {
                      call.arg("q_input").misalign = 2;
                      call.arg(codes_).misalign = 1;
                      call.arg("freqs_cis").misalign = 4;
                    }),
      call_relation("doubled", "twice the queries have the same codes, and twice the scales", kFirstSmokePoint,
                    [this](Case&, Call& call, Observation& want) {
                      double_queries(call);
                      double_outputs(want);
                    })};
  Contracts contracts(list);
  no_heads(contracts, *this);
  return list;
}

}  // namespace dsv4
