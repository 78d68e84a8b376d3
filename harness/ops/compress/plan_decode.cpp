/// plan_decode (V2): where the newest token of each request is kept, and where its window lies. Exact in every field of
/// every row, whether the token completes an entry or not.
#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

class PlanDecode final : public Op {
 public:
  PlanDecode()
      : Op({
            .name = "plan_decode",
            .family = "compress",
            .summary = "plan of a decode step: where each new token is kept and where its window lies",
            .upstream = "CompressorDecodePlan.generate",
            .space = swa_space().with(
                decode_batch({.usual = 9, .quick = {1, 9, 33}}, {.usual = 1, .quick = {1, 4, 60, 124, 251, 380, 508}})),
            .signature = {{in("req_pool_indices", {kI64}, "requests"), in("req_to_token", {kI32}, "pool positions"),
                           in("full_to_swa", {kI64}, "slots"),
                           in("seq_lens", {kI64}, "requests:count", {.names = {{"count", "lens_count"}}}),
                           integer("compress_ratio"), integer("swa_page_size"), integer("ring_size")},
                          "requests"},
            .smoke = {"", "ratio=128 ring=256 batch=5 len=126"},
            .quick = joined({{"cover"},
                             each({"batch={} len=3", "ratio=128 ring=128 batch={} len=200 spread=random"},
                                  {"127", "128", "129", "256", "257", "1024", "1025"})}),
            .full =
                joined({each({"ring=16 batch=2 len={} spread=random", "ratio=128 ring=256 batch=1 len={} spread=same"},
                             {"65535", "65536", "131072", "1048573", "1048576"}),
                        {"batch=1024 len=4096 spread=random", "ratio=128 ring=256 batch=2048 len=1000"}}),
            .contract_point = "batch=5 len=21",
            .bench = {"batch=256 len=4000"},
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_ring(p); }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_slots(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    return decode_plan_call(p.integer("ratio"), batch, make_maps(batch, p, c.seed));
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const std::int64_t cache_pages = call.tensor("full_to_swa").numel() / integer_of(call, "swa_page_size");
    return observe_decode_plan(batch_of(call), integer_of(call, "compress_ratio"),
                               cache_pages * integer_of(call, "ring_size"), returned_tensor(result, 0));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // An id, a length, two look-ups in two maps, and the plan.
    return {.bytes = static_cast<double>(call.tensor("seq_lens").numel()) * (8 + 8 + 2 * 12 + 16)};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// A prefill of one token and a decode step, planned for the same requests, must name the same rows.
void prefill_of_one(ScenarioContext& x) {
  const std::int64_t ratio = x.c.params.integer("ratio");
  const Batch batch = make_batch(x.c.params, x.c.seed);
  const CacheMaps maps = make_maps(batch, x.c.params, x.c.seed);
  const CallResult decode = x.call("decode", decode_plan_call(ratio, batch, maps));
  const CallResult prefill =
      x.call("prefill of one", prefill_plan_call({.ratio = ratio, .lens_on_device = true}, batch, maps));
  Observation o;
  const auto plan_d = records_of<layout::DecodePlan>(returned_tensor(decode, 0), "plan_d", o);
  const auto plan_c =
      valid_entries(records_of<layout::CompressPlan>(returned_tensor(prefill, 0), "plan_c", o), "plan_c", o);
  const auto plan_w =
      valid_entries(records_of<layout::WritePlan>(returned_tensor(prefill, 1), "plan_w", o), "plan_w", o);
  for (const Finding& f : o.findings) x.fail(f.check, f.detail);
  std::int64_t events = 0;
  for (const std::int64_t n : batch.seq_lens) events += n % ratio == 0 ? 1 : 0;
  if (std::ssize(plan_c) != events) {
    x.fail("count", fmt::format("the prefill plan has {} entries, the lengths have {} multiples of {}", plan_c.size(),
                                events, ratio));
  }
  if (std::ssize(plan_d) != batch.size()) {
    x.fail("count", fmt::format("the decode plan has {} rows for {} requests", plan_d.size(), batch.size()));
    return;
  }
  for (const layout::CompressPlan& e : plan_c) {
    if (e.ragged_id >= plan_d.size()) {
      x.fail("range", fmt::format("an entry of the prefill plan names token {} of {}", e.ragged_id, plan_d.size()));
      continue;
    }
    const layout::DecodePlan& d = plan_d[e.ragged_id];
    const bool same = e.seq_len == d.seq_len && (!reads_own_page(e, ratio) || e.read_page_1 == d.read_page_1) &&
                      (!reads_page_before(e, ratio) || e.read_page_0 == d.read_page_0);
    if (!same) {
      x.fail("pages", fmt::format("request {}: prefill reads pages {} and {}, decode {} and {}", e.ragged_id,
                                  e.read_page_0, e.read_page_1, d.read_page_0, d.read_page_1));
    }
  }
  for (const layout::WritePlan& w : plan_w) {
    if (w.ragged_id >= plan_d.size()) {
      x.fail("range", fmt::format("a kept row of the prefill plan names token {} of {}", w.ragged_id, plan_d.size()));
    } else if (w.write_loc != plan_d[w.ragged_id].write_loc) {
      x.fail("write_loc", fmt::format("request {}: prefill keeps its token in row {}, decode in row {}", w.ragged_id,
                                      w.write_loc, plan_d[w.ragged_id].write_loc));
    }
  }
  x.compared(std::ssize(plan_c) + std::ssize(plan_w));
}

/// The page before, one group later, is the page of now.
void one_group_later(ScenarioContext& x) {
  const std::int64_t ratio = x.c.params.integer("ratio");
  Batch batch = make_batch(x.c.params, x.c.seed);
  std::vector<std::int64_t> later = batch.seq_lens;
  for (std::int64_t& n : later) n += ratio;
  const CacheMaps maps = make_maps(batch.request_ids, later, pool_size(batch.size()), batch.longest() + ratio,
                                   x.c.params.integer("page"), x.c.params.integer("ring"), true, x.c.seed);
  Observation o;
  const auto now = records_of<layout::DecodePlan>(
      returned_tensor(x.call("now", decode_plan_call(ratio, batch, maps)), 0), "plan_d", o);
  batch.seq_lens = later;
  const auto then = records_of<layout::DecodePlan>(
      returned_tensor(x.call("a group later", decode_plan_call(ratio, batch, maps)), 0), "plan_d", o);
  for (const Finding& f : o.findings) x.fail(f.check, f.detail);
  if (std::ssize(now) != batch.size() || std::ssize(then) != batch.size()) {
    x.fail("count",
           fmt::format("the plans have {} and {} rows for {} requests", now.size(), then.size(), batch.size()));
    return;
  }
  for (std::size_t b = 0; b < now.size(); ++b) {
    if (then[b].read_page_0 != now[b].read_page_1) {
      x.fail("page_before", fmt::format("request {}: its page is {}, but a group later the page before is {}", b,
                                        now[b].read_page_1, then[b].read_page_0));
    }
  }
  x.compared(std::ssize(now));
}

std::vector<Scenario> PlanDecode::scenarios() const {
  const Points both = at({"batch=33", "ring=16 page=64 batch=33 len=250", "ratio=128 ring=128 batch=140 len=250",
                          "ratio=128 ring=256 batch=140"});
  std::vector<Scenario> list = far_map_relations(at({"len=250", "ratio=128 ring=256 len=250"}));
  list.push_back(late_allocation_relation(only(points(Tier::kSmoke))));
  list.push_back(relation("prefill_of_one", "a prefill of one token reads and writes the rows that a decode step does",
                          both, prefill_of_one));
  list.push_back(
      relation("one_group_later", "the page before, one group later, is the page of now", both, one_group_later));
  Contracts contracts(list, at({info().contract_point}));
  add_ratio_contract(contracts);
  add_swa_address_contracts(contracts);
  return list;
}

DSV4_REGISTER_OP(PlanDecode);

}  // namespace
}  // namespace dsv4
