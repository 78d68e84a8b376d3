/// plan_prefill (V2): which tokens of a prefill batch complete a compressed entry, which rows are kept, and where they
/// lie.
///
/// A plan from lengths on the host is in token order; one made on the device may be in any order, sentinels last. So
/// plans are compared as sets, in token order; order and sentinels are checks of their own. Page fields that nobody
/// reads are masked.
#include <fmt/format.h>

#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"
#include "harness/ops/compress/plan_prefill_scenarios.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

// Every edge of a ratio: nine requests of lengths len, len + 1, ... meet each residue and the page's end.
const std::vector<std::string> kEdges{
    "cover ratio=4 ring=8|16 page=16|64|256 pages=shuffled len=1|4|12|60|252|508 spread=stagger|random "
    "extend=1|2|4|5|8|9|33 mix={}",
    "cover ratio=128 ring=128|256 page=128|256 pages=shuffled len=1|124|252|380 spread=stagger|random "
    "extend=1|4|8|127|128|129|300 mix={}"};

// Batches around a warp and a block, under-filled buckets, a prefill from nothing, a chunk of a long request.
const std::vector<std::string> kRatios{"ratio=4 ring=8", "ratio=128 ring=256"};

std::vector<std::string> quick_lines() {
  return joined({each(kEdges, {"uniform", "last_differs", "mixed", "some_empty"}),
                 each(each({"{} lens=device graph=1 len=9 extend=3 mix=uniform {}"}, kRatios),
                      {"batch=31 slack=3", "batch=32 slack=4", "batch=33 slack=5", "batch=64 slack=1",
                       "batch=129 slack=3", "batch=1024 slack=2"}),
                 each(each({"{} lens=device graph=1 batch={} len=130 spread=random mix=last_differs",
                            "{} batch={} len=9 extend=9"},
                           kRatios),
                      {"31", "32", "33", "64", "129", "1024"}),
                 each({"{} lens=device graph=1 batch=1 len=7 spread=same mix=uniform slack=2042",
                       "{} lens=device graph=1 batch=3 len=700 extend=600 slack=500",
                       "{} batch=1 len=4096 spread=same extend=1500 mix=uniform",
                       "{} pages=in_order batch=1 len=4096 spread=same extend=1500 mix=uniform"},
                      kRatios)});
}

std::vector<std::string> full_lines() {
  const std::vector<std::string> ratios{"ratio=4 ring=16", "ratio=128 ring=256"};
  const std::vector<std::string> everywhere =
      each(each({"{} lens={} graph=1 batch=1 len=65534 spread=same extend=65534 mix=uniform",
                 "{} lens={} batch=1 len=65535 spread=same extend=65535 mix=uniform",
                 "{} lens={} graph=1 batch=1 len=1048575 spread=same extend=4096 mix=uniform",
                 "{} lens={} batch=1 len=1048576 spread=same extend=8192 mix=uniform",
                 "{} lens={} batch=1000 len=1000 spread=random extend=60"},
                ratios),
           {"host", "device"});
  const std::vector<std::string> extends = each(
      each(each({"{} lens={} graph=1 batch=64 len=500 extend={} mix=uniform", "{} lens={} batch=137 len=250 extend={}"},
                ratios),
           {"host", "device"}),
      {"1", "2", "3", "4", "5", "6", "7", "8", "31", "32", "33"});
  return joined({everywhere, extends,
                 each({"{} lens=device graph=1 batch=1 len=7 spread=same extend=4 mix=uniform slack=65531",
                       "{} lens=device graph=1 batch=1024 len=4096 spread=random extend=40 mix=some_empty slack=1000",
                       "{} lens=device graph=1 batch=1024 len=3000 spread=random extend=62 slack=5"},
                      ratios)});
}

class PlanPrefill final : public Op {
 public:
  PlanPrefill()
      : Op({
            .name = "plan_prefill",
            .family = "compress",
            .summary = "plan of a prefill batch: compressed entries, rows to keep, and their addresses",
            .upstream = "CompressorPrefillPlan.generate",
            .space = swa_space()
                         .with({word("lens", {"host", "device"}, "where the lengths lie: selects the planner's path"),
                                flag("graph", "plans of fixed size, as a captured graph needs them")})
                         .with(prefill_batch({.usual = 5, .quick = {9}}, {.usual = 21}, {.usual = 6}))
                         .with({number("slack", 0, 65535, "rows of the plan beyond the batch's tokens",
                                       {.quick = {0, 7}, .soak = {0, 1, 6, 100, 2042}})}),
            .signature = {{in("req_pool_indices", {kI64}, "requests"), in("req_to_token", {kI32}, "pool positions"),
                           in("full_to_swa", {kI64}, "slots"),
                           in("seq_lens", {kI64}, "requests", {.place = std::nullopt}),
                           in("extend_lens", {kI64}, "requests:count",
                              {.place = std::nullopt, .names = {{"count", "lens_count"}}}),
                           workspace("pin_buffer", {kU8}, "scratch", {.place = Place::kHost}), integer("num_q_tokens"),
                           integer("compress_ratio"), integer("swa_page_size"), integer("ring_size"),
                           truth("use_cuda_graph")},
                          "requests"},
            .smoke = {"", "ring=16 lens=device graph=1 batch=4 len=250 extend=8 mix=uniform slack=3",
                      "ratio=128 ring=256 graph=1 batch=3 len=255 extend=130 mix=last_differs",
                      "ratio=128 ring=128 lens=device batch=9 len=124 extend=4 mix=uniform"},
            .quick = quick_lines(),
            .full = full_lines(),
            .bench = {"lens=device graph=1 batch=16 len=4608 spread=same extend=512 mix=uniform",
                      "batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .without = {{"relation:any_batch", "rows of a plan name tokens of the whole batch"}},
            .host_note = "the real order of atomics on the device path; the schedule seed varies it",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (auto why = reject_ring(p)) return why;
    if (auto why = reject_plan_tokens(p)) return why;
    if (p.is("lens", "host")) {
      if (p.integer("slack") != 0) return "lengths on the host must fill the plan's rows";
      if (p.is("mix", "some_empty")) return "lengths on the host must bring at least one token a request";
    } else if (p.integer("batch") > 1024) {
      return "a batch of lengths on the device has at most 1024 requests; a contract covers more";
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_slots(p); }
  void fit(Call& call) const override { fit_prefill_plan(call); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    PrefillPlanForm form{
        .ratio = p.integer("ratio"), .lens_on_device = p.is("lens", "device"), .use_cuda_graph = p.flag("graph")};
    form.num_q = std::max(batch.tokens() + p.integer("slack"), batch.size());
    return prefill_plan_call(form, batch, make_maps(batch, p, c.seed));
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const Batch batch = batch_of(call);
    const bool on_device = call.arg("seq_lens").place == Place::kDevice;
    const std::int64_t cache_pages = call.tensor("full_to_swa").numel() / integer_of(call, "swa_page_size");
    return observe_prefill_plan({.batch = batch,
                                 .ratio = integer_of(call, "compress_ratio"),
                                 .state_rows = cache_pages * integer_of(call, "ring_size"),
                                 .plan_rows = plan_rows(call),
                                 .in_token_order = !on_device},
                                returned_tensor(result, 0), returned_tensor(result, 1));
  }

  /// `host_pad_rows`: rows that only the pad for verify steps keeps, in a plan from lengths on the host.
  /// `uniform_underfill`: rows of a device plan beyond its tokens, where every request brings the same 1 ... 32 tokens.
  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    const Batch batch = batch_of(call);
    const std::int64_t ratio = integer_of(call, "compress_ratio"), page = integer_of(call, "swa_page_size");
    const std::int64_t pad = std::min<std::int64_t>(integer_of(call, "ring_size") - ratio, 4);
    const bool on_host = call.arg("seq_lens").place == Place::kHost;
    std::int64_t padded_rows = 0;
    for (const BatchToken& t : tokens_of(batch)) {
      const Keep keep =
          keep_of(t.position, batch.seq_lens[static_cast<std::size_t>(t.request)], ratio, pad, ratio == 4 ? page : 0);
      if (on_host && keep.pad && !keep.live && !keep.tail) ++padded_rows;
    }
    const auto [least, most] = std::ranges::minmax_element(batch.extend_lens);
    const bool uniform = batch.size() > 0 && *least == *most && *most >= 1 && *most <= 32;
    const std::int64_t underfill = integer_of(call, "num_q_tokens") - batch.tokens();
    // Requests of the second and later warps can lose their say in whether all extend alike.
    const bool mixed_warps = !on_host && !uniform && batch.size() > 32;
    return {{"host_pad_rows", padded_rows},
            {"uniform_underfill", !on_host && uniform ? underfill : 0},
            {"mixed_warps", mixed_warps ? batch.size() : 0}};
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("batch") * c.params.integer("extend") < 2;
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const std::int64_t ratio = integer_of(call, "compress_ratio");
    // A look-up reads the token's place in the request's row of the one map and, 8 bytes wide, in the other.
    return {.bytes = prefill_plan_bytes(batch_of(call), ratio, ratio == 4 ? integer_of(call, "swa_page_size") : 0,
                                        4 + 8, plan_rows(call))};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = plan_prefill_scenarios(*this);
    list.push_back(late_allocation_relation(only(points(Tier::kSmoke))));
    return list;
  }
};

DSV4_REGISTER_OP(PlanPrefill);

}  // namespace
}  // namespace dsv4
