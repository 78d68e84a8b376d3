/// plan_prefill (V2): which tokens of a prefill batch complete a compressed entry, which rows are kept, and where they
/// lie.
///
/// A plan from lengths on the host is in token order; one made on the device may be in any order, sentinels last. So
/// plans are compared as sets, in token order; order and sentinels are checks of their own. Page fields that nobody
/// reads are masked.
#include <fmt/format.h>

#include <algorithm>

#include "harness/case/covering.h"
#include "harness/op/op.h"
#include "harness/op/scenarios.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"
#include "harness/ops/compress/plan_prefill_scenarios.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

class PlanPrefill final : public Op {
 public:
  PlanPrefill()
      : Op([] {
          OpInfo info{
              .name = "plan_prefill",
              .family = "compress",
              .summary = "plan of a prefill batch: compressed entries, rows to keep, and their addresses",
              .upstream = "CompressorPrefillPlan.generate",
              .abis = {"plan_prefill/1"},
              .space = {ParamSpec::choice("ratio", {"4", "128"}, "tokens per compressed entry"),
                        ParamSpec::choice("ring", {"8", "16", "128", "256"}, "state rows per cache page"),
                        ParamSpec::choice("page", {"16", "64", "128", "256"},
                                          "tokens per page of the sliding-window cache"),
                        ParamSpec::choice("pages", {"shuffled", "in_order"}, "order of the cache pages"),
                        ParamSpec::choice("lens", {"host", "device"},
                                          "where the lengths lie: selects the planner's path"),
                        ParamSpec::choice("graph", {"0", "1"}, "plans of fixed size, as a captured graph needs them")},
              .host_note = "the real order of atomics on the device path; the schedule seed varies it"};
          for (ParamSpec& spec : prefill_batch_params()) info.space.add(std::move(spec));
          info.space.add(ParamSpec::integer("slack", 0, 65535, "rows of the plan beyond the batch's tokens",
                                            {0, 1, 6, 100, 2042}));
          return info;
        }()) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    const std::int64_t ratio = p.integer("ratio"), ring = p.integer("ring"), page = p.integer("page");
    if (ring % ratio != 0) return "the ring must be a multiple of the ratio";
    if (page % ring != 0) return "the cache page must be a multiple of the ring";
    const std::int64_t most = p.integer("batch") * p.integer("extend") + (p.is("mix", "last_differs") ? 1 : 0);
    if (most + p.integer("slack") > kMostPlanTokens) {
      return fmt::format("a plan numbers at most {} tokens", kMostPlanTokens);
    }
    if (p.is("lens", "host")) {
      if (p.integer("slack") != 0) return "lengths on the host must fill the plan's rows";
      if (p.is("mix", "some_empty")) return "lengths on the host must bring at least one token a request";
    } else if (p.integer("batch") > 1024) {
      return "a batch of lengths on the device has at most 1024 requests; a contract covers more";
    }
    return reject_batch(p);
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override;

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    PrefillPlanForm form{
        .ratio = p.integer("ratio"), .lens_on_device = p.is("lens", "device"), .use_cuda_graph = p.flag("graph")};
    form.num_q = std::max(batch.tokens() + p.integer("slack"), batch.size());
    return prefill_plan_call(form, batch,
                             make_maps(batch.request_ids, batch.seq_lens, pool_size(batch.size()), batch.longest(),
                                       p.integer("page"), p.integer("ring"), p.is("pages", "shuffled"), c.seed));
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
                                        4 + 8, plan_rows(call)),
            .flops = 0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = plan_prefill_scenarios();
    list.push_back(late_allocation_relation(only(points(Tier::kSmoke))));
    return list;
  }
};

Params point(std::int64_t ratio, std::int64_t ring, const char* lens, int graph, std::int64_t batch, std::int64_t len,
             const char* spread, std::int64_t extend, const char* mix, std::int64_t slack) {
  return prefill_plan_point(ratio, ring, lens, graph, batch, len, spread, extend, mix, slack);
}

std::vector<Params> PlanPrefill::points(Tier tier) const {
  if (tier == Tier::kSmoke) {
    return {point(4, 8, "host", 0, 5, 21, "stagger", 6, "mixed", 0),
            point(4, 16, "device", 1, 4, 250, "stagger", 8, "uniform", 3),
            point(128, 256, "host", 1, 3, 255, "stagger", 130, "last_differs", 0),
            point(128, 128, "device", 0, 9, 124, "stagger", 4, "uniform", 0)};
  }
  std::vector<Params> all;
  const auto valid = [this](const Params& p) { return !reject(p); };
  const auto add = [&](const std::vector<Params>& rows) { all.insert(all.end(), rows.begin(), rows.end()); };
  if (tier == Tier::kQuick) {
    // Every edge of the small ratio: nine requests of lengths len, len + 1, ... meet each residue and the page's end.
    for (const char* mix : {"uniform", "last_differs", "mixed", "some_empty"}) {
      add(pairwise(
          {integers("ratio", {4}), integers("ring", {8, 16}), integers("page", {16, 64, 256}),
           words("pages", {"shuffled"}), words("lens", {"host", "device"}), integers("graph", {0, 1}),
           integers("batch", {9}), integers("len", {1, 4, 12, 60, 252, 508}), words("spread", {"stagger", "random"}),
           integers("extend", {1, 2, 4, 5, 8, 9, 33}), words("mix", {mix}), integers("slack", {0, 7})},
          valid));
      add(pairwise({integers("ratio", {128}), integers("ring", {128, 256}), integers("page", {128, 256}),
                    words("pages", {"shuffled"}), words("lens", {"host", "device"}), integers("graph", {0, 1}),
                    integers("batch", {9}), integers("len", {1, 124, 252, 380}), words("spread", {"stagger", "random"}),
                    integers("extend", {1, 4, 8, 127, 128, 129, 300}), words("mix", {mix}), integers("slack", {0, 7})},
                   valid));
    }
    // Prefill from nothing, batches around a warp and a block, under-filled buckets, a chunk of a long request.
    for (const std::int64_t ratio : {4, 128}) {
      const std::int64_t ring = ratio == 4 ? 8 : 256;
      for (const std::int64_t batch : {31, 32, 33, 64, 129, 1024}) {
        all.push_back(point(ratio, ring, "device", 1, batch, 9, "stagger", 3, "uniform", batch % 7));
        all.push_back(point(ratio, ring, "device", 1, batch, 130, "random", 6, "last_differs", 0));
        all.push_back(point(ratio, ring, "host", 0, batch, 9, "stagger", 9, "mixed", 0));
      }
      all.push_back(point(ratio, ring, "device", 1, 1, 7, "same", 6, "uniform", 2042));
      all.push_back(point(ratio, ring, "device", 1, 3, 700, "stagger", 600, "mixed", 500));
      all.push_back(point(ratio, ring, "host", 0, 1, 4096, "same", 1500, "uniform", 0));
      all.push_back(Params(all.back()).set("pages", "in_order"));
    }
    return all;
  }
  for (const std::int64_t ratio : {4, 128}) {
    const std::int64_t ring = ratio == 4 ? 16 : 256;
    for (const char* lens : {"host", "device"}) {
      all.push_back(point(ratio, ring, lens, 1, 1, 65534, "same", 65534, "uniform", 0));
      all.push_back(point(ratio, ring, lens, 0, 1, 65535, "same", 65535, "uniform", 0));
      all.push_back(point(ratio, ring, lens, 1, 1, (1 << 20) - 1, "same", 4096, "uniform", 0));
      all.push_back(point(ratio, ring, lens, 0, 1, 1 << 20, "same", 8192, "uniform", 0));
      all.push_back(point(ratio, ring, lens, 0, 1000, 1000, "random", 60, "mixed", 0));
      for (const std::int64_t extend : {1, 2, 3, 4, 5, 6, 7, 8, 31, 32, 33}) {
        all.push_back(point(ratio, ring, lens, 1, 64, 500, "stagger", extend, "uniform", 0));
        all.push_back(point(ratio, ring, lens, 0, 137, 250, "stagger", extend, "mixed", 0));
      }
    }
    all.push_back(point(ratio, ring, "device", 1, 1, 7, "same", 4, "uniform", 65531));
    all.push_back(point(ratio, ring, "device", 1, 1024, 4096, "random", 40, "some_empty", 1000));
    all.push_back(point(ratio, ring, "device", 1, 1024, 3000, "random", 62, "mixed", 5));
  }
  return all;
}

DSV4_REGISTER_OP(PlanPrefill);

}  // namespace
}  // namespace dsv4
