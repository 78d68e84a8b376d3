/// plan_prefill (V2) says which tokens of a prefill batch complete a compressed entry, which tokens are kept, and in
/// which state rows or pages.
///
/// If the lengths are on the host, a plan is in token order. If they are on the device, its entries may be in any
/// order, and the sentinels come last. So plans are sorted by token before they are compared. The order and the
/// sentinels are checked separately. Page fields that no kernel reads are masked.
#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

std::vector<std::string> quick_lines() {
  const std::vector<std::string> ratios{"ratio=4 ring=8", "ratio=128 ring=256"};
  // Nine requests with lengths len, len + 1, ... have each remainder modulo 4. They pass ends of groups and pages.
  const std::vector<std::string> edges{
      "cover ratio=4 ring=8|16 page=16|64|256 pages=shuffled len=1|4|12|60|252|508 spread=stagger|random "
      "extend=1|2|4|5|8|9|33 mix={}",
      "cover ratio=128 ring=128|256 page=128|256 pages=shuffled len=1|124|252|380 spread=stagger|random "
      "extend=1|4|8|127|128|129|300 mix={}"};
  // The other lines have batches near the size of a warp or of a thread block, plans with more rows than tokens,
  // requests without earlier tokens, and a chunk of a long request.
  return joined(
      {each(edges, kMixes),
       each({"{} lens=device graph=1 len=9 extend=3 mix=uniform {}"}, ratios,
            {"batch=31 slack=3", "batch=32 slack=4", "batch=33 slack=5", "batch=64 slack=1", "batch=129 slack=3",
             "batch=1024 slack=2"}),
       each({"{} lens=device graph=1 batch={} len=130 spread=random mix=last_differs", "{} batch={} len=9 extend=9"},
            ratios, {"31", "32", "33", "64", "129", "1024"}),
       each({"{} lens=device graph=1 batch=1 len=7 spread=same mix=uniform slack=2042",
             "{} lens=device graph=1 batch=3 len=700 extend=600 slack=500",
             "{} batch=1 len=4096 spread=same extend=1500 mix=uniform",
             "{} pages=in_order batch=1 len=4096 spread=same extend=1500 mix=uniform"},
            ratios)});
}

std::vector<std::string> full_lines() {
  const std::vector<std::string> ratios{"ratio=4 ring=16", "ratio=128 ring=256"};
  return joined({each({"{} lens={} graph=1 batch=1 len=65534 spread=same extend=65534 mix=uniform",
                       "{} lens={} batch=1 len=65535 spread=same extend=65535 mix=uniform",
                       "{} lens={} graph=1 batch=1 len=1048575 spread=same extend=4096 mix=uniform",
                       "{} lens={} batch=1 len=1048576 spread=same extend=8192 mix=uniform",
                       "{} lens={} batch=1000 len=1000 spread=random extend=60"},
                      ratios, kLens),
                 each(each({"{} lens={} graph=1 batch=64 len=500 extend={} mix=uniform",
                            "{} lens={} batch=137 len=250 extend={}"},
                           ratios, kLens),
                      {"1", "2", "3", "4", "5", "6", "7", "8", "31", "32", "33"}),
                 each({"{} lens=device graph=1 batch=1 len=7 spread=same extend=4 mix=uniform slack=65531",
                       "{} lens=device graph=1 batch=1024 len=4096 spread=random extend=40 mix=some_empty slack=1000",
                       "{} lens=device graph=1 batch=1024 len=3000 spread=random extend=62 slack=5"},
                      ratios)});
}

class PlanPrefill final : public PrefillPlanner {
 public:
  PlanPrefill()
      : PrefillPlanner({
            .name = "plan_prefill",
            .family = "compress",
            .summary = "plan of a prefill batch: compressed entries, rows to keep, and their addresses",
            .upstream = "CompressorPrefillPlan.generate, _jit_compress_plan_module",
            .space = Space{ratio_param()}
                         .with(cache_params())
                         .with({word("lens", kLens, "memory of the lengths, which selects the planner's path"),
                                graph_param()})
                         .with(prefill_batch({.usual = 5, .quick = {9}}, {.usual = 21}, {.usual = 6}))
                         .with({slack_param(65535, "rows of the plan beyond the batch's tokens")}),
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
            .without = {{"relation:any_batch", "rows of a plan name tokens by their number in the whole batch"}},
            .host_note = "the real order of atomics on the device path (the schedule seed varies the order)",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    for (const auto& why : {reject_cache(p, p.integer("ratio")), reject_plan_tokens(p), reject_host_lens(p)}) {
      if (why) return why;
    }
    if (p.is("lens", "host") || p.integer("batch") <= 1024) return std::nullopt;
    return "with lengths on the device, a batch has at most 1024 requests; a contract covers more";
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    const PrefillPlanForm form{.ratio = p.integer("ratio"),
                               .lens_on_device = p.is("lens", "device"),
                               .use_cuda_graph = p.flag("graph"),
                               .num_q = std::max(batch.tokens() + p.integer("slack"), batch.size())};
    return prefill_plan_call(form, batch, make_maps(batch, p, c.seed));
  }

  /// `host_pad_rows`: rows that are kept only for verify steps, in a plan from lengths on the host.
  /// `uniform_underfill`: rows of a device plan beyond its tokens, if each request has the same 1 ... 32 new tokens.
  /// `mixed_warps`: number of requests of any other device plan, if above 32, so that they fill several warps.
  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    const Batch batch = batch_of(call);
    const bool on_host = !lens_on_device(call);
    const auto [least, most] = std::ranges::minmax_element(batch.extend_lens);
    const bool uniform = batch.size() > 0 && *least == *most && *most >= 1 && *most <= 32;
    const std::int64_t underfill = integer_of(call, "num_q_tokens") - batch.tokens();
    // A planner that tests whether all requests have the same count may ignore the second and later warps.
    const bool mixed_warps = !on_host && !uniform && batch.size() > 32;
    return {{"host_pad_rows", on_host ? std::ranges::count(pad_tokens(call, batch), 1) : 0},
            {"uniform_underfill", !on_host && uniform ? underfill : 0},
            {"mixed_warps", mixed_warps ? batch.size() : 0}};
  }

  /// `pad_token`, for each token: 1 if its row is kept only for verify steps.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return {{"pad_token", numbers(pad_tokens(call, batch_of(call)))}};
  }

  [[nodiscard]] std::optional<Alternative> variant(const std::string& name, const Case& c, const Call& call,
                                                   Caller& reference) const override {
    const std::int64_t ratio = integer_of(call, "compress_ratio");
    if (name != kRequestRing || ratio != 128) return std::nullopt;
    const CallResult result = reference.call(call);
    if (result.refusal) return std::nullopt;
    const Observation want = observe(c, call, result);
    HostTensor compress = want.output("compress_plan"), write = want.output("write_plan");
    const auto tokens = tokens_of(batch_of(call));
    const auto row = [&](std::int32_t token) {
      const BatchToken& t = tokens.at(static_cast<std::size_t>(token));
      return request_ring_row(t.id, t.position, integer_of(call, "ring_size"));
    };
    for (std::int64_t i = 0; i < write.size(0); ++i) write.at<std::int32_t>(i, 1) = row(write.at<std::int32_t>(i, 0));
    for (std::int64_t i = 0; i < compress.size(0); ++i) {
      if (auto& page = compress.at<std::int32_t>(i, 4); page != -1)
        page = row(compress.at<std::int32_t>(i, 0)) / static_cast<std::int32_t>(ratio);
    }
    return Alternative{{{"compress_plan", std::move(compress), true}, {"write_plan", std::move(write), true}}, {}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = PrefillPlanner::scenarios();
    append(list, plan_prefill_relations(*this));
    // Positions beyond 16 bits, and short requests after a long one.
    list.push_back(
        many_rows_relation(*this, each({"{} lens={} graph=1 batch=1 len=65535 spread=same extend=65535 mix=uniform",
                                        "{} lens={} graph=1 batch=5 len=70000 spread=same extend=40000 mix=long_first"},
                                       {"ratio=4 ring=8", "ratio=128 ring=256"}, kLens)));
    append(list, plan_prefill_sequences(*this));
    return list;
  }

 private:
  /// For each token: 1 if its row is kept only for verify steps.
  static std::vector<std::int64_t> pad_tokens(const Call& call, const Batch& batch) {
    const std::int64_t ratio = integer_of(call, "compress_ratio");
    const std::int64_t pad = plans::last_kept(integer_of(call, "ring_size"), ratio);
    std::vector<std::int64_t> only_padded;
    plans::walk(requests_of(batch), plans::grouping_of(ratio, integer_of(call, "swa_page_size")),
                [&](const plans::WalkedToken& t) {
                  only_padded.push_back(t.followers < pad && !t.live && !t.ends_page ? 1 : 0);
                });
    return only_padded;
  }
};

DSV4_REGISTER_OP(PlanPrefill);

}  // namespace
}  // namespace dsv4
