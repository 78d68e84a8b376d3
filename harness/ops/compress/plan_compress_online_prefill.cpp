/// plan_compress_online_prefill (V1) cuts the new tokens of each request at the ends of groups, for online compression
/// at ratio 128. It names a segment by its last token, and says nothing about slots. Plans and lengths are on the host,
/// so both plans are in token order.
#include "harness/op/define.h"
#include "harness/ops/compress/online_plans.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

/// Gives a call two plans of `rows` rows, of which the call may write those that it uses.
void give_v1_online_plans(Call& call, std::int64_t rows) {
  const auto used = plans::online_records(requests_of(batch_of(call)), [](std::int64_t, std::int64_t) { return 0; });
  for (const auto& [name, records] :
       {std::pair{"compress_plan", std::ssize(used.compress)}, {"write_plan", std::ssize(used.write)}}) {
    call.arg(name).value = HostTensor::make(kU8, {rows, sizeof(TokenPlan)});
    auto& footprint = call.arg(name).footprint;
    footprint.assign(call.tensor(name).storage.size(), is_padded(call) ? 1 : 0);
    const auto bytes = std::min(records * std::int64_t{sizeof(TokenPlan)}, std::ssize(footprint));
    std::fill_n(footprint.begin(), bytes, std::uint8_t{1});
  }
}

class PlanCompressOnlinePrefill final : public Op {
 public:
  PlanCompressOnlinePrefill()
      : Op({
            .name = "plan_compress_online_prefill",
            .family = "compress",
            .summary = "plan of a prefill batch of online compression: segments of groups, without slots (V1)",
            .upstream = "CompressorPrefillPlan.generate, _jit_compress_128_online_plan_module",
            .space = Space{graph_param()}.with(prefill_batch({.usual = 5, .quick = {1, 9}},
                                                             {.usual = 121, .quick = {1, 124, 252, 380}},
                                                             {.usual = 21, .quick = {1, 4, 127, 128, 129, 300}})),
            .signature =
                {{in("extend_lens", {kI64}, "requests", {.place = Place::kHost}),
                  in("seq_lens", {kI64}, "requests:count", {.place = Place::kHost, .names = {{"count", "lens_count"}}}),
                  out("compress_plan", {kU8}, "tokens:rows 16:columns", {.place = Place::kHost}),
                  out("write_plan", {kU8}, "tokens:rows 16:columns", {.place = Place::kHost}), truth("use_cuda_graph")},
                 "requests"},
            .smoke = {"", "graph=1 batch=3 len=255 extend=130 mix=last_differs"},
            .quick = joined({{"cover mix=uniform|last_differs|mixed"},
                             each({"batch={} len=130 spread=random", "graph=1 batch={} len=9 extend=9"},
                                  {"32", "33", "1024", "1025"})}),
            .full = each({"graph={} batch=1 len=65536 spread=same extend=65536 mix=uniform",
                          "graph={} batch=1 len=1048576 spread=same extend=8192 mix=uniform",
                          "graph={} batch=1000 len=1000 spread=random extend=60"},
                         {"0", "1"}),
            .bench = {"batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .without = {{"relation:any_batch", "rows of a plan name tokens by their number in the whole batch"}},
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_host_lens(p); }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (most_tokens(p) > 1 << 20) return "more than a million tokens";
    return too_many_slots(p);
  }
  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return is_tiny_batch(c.params); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const HostTensor plan = HostTensor::make(kU8, {batch.tokens(), sizeof(TokenPlan)});
    Call v1 = call({numbers(batch.extend_lens), numbers(batch.seq_lens), plan, plan, c.params.flag("graph")});
    fit(v1);
    return v1;
  }
  void fit(Call& call) const override { give_v1_online_plans(call, batch_of(call).tokens()); }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_token_plans({.batch = batch_of(call),
                                .plan_rows = is_padded(call) ? call.tensor("compress_plan").size(0) : -1,
                                .in_token_order = true},
                               result);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // Bytes of two lengths per request, and of the rows of both plans that the call fills.
    auto bytes = 16.0 * static_cast<double>(call.tensor("seq_lens").numel());
    for (const char* plan : {"compress_plan", "write_plan"})
      bytes += static_cast<double>(std::ranges::count(call.arg(plan).footprint, 1));
    return {.bytes = bytes};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list;
    Contracts contracts(list);
    add_extend_contracts(contracts);
    contracts.refused("sum_below", "fewer new tokens than rows are refused", "extend_lens",
                      [](Call& call) { give_v1_online_plans(call, batch_of(call).tokens() + 1); });
    // Every request keeps a segment. A planner that counts the rows only after it has written them writes past the end.
    contracts.refused("sum_above", "new tokens that need more rows than the plans have are refused", "extend_lens",
                      [](Call& call) {
                        call.arg("extend_lens").tensor() = numbers({1, 1, 1, 1, 1});
                        give_v1_online_plans(call, 4);
                      });
    list.push_back(many_rows_relation(*this, {"batch=1 len=70000 spread=same extend=70000 mix=uniform",
                                              "graph=1 batch=5 len=70000 spread=same extend=66000 mix=long_first"}));
    list.push_back(relation("v1_equals_v2", "V1 and plan_prefill_online (V2) cut a batch into the same segments",
                            at({"batch=9 len=250 extend=200", "batch=40 len=120 extend=9 mix=last_differs"}),
                            v1_equals_v2));
    return list;
  }

 private:
  /// V2 gives position + 1, and does not name the request. V1 does not name a slot.
  static void v1_equals_v2(ScenarioContext& x) {
    const Batch batch = make_batch(x.c.params, x.c.seed);
    const CacheMaps maps = make_maps(batch, {.pool = pool_size(batch.size()), .page_size = 256, .ring_size = 1}, 1);
    const CallResult result = x.call("V2", online_prefill_plan_call(batch, maps));
    const Observation now = observe_online_prefill_plan(batch, maps.rows(), result);
    const Observation old = x.observed("V1", x.op.make(x.c));
    Observation got, want;
    got.findings = old.findings;
    for (const char* plan : {"compress_plan", "write_plan"}) {
      HostTensor records = columns_of(old.output(plan), {0, 2, 3});
      for (std::int64_t i = 0; i < records.size(0); ++i) {
        auto& length = records.at<std::int32_t>(i, 1);
        length = static_cast<std::int32_t>(std::int64_t{length} + 1);  // wraps if a kernel wrote the greatest number
      }
      got.add(plan, std::move(records));
      want.add(plan, columns_of(now.output(plan), {0, 1, 2}));
    }
    fail_each(x, now.findings);
    x.expect_agree("V1 against V2", got, want);
  }
};

DSV4_REGISTER_OP(PlanCompressOnlinePrefill);

}  // namespace
}  // namespace dsv4
