/// compress_norm_rope_prefill_v1: normalises and rotates the rows of the entries in a V1 plan, in place. Its results
/// have intervals, as those of norm_rope. But rows are floats, and nothing is rounded to bfloat16.
///
/// Upstream's function has three modes. This op has mode 0, with a plan. compress_norm_rope_decode_v1 has mode 1, and
/// norm_rope has mode 2.
#include <algorithm>
#include <map>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/elementwise/compressed_rows.h"
#include "harness/ops/elementwise/entry_plans.h"
#include "interface/compress_plan.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

class CompressNormRopePrefillV1 final : public CompressedRowsOp {
 public:
  CompressNormRopePrefillV1()
      : CompressedRowsOp(
            {
                .name = "compress_norm_rope_prefill_v1",
                .family = "elementwise",
                .summary = "normalise and rotate the rows of the entries in a plan, in place (V1)",
                .upstream = "compress_fused_norm_rope_inplace, _jit_norm_rope_module",
                .bench = each({"head_dim={} records=512 spare=1536 table=65536 weight=gauss",
                               "head_dim={} records=2048 table=65536 weight=gauss"},
                              {"512", "128"}),
            },
            in("plan", {kU8}, "records? 16:bytes"), "records", 0) {}

  /// A record names a row, and the position of its token, which is the last one of the entry's own group.
  [[nodiscard]] std::vector<ChangedRow> changed(const Call& call) const override {
    const auto plan = records_of<TokenPlan>(call.tensor("plan"));
    std::vector<ChangedRow> rows;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      if (plan[i].ragged_id >= call.tensor("input").size(0)) continue;  // a sentinel, too
      rows.push_back({static_cast<std::int64_t>(i), plan[i].ragged_id,
                      std::int64_t{plan[i].position} + 1 - integer_of(call, "ratio")});
    }
    return rows;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;

 private:
  /// Records name rows in random order.
  [[nodiscard]] HostTensor records(const Case& c, const std::vector<std::int64_t>& positions) const override {
    const std::vector<std::int64_t> used = used_records(c.params);
    Random random(c.seed, "plan");
    const auto rows = random.permutation(c.params.integer("records") + c.params.integer("spare"));
    std::vector<TokenPlan> plan(positions.size(), layout::kNoToken);
    for (const std::int64_t i : used) {
      const auto n = static_cast<std::size_t>(i);
      plan[n] = record(rows[n], positions[n], c.params.integer("ratio"));
      plan[n].batch_id = static_cast<std::uint32_t>(random.below(1 << 20));  // no kernel reads these two
      plan[n].window_len = static_cast<std::uint32_t>(random.below(9));
    }
    return plan_tensor(plan);
  }

  static TokenPlan record(std::int64_t row, std::int64_t position, std::int64_t ratio) {
    return {static_cast<std::uint32_t>(row), 0, static_cast<std::uint32_t>(position + ratio - 1), 0};
  }

  void set_position(HostTensor& plan, std::int64_t i, std::int64_t position, std::int64_t ratio) const override {
    auto changed_plan = records_of<TokenPlan>(plan);
    changed_plan.at(static_cast<std::size_t>(i)).position = static_cast<std::uint32_t>(position + ratio - 1);
    plan = plan_tensor(changed_plan);
  }

  [[nodiscard]] HostTensor spread(const HostTensor& plan, const std::vector<std::int64_t>& places,
                                  std::int64_t count) const override {
    std::vector<TokenPlan> many(static_cast<std::size_t>(count), layout::kNoToken);
    const auto few = records_of<TokenPlan>(plan);
    for (std::size_t i = 0; i < few.size(); ++i) {
      TokenPlan& moved = many.at(static_cast<std::size_t>(places.at(i)));
      moved = few[i];
      moved.ragged_id = static_cast<std::uint32_t>(places.at(few[i].ragged_id));
    }
    return plan_tensor(many);
  }

  void keep(Call& call, const std::vector<std::int64_t>& rows) const override {
    std::map<std::int64_t, std::uint32_t> place;
    for (const std::int64_t row : rows) place.emplace(row, static_cast<std::uint32_t>(place.size()));
    auto plan = records_of<TokenPlan>(call.tensor("plan"));
    std::erase_if(plan, [&](const TokenPlan& r) { return !place.contains(r.ragged_id); });
    for (TokenPlan& r : plan) r.ragged_id = place.at(r.ragged_id);
    call.arg("plan").tensor() = plan_tensor(plan);
    keep_rows(call, {"input"}, rows);
  }

  void try_plan(ScenarioContext& x) const;
  void run_plan(ScenarioContext& x) const;
};

/// A record that names another record's row would make both race, so no such record is tried.
void CompressNormRopePrefillV1::try_plan(ScenarioContext& x) const {
  const Call good = make(x.c);
  const auto usual = observed_once(x, good);
  const std::vector<ChangedRow> rows = changed(good);
  std::size_t turn = 0;
  const auto try_values = [&](const char* name, std::uint32_t TokenPlan::*field, std::vector<std::uint32_t> values) {
    for (const std::uint32_t value : values) {
      const ChangedRow& own = rows[turn++ % rows.size()];
      auto plan = records_of<TokenPlan>(good.tensor("plan"));
      plan.at(static_cast<std::size_t>(own.record)).*field = value;
      Call bad = good;
      bad.arg("plan").tensor() = plan_tensor(plan);
      try_record(x, fmt::format("record {} with {} {}", own.record, name, value), bad, good, usual, own.row);
    }
  };
  const auto size = [&](const char* name) { return static_cast<std::uint32_t>(good.tensor(name).size(0)); };
  const auto ratio = static_cast<std::uint32_t>(integer_of(good, "ratio"));
  constexpr std::uint32_t kHigh = 1u << 31;
  try_values("row", &TokenPlan::ragged_id, {size("input"), kHigh >> 1, kHigh, 0xfffffffe});
  try_values("position", &TokenPlan::position,
             {0, ratio - 2, size("freqs_cis") + ratio - 1, kHigh >> 1, kHigh - 1, kHigh, 0xffffffff});
}

/// Plans a batch, and normalises the rows of its entries. Decode steps must give the same rows.
void CompressNormRopePrefillV1::run_plan(ScenarioContext& x) const {
  const std::int64_t ratio = x.c.params.integer("ratio"), dim = x.c.params.integer("head_dim");
  const Batch batch{{3, 0, 2}, {130, 256, 300}, {130, 20, 44}};
  const Call planner = token_plan_call(ratio, true, true, batch.tokens() + 5, batch);
  const CallResult planned = x.call("plan", planner);
  const Op* const planner_op = find_op(planner.op);
  if (planner_op == nullptr) throw Error("there is no op " + planner.op);
  // With a wrong plan, a kernel could access any memory.
  const auto entries = [&](const CallResult& result) { return planner_op->observe(x.c, planner, result); };
  const Observation right = entries(x.reference.call(planner));
  const Observation plan = entries(planned);
  x.expect_agree("plan", plan, right);
  if (!plan.findings.empty() || plan.output("compress_plan").storage != right.output("compress_plan").storage) return;

  Call prefill = make(x.c);
  HostTensor input = HostTensor::make(kF32, {batch.tokens(), dim});
  Random random(x.c.seed, "rows");
  fill_floats(input, [&] { return random.gauss(); });
  prefill.arg("input").tensor() = input;
  prefill.arg("plan").tensor() = planned.tensor("compress_plan");
  fit(prefill);
  const CallResult result = x.call("prefill", prefill);
  const Observation got = observe(x.c, prefill, result);
  x.expect_agree("prefill", got, x.expected(prefill), tolerances(x.c, prefill, result, got, x.reference));

  std::vector<std::int64_t> rows, lengths;
  for (const ChangedRow& r : changed(prefill)) {
    rows.push_back(r.row);
    lengths.push_back(r.position + ratio);
  }
  const Call decode =
      call_of("compress_norm_rope_decode_v1",
              {rows_of(input, rows), prefill.tensor("weight"), numbers(lengths, kI32), prefill.tensor("freqs_cis"),
               std::int64_t{1}, std::get<double>(prefill.arg("eps").value), ratio},
              Params().set("head_dim", dim));
  Observation of_steps, of_plan;
  of_steps.add("input", x.call("decode", decode).tensor("input"));
  of_plan.add("input", rows_of(got.output("input"), rows));
  x.expect_agree("decode against prefill", of_steps, of_plan);
}

std::vector<Scenario> CompressNormRopePrefillV1::scenarios() const {
  std::vector<Scenario> list = CompressedRowsOp::scenarios();
  list.push_back({Scenario::Kind::kContract, "plan_outside",
                  "a record that names a row or a position outside the tensors changes no other record's row",
                  at({info().smoke[0], info().smoke[1]}), [this](ScenarioContext& x) { try_plan(x); }});
  list.push_back(far_relation("input", "rows at offsets beyond 2^32 elements",
                              at({"records=9 weight=gauss", "head_dim=512 records=9 weight=gauss"}), [](Call& call) {
                                Arg& input = call.arg("input");
                                const HostTensor& rows = input.tensor();
                                input.far_layout =
                                    far_pool(rows, far_rows(rows.size(0), rows.size(1), far_edges(kF32)));
                                auto plan = records_of<TokenPlan>(call.tensor("plan"));
                                for (TokenPlan& r : plan)
                                  r.ragged_id = static_cast<std::uint32_t>(input.far_layout->rows.at(r.ragged_id));
                                call.arg("plan").tensor() = plan_tensor(plan);
                              }));
  list.push_back(sequence(
      "plan_and_decode", "a planned batch, and decode steps that complete the same entries, give the same rows",
      at({"weight=gauss", "head_dim=512 ratio=128 weight=gauss"}), [this](ScenarioContext& x) { run_plan(x); }));
  Contracts contracts(list);
  contracts.edge("sentinels_only", "a plan that holds only sentinels: nothing is written", [this](Call& call) {
    call.arg("plan").tensor() = plan_tensor(std::vector<TokenPlan>(4, layout::kNoToken));
    fit(call);
  });
  contracts.edge("more_records_than_rows", "a plan with more records than rows, most of them sentinels, is right",
                 [this](Call& call) {
                   auto plan = records_of<TokenPlan>(call.tensor("plan"));
                   plan.insert(plan.begin(), 20, layout::kNoToken);
                   call.arg("plan").tensor() = plan_tensor(plan);
                   fit(call);
                 });
  contracts.reshaped("plan_of_8_bytes", "a write plan of V2 in the place of the plan is refused", "plan",
                     [](Shape& s) { s[1] = 8; });
  return list;
}

DSV4_REGISTER_OP(CompressNormRopePrefillV1);

}  // namespace
}  // namespace dsv4
