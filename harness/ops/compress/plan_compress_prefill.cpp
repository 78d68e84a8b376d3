/// plan_compress_prefill (V1) says which tokens of a prefill batch complete a compressed entry, and which tokens are
/// kept. It names a token by its request and position. The plans are arguments. They are sorted by token before they
/// are compared, as in plan_prefill.cpp. Plans and lengths are all on the host, or all on the device.
#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

HostTensor v1_plan(std::int64_t rows) { return HostTensor::make(kU8, {rows, sizeof(TokenPlan)}); }

/// Gives a call two plans of `rows` rows.
void give_plans(Call& call, std::int64_t rows) {
  for (const char* name : {"compress_plan", "write_plan"}) {
    call.arg(name).value = v1_plan(rows);
    call.arg(name).footprint.clear();
  }
}

std::vector<std::string> v1_quick_lines() {
  const std::vector<std::string> ratios{"ratio=4", "ratio=128"};
  return joined(
      {each({"cover mix={}"}, kMixes),
       each({"{} lens=device graph=1 len=9 extend=3 mix=uniform {}"}, ratios,
            {"batch=31 slack=3", "batch=32 slack=4", "batch=33 slack=5", "batch=129 slack=3", "batch=1024 slack=2",
             "batch=1025 slack=3"}),
       each({"{} batch={} len=130 spread=random extend=9"}, ratios, {"31", "32", "33", "129", "1024", "1025"}),
       each({"{} lens=device graph=1 batch=1 len=7 spread=same mix=uniform slack=2042",
             "{} graph=1 batch=1 len=4096 spread=same extend=1500 mix=uniform"},
            ratios)});
}

/// V1 plans number tokens with 32 bits, so batches may have more than 65535 tokens.
std::vector<std::string> v1_full_lines() {
  return joined(
      {each({"ratio={} lens={} graph=1 batch=1 len=65535 spread=same extend=65535 mix=uniform",
             "ratio={} lens={} graph=1 batch=1 len=65536 spread=same extend=65536 mix=uniform",
             "ratio={} lens={} graph=1 batch=1 len=70000 spread=same extend=70000 mix=uniform",
             "ratio={} lens={} graph=1 batch=1 len=1048576 spread=same extend=8192 mix=uniform",
             "ratio={} lens={} graph=1 batch=1000 len=1000 spread=random extend=60",
             "ratio={} lens={} graph=1 batch=2049 len=300 spread=random extend=20"},
            {"4", "128"}, kLens),
       each({"ratio={} lens=device graph=1 batch=1024 len=4096 spread=random extend=40 mix=some_empty slack=1000"},
            {"4", "128"})});
}

class PlanCompressPrefill final : public Op {
 public:
  PlanCompressPrefill()
      : Op({
            .name = "plan_compress_prefill",
            .family = "compress",
            .summary = "plan of a prefill batch: names requests and positions, has no addresses (V1)",
            .upstream = "CompressorPrefillPlan.generate, _jit_common_module",
            .space = Space{ratio_param(), word("lens", kLens, "memory of the lengths and the plans"), graph_param()}
                         .with(edge_batch())
                         .with({slack_param(1 << 17, "rows of the plans beyond the batch's tokens")}),
            .signature = {{in("extend_lens", {kI64}, "requests", {.place = std::nullopt}),
                           in("seq_lens", {kI64}, "requests:count",
                              {.place = std::nullopt, .names = {{"count", "lens_count"}}}),
                           out("compress_plan", {kU8}, "tokens:rows 16:columns", {.place = std::nullopt}),
                           out("write_plan", {kU8}, "tokens:rows 16:columns", {.place = std::nullopt}),
                           integer("compress_ratio"), truth("is_overlap"), truth("use_cuda_graph")},
                          "requests"},
            .smoke = {"", "lens=device graph=1 batch=4 len=250 extend=8 mix=uniform slack=3",
                      "ratio=128 graph=1 batch=3 len=255 extend=130 mix=last_differs",
                      "ratio=128 lens=device graph=1 batch=9 len=124 extend=9"},
            .quick = v1_quick_lines(),
            .full = v1_full_lines(),
            .bench = {"lens=device graph=1 batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .without = {{"relation:any_batch", "rows of a plan name tokens by their number in the whole batch"}},
            .host_note = "the real order of atomics on the device path (the schedule seed varies the order)",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.is("lens", "host") || p.flag("graph")) return reject_host_lens(p);
    return "a plan that is made on the device always has a fixed size, so graph must be 1";
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (most_tokens(p) + p.integer("batch") > 1 << 20) return "more than a million tokens";
    return too_many_slots(p);
  }
  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return is_tiny_batch(c.params); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    const std::int64_t ratio = p.integer("ratio");
    Call v1 =
        token_plan_call(ratio, p.is("lens", "device"), p.flag("graph"), batch.tokens() + p.integer("slack"), batch);
    // If a plan is not padded, the function must not write after the plan's entries.
    const plans::PrefillRecords used = counted_records(batch, ratio, {});
    for (const auto& [name, rows] :
         {std::pair{"compress_plan", std::ssize(used.compress)}, {"write_plan", std::ssize(used.write)}}) {
      std::vector<std::uint8_t>& footprint = v1.arg(name).footprint;
      footprint.assign(v1.tensor(name).storage.size(), is_padded(v1) ? 1 : 0);
      std::fill_n(footprint.begin(), rows * std::int64_t{sizeof(TokenPlan)}, std::uint8_t{1});
    }
    return v1;
  }
  void fit(Call& call) const override { give_plans(call, batch_of(call).tokens()); }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_token_plans({.batch = batch_of(call),
                                .plan_rows = is_padded(call) ? call.tensor("compress_plan").size(0) : -1,
                                .in_token_order = !lens_on_device(call)},
                               result);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // Bytes of two lengths per request, and of the rows of both plans that the call fills.
    auto bytes = 16.0 * static_cast<double>(call.tensor("seq_lens").numel());
    for (const char* plan : {"compress_plan", "write_plan"})
      bytes += static_cast<double>(std::ranges::count(call.arg(plan).footprint, 1));
    return {.bytes = bytes};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// V1 and plan_prefill_legacy (V2) must name the same tokens. V2 gives position + 1, and does not name the request.
void legacy_equals_current(ScenarioContext& x) {
  const Call v1 = x.op.make(x.c);
  const Call v2 = legacy_prefill_plan_call(x.c.params.integer("ratio"), false, batch_of(v1));
  const Observation now = observe_prefill_plan(v2, x.call("V2", v2));
  const Observation old = x.observed("V1", v1);
  HostTensor entries = columns_of(old.output("compress_plan"), {0, 2, 3});
  for (std::int64_t i = 0; i < entries.size(0); ++i) {
    auto& length = entries.at<std::int32_t>(i, 1);
    length = static_cast<std::int32_t>(std::int64_t{length} + 1);  // wraps if a kernel wrote the greatest number
  }
  // Both have an entry's token, its length, its number of window tokens before the batch, and a kept row's token.
  Observation got, want;
  got.findings = old.findings;
  got.add("compress_plan", std::move(entries));
  got.add("write_plan", columns_of(old.output("write_plan"), {0}));
  want.add("compress_plan", columns_of(now.output("compress_plan"), {0, 1, 2}));
  want.add("write_plan", columns_of(now.output("write_plan"), {0}));
  fail_each(x, now.findings);
  x.expect_agree("V1 against V2", got, want);
}

std::vector<Scenario> PlanCompressPrefill::scenarios() const {
  std::vector<Scenario> list;
  Contracts contracts(list);
  add_extend_contracts(contracts);
  for (const std::string name : {"seq_lens", "compress_plan", "write_plan"}) {
    contracts.misplaced(name + "_on_device", "a tensor in the wrong memory is refused, not dereferenced", name,
                        Place::kDevice);
  }
  const auto one_token_each = [](Call& call) { call.arg("extend_lens").tensor() = numbers({1, 1, 1, 1, 1}); };
  contracts.refused("sum_below", "fewer new tokens than rows are refused", "extend_lens", one_token_each);
  // Every token is kept. A planner that counts the rows only after it has written them writes past the end of the plan.
  contracts.refused("sum_above", "new tokens that need more rows than the plans have are refused", "extend_lens",
                    [one_token_each](Call& call) {
                      one_token_each(call);
                      give_plans(call, 4);
                    });
  append(list, prefill_plan_outside(*this));
  list.push_back(
      many_rows_relation(*this, each({"{} lens={} graph=1 batch=1 len=70000 spread=same extend=70000 mix=uniform",
                                      "{} lens={} graph=1 batch=5 len=70000 spread=same extend=66000 mix=long_first"},
                                     {"ratio=4", "ratio=128"}, kLens)));
  // On a device, many threads make one plan. One point has more requests than a thread block has threads.
  list.push_back(
      repeat_relation(at({"", "lens=device graph=1 batch=300 len=9 extend=5 slack=7",
                          "ratio=128 lens=device graph=1 batch=1025 len=130 spread=random mix=last_differs"})));
  const Points both = at({"graph=1 batch=9 len=250 extend=9", "ratio=128 graph=1 batch=9 len=124 extend=130",
                          "ratio=128 graph=1 batch=40 len=250 extend=5 mix=last_differs"});
  list.push_back(host_equals_device(both));
  list.push_back(relation("legacy_equals_current", "V1 and plan_prefill_legacy (V2) agree in the fields that both have",
                          both, legacy_equals_current));
  return list;
}

DSV4_REGISTER_OP(PlanCompressPrefill);

}  // namespace
}  // namespace dsv4
