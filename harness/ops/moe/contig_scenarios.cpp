#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/moe/contig_rows.h"
#include "harness/ops/moe/gate_up_rows.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {
namespace {

/// The rows of the small call, repeated. A transposed call has wider rows, so it has fewer of them.
void run_many_rows(const Op& op, ScenarioContext& x) {
  const Call few = x.op.make(x.c);
  const std::int64_t count = flag_of(few, "transposed") ? 33000 : 65540;
  const std::int64_t period = few.tensor("input").size(0);
  std::vector<std::int64_t> rows;
  for (std::int64_t r = 0; r < count; ++r) rows.push_back(r % period);
  Call many = contig_call(op, few.compile, count, few.tensor("output").size(1), flag_of(few, "transposed"));
  many.arg("input").tensor() = rows_of(few.tensor("input"), rows);
  many.arg("swiglu_limit").value = few.arg("swiglu_limit").value;
  const CallResult small = x.call("few rows", few);
  Observation want = x.op.observe(x.c, few, small);
  x.expect_agree("few rows", want, x.expected(few), x.op.tolerances(x.c, few, small, want, x.reference));
  for (Output& output : want.outputs) output.value = rows_of(output.value, rows);
  x.expect_agree("many rows", x.observed("many rows", many), want);
}

void add_contracts(const Op& op, std::vector<Scenario>& list) {
  // 5 rows of 1536 outputs, so transposed scales have three words.
  Contracts contracts(list, op.at({"dim=1536 ue8m0=1 transposed=1 limit=10"}));
  contracts.reshaped("output_dim", "an output that is not half as wide as the input is refused", "output",
                     [](Shape& s) { s[1] /= 2; });
  contracts.replaced("scale_floats",
                     "transposed scales as floats are refused, because they are packed into 32-bit words",
                     "output_scale", HostTensor::strided(kF32, {5, 3}, {1, 8}));
  contracts.refused_each("scale_strides", "transposed scales whose rows are not neighbours in memory are refused",
                         "output_scale", "stride",
                         {[](Call& call) {
                            call.arg("output_scale").value = HostTensor::make(kI32, {5, 3});
                          },
                          [](Call& call) {
                            call.arg("output_scale").value = HostTensor::strided(kI32, {5, 3}, {2, 10});
                          }});
  contracts.refused("scale_overlap", "transposed scales are refused if words of two columns have the same address",
                    "output_scale", [](Call& call) {
                      call.arg("output_scale").value = HostTensor::strided(kI32, {5, 3}, {1, 4});
                    });
  contracts.refused("transposed_floats", "the transposed layout is refused for scales that are not exponent bytes",
                    "transposed", [](Call& call) { call.compile.set("ue8m0", "0"); });
  contracts.refused("dim_768_transposed",
                    "six groups per row are refused, because a word holds the scales of four groups", "output",
                    [&op](Call& call) { call = contig_call(op, call.compile, 5, 768, true); });
  for (const std::int64_t dim : {384, 8448, 16384}) {
    contracts.edge(fmt::format("dim_{}", dim), fmt::format("{} outputs per row are right, or refused", dim),
                   [&op, dim](Call& call) {
                     call = contig_call(op, call.compile, 3, dim, dim % 512 == 0);
                     call.arg("swiglu_limit").value = 10.0;
                     Random random(1, "input");
                     fill_floats(call.arg("input").tensor(), [&] { return random.gauss(); });
                   });
  }
}

}  // namespace

std::vector<Scenario> contig_scenarios(const Op& op) {
  std::vector<Scenario> list{transposed_relation(op, "dim=1536 ue8m0=1 transposed=1 fill=scale_edges"),
                             unaligned_relation({{"input", 2}, {"output", 1}}), swizzle_relation(),
                             idle_clamp_relation()};
  list.push_back(params_relation("padding", "words between the columns of scales change nothing", kFirstSmokePoint,
                                 [](Params& p) { p.set("pad", "36"); }));
  list.push_back(far_relation("output_scale", "columns of transposed scales that lie 2^31 words apart",
                              op.at({"dim=1536 ue8m0=1 transposed=1"}), move_apart("output_scale", 1)));
  list.push_back(
      relation("many_rows",
               "rows whose number needs more than 15 or 16 bits have the same bits as the same rows in a small call",
               op.at({}, {"rows=61 dim=256 ue8m0=1", "rows=61 dim=512 ue8m0=1 transposed=1"}),
               [&op](ScenarioContext& x) { run_many_rows(op, x); }));
  add_contracts(op, list);
  return list;
}

}  // namespace dsv4
