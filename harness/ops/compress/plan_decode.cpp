/// plan_decode (V2) gives the state row in which the newest token of each request is kept, and the state pages of the
/// token's window. Each field of each row must be exact, even if the token completes no entry.
#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

class PlanDecode final : public DecodePlanner {
 public:
  PlanDecode()
      : DecodePlanner({
            .name = "plan_decode",
            .family = "compress",
            .summary = "plan of a decode step: where each new token is kept and where its window is",
            .upstream = "CompressorDecodePlan.generate, _jit_compress_plan_module",
            .space = Space{ratio_param()}
                         .with(cache_params())
                         .with(decode_batch({.usual = 9, .quick = {1, 9, 33}},
                                            {.usual = 1, .quick = {1, 4, 60, 124, 251, 380, 508}})),
            .signature = {{in("req_pool_indices", {kI64}, "requests", {.index = Index{.limit = "pool"}}),
                           in("req_to_token", {kI32}, "pool positions", {.index = Index{.limit = "slots"}}),
                           in("full_to_swa", {kI64}, "slots", {.index = Index{}}),
                           in("seq_lens", {kI64}, "requests:count",
                              {.index = Index{.limit = "positions", .count = true},
                               .names = {{"count", "lens_count"}}}),
                           integer("compress_ratio"), integer("swa_page_size"), integer("ring_size")},
                          "requests"},
            .smoke = {"", "ratio=128 ring=256 batch=5 len=126"},
            .quick = joined({{"cover"},
                             each({"batch={} len=3", "ratio=128 ring=128 batch={} len=200 spread=random"},
                                  {"127", "128", "129", "256", "257", "1024", "1025"})}),
            .full =
                joined({each({"ring=16 batch=2 len={} spread=random", "ratio=128 ring=256 batch=1 len={} spread=same"},
                             kLongLens),
                        {"batch=1024 len=4096 spread=random", "ratio=128 ring=256 batch=2048 len=1000"}}),
            .contract_point = "batch=5 len=21",
            .bench = {"batch=256 len=4000"},
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    return reject_cache(p, p.integer("ratio"));
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    return decode_plan_call(c.params.integer("ratio"), batch, make_maps(batch, c.params, c.seed));
  }

  [[nodiscard]] std::optional<Alternative> variant(const std::string& name, const Case& c, const Call& call,
                                                   Caller& reference) const override {
    const std::int64_t ratio = integer_of(call, "compress_ratio");
    if (name != kRequestRing || ratio != 128) return std::nullopt;
    const CallResult result = reference.call(call);
    if (result.refusal) return std::nullopt;
    HostTensor plan = observe(c, call, result).output("plan");
    const Batch batch = batch_of(call);
    for (std::int64_t b = 0; b < plan.size(0); ++b) {
      const auto request = static_cast<std::size_t>(b);
      const std::int64_t newest = batch.seq_lens.at(request) - 1, before = std::max<std::int64_t>(newest - ratio, 0);
      const auto row = [&](std::int64_t position) {
        return request_ring_row(batch.request_ids.at(request), position, integer_of(call, "ring_size"));
      };
      plan.at<std::int32_t>(b, 1) = row(newest);
      plan.at<std::int32_t>(b, 2) = row(before) / static_cast<std::int32_t>(ratio);
      plan.at<std::int32_t>(b, 3) = row(newest) / static_cast<std::int32_t>(ratio);
    }
    return Alternative{{{"plan", std::move(plan)}}, {}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// Plans a prefill of one token and a decode step for the same requests. Both plans must name the same rows.
void prefill_of_one(ScenarioContext& x) {
  const std::int64_t ratio = x.c.params.integer("ratio");
  const Batch batch = make_batch(x.c.params, x.c.seed);
  const CacheMaps maps = make_maps(batch, x.c.params, x.c.seed);
  const Call one = prefill_plan_call({.ratio = ratio, .lens_on_device = true}, batch, maps);
  Observation got = observe_prefill_plan(one, x.call("prefill of one", one));
  const Observation decode = x.observed("decode", decode_plan_call(ratio, batch, maps));
  std::ranges::copy(decode.findings, std::back_inserter(got.findings));
  HostTensor compress = got.output("compress_plan"), write = got.output("write_plan");
  // Copies a field of the decode plan to entry i. A row of the decode plan is (length, state row, two pages).
  const auto take = [&](HostTensor& entries, std::int64_t i, std::int64_t column, std::int64_t from) {
    const std::int32_t token = entries.at<std::int32_t>(i, 0);
    const HostTensor& plan = decode.output("plan");
    if (token >= 0 && token < plan.size(0)) entries.at<std::int32_t>(i, column) = plan.at<std::int32_t>(token, from);
  };
  for (std::int64_t i = 0; i < compress.size(0); ++i) {
    take(compress, i, 1, 0);
    for (const std::int64_t page : {3, 4}) {
      if (compress.at<std::int32_t>(i, page) != -1) take(compress, i, page, page - 1);
    }
  }
  for (std::int64_t i = 0; i < write.size(0); ++i) take(write, i, 1, 1);
  got.outputs.resize(2);
  x.expect_agree("prefill of one against decode", got,
                 Observation().add("compress_plan", std::move(compress)).add("write_plan", std::move(write)));
}

/// When a request grows by one group, the page of its own group must become the page of its previous group.
void one_group_later(ScenarioContext& x) {
  const std::int64_t ratio = x.c.params.integer("ratio");
  const Batch batch = make_batch(x.c.params, x.c.seed);
  Batch later = batch;
  for (std::int64_t& n : later.seq_lens) n += ratio;
  const CacheMaps maps = make_maps(later, x.c.params, x.c.seed);
  const Observation now = x.observed("now", decode_plan_call(ratio, batch, maps));
  Observation then = x.observed("a group later", decode_plan_call(ratio, later, maps));
  std::ranges::copy(now.findings, std::back_inserter(then.findings));
  then.outputs = {{"page", columns_of(then.output("plan"), {2})}};
  x.expect_agree("the page before", then, Observation().add("page", columns_of(now.output("plan"), {3})));
}

std::vector<Scenario> PlanDecode::scenarios() const {
  const Points both = at({"batch=33", "ring=16 page=64 batch=33 len=250", "ratio=128 ring=128 batch=140 len=250",
                          "ratio=128 ring=256 batch=140"});
  std::vector<Scenario> list = DecodePlanner::scenarios();
  list.push_back(
      many_rows_relation(*this, {"page=16 batch=65540 len=3 spread=same", "ring=16 batch=2 len=70000 spread=same",
                                 "ratio=128 ring=256 batch=2 len=33000 spread=same"}));
  append(list, far_map_relations(at({"len=250", "ratio=128 ring=256 len=250"})));
  list.push_back(relation("prefill_of_one", "a prefill of one token reads and writes the same rows as a decode step",
                          both, prefill_of_one));
  list.push_back(
      relation("one_group_later", "one more group makes the current page the previous page", both, one_group_later));
  return list;
}

DSV4_REGISTER_OP(PlanDecode);

}  // namespace
}  // namespace dsv4
