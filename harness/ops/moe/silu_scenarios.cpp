#include "harness/ops/moe/scenarios.h"

#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/moe/gate_up_rows.h"
#include "harness/ops/moe/masked_rows.h"

namespace dsv4 {
namespace {

/// topk is the number of experts. So whatever the counts are, every row in use is processed.
constexpr const char* kRoomForAll = "topk=3 ue8m0=1 transposed=1 limit=10";

/// Spreads the seven experts of the call over 256 experts with 4200 rows each. Each of the seven experts uses only its
/// first row.
void spread_experts(Call& call) {
  constexpr std::int64_t kExperts = 256, kTokens = 4200;
  const MaskedSizes s(call);
  const std::vector<std::int64_t> experts = far_rows(s.experts, kTokens * 2 * s.dim, far_edges(kBF16));
  for (const char* name : {"input", "output", "output_scale"}) {
    Arg& arg = call.arg(name);
    Shape shape = arg.tensor().shape;
    shape[0] = kExperts;
    shape[s.transposed && arg.name == "output_scale" ? 2 : 1] = kTokens;
    arg.far_layout = FarLayout{shape, {shape[1] * shape[2], shape[2], 1}, experts};
  }
  HostTensor counts = HostTensor::make(kI32, {kExperts});
  for (const std::int64_t e : experts) set_integer(counts, e, 1);
  call.arg("masked_m").tensor() = counts;
  call.arg("topk").value = std::int64_t{1};  // at most 4200 rows are processed
}

/// The rows of the small call, repeated.
void run_many_rows(const Op& op, ScenarioContext& x) {
  constexpr std::int64_t kRows = 65540;
  const Call few = x.op.make(x.c);
  const std::int64_t period = few.tensor("input").size(1), dim = few.tensor("output").size(2);
  Call many = masked_call(op, few.compile, 1, kRows, dim, false);
  set_integer(many.arg("masked_m").tensor(), 0, kRows);
  many.arg("swiglu_limit").value = few.arg("swiglu_limit").value;
  std::vector<std::int64_t> rows;
  for (std::int64_t r = 0; r < kRows; ++r) rows.push_back(r % period);
  const auto repeated = [&](const HostTensor& t) {
    const HostTensor all = gather_rows(t, rows, t.size(2));
    HostTensor shaped = HostTensor::make(t.dtype, {1, kRows, t.size(2)});
    shaped.storage = all.storage;
    return shaped;
  };
  many.arg("input").tensor() = repeated(few.tensor("input"));
  op.fit(many);
  const CallResult small = x.call("few rows", few);
  Observation want = x.op.observe(x.c, few, small);
  x.expect_agree("few rows", want, x.expected(few), x.op.tolerances(x.c, few, small, want, x.reference));
  for (Output& output : want.outputs) output.value = repeated(output.value);
  x.expect_agree("many rows", x.observed("many rows", many), want);
}

/// Gives the second of three experts this count. The other experts use no rows, so a write to one of their rows
/// is found.
Change with_count(const Op& op, std::int32_t count) {
  return [&op, count](Call& call) {
    call.arg("masked_m").tensor() = HostTensor::of<std::int32_t>(kI32, {0, count, 0});
    op.fit(call);
  };
}

}  // namespace

std::vector<Scenario> silu_scenarios(const Op& op) {
  std::vector<Scenario> list{transposed_relation(op, "dim=1536 ue8m0=1 transposed=1 fill=scale_edges"),
                             unaligned_relation({{"input", 2}, {"output", 1}})};
  list.push_back(swizzle_relation());
  list.push_back(params_relation("topk", "a larger topk changes nothing if every row in use is processed already",
                                 op.at({kRoomForAll}), [](Params& p) { p.set("topk", "64"); }));
  list.push_back(batch_relation(
      "an expert's rows do not depend on the other experts if topk is so large that all rows in use are processed",
      op.at({kRoomForAll}),
      [&op](Call& call, const std::vector<std::int64_t>& experts) { keep_batch(op, call, experts); }));
  list.push_back(idle_clamp_relation());
  list.push_back(far_relation("input",
                              "rows at offsets beyond 2^32 elements of the input and 2^31 elements of the output",
                              op.at({"experts=7 tokens=1 dim=2048 topk=7 ue8m0=1 transposed=1 limit=10 counts=full"},
                                    {"experts=7 tokens=1 dim=2048 topk=7 swizzle=1 counts=full"}),
                              spread_experts));

  list.push_back(relation(
      "many_rows", "rows whose number needs more than 16 bits have the same bits as the same rows in a small call",
      op.at({}, {"experts=1 tokens=61 dim=256 topk=1 ue8m0=1 counts=full"}),
      [&op](ScenarioContext& x) { run_many_rows(op, x); }));

  Contracts contracts(list);
  contracts.reshaped("output_dim", "an output that is not half as wide as the input is refused", "output",
                     [](Shape& s) { s[2] /= 2; });
  contracts.replaced("scale_floats",
                     "transposed scales as floats are refused, because they are packed into 32-bit words",
                     "output_scale", HostTensor::make(kF32, {3, 1, 4}));
  contracts.refused("dim_256_transposed",
                    "two groups per row are refused, because a word holds the scales of four groups", "output",
                    [&op](Call& call) { call = masked_call(op, call.compile, 3, 4, 256, true); });
  const auto sized = [&](const char* name, const char* what, std::int64_t experts, std::int64_t dim) {
    contracts.edge(name, fmt::format("{} are right, or the call is refused", what), [&op, experts, dim](Call& call) {
      call = masked_call(op, call.compile, experts, 4, dim, dim % 512 == 0);
      call.arg("topk").value = experts;
      call.arg("swiglu_limit").value = 10.0;
      Random random(1, "input");
      for (std::int64_t e = 0; e < experts; ++e) set_integer(call.arg("masked_m").tensor(), e, 1);
      fill_floats(call.arg("input").tensor(), [&] { return random.gauss(); });
      op.fit(call);
    });
  };
  sized("dim_384", "384 outputs per row, not a multiple of the 256 that a warp handles,", 3, 384);
  sized("experts_257", "more than 256 experts", 257, 512);
  sized("experts_65", "65 experts, more than the threads of a row with 512 outputs,", 65, 512);
  contracts.refused("transposed_floats", "the transposed layout is refused for scales that are not exponent bytes",
                    "transposed", [](Call& call) { call.compile.set("ue8m0", "0"); });
  contracts.edge("no_budget", "with topk = 0 nothing is written, or the call is refused", [&op](Call& call) {
    call.arg("topk").value = std::int64_t{0};
    op.fit(call);
  });
  contracts.edge("negative_count", "a negative count means no rows, or the call is refused", with_count(op, -1));
  contracts.edge(
      "count_past_the_rows",
      "a count larger than the number of rows is cut, or the call is refused; the next expert's rows are not accessed",
      with_count(op, 5));
  return list;
}

}  // namespace dsv4
