/// plan_prefill_online (V2) cuts the new tokens of each request at the ends of groups, for online compression at ratio
/// 128. Segments that complete a group are in one plan, and those that are kept in the other. Lengths are on the host,
/// so both plans are in token order.
#include "harness/op/define.h"
#include "harness/ops/compress/online_plans.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

std::vector<std::string> online_lines() {
  return joined({each({"cover page=16|64|128|256 pages=shuffled len=1|124|252|380 spread=stagger|random "
                       "extend=1|4|8|127|128|129|300 mix={}"},
                      {"uniform", "last_differs", "mixed"}),
                 each({"batch={} len=130 spread=random mix=last_differs", "batch={} len=9 extend=9"},
                      {"31", "32", "33", "64", "127", "128", "129", "1024", "1025"}),
                 {"batch=1 len=4096 spread=same extend=1500 mix=uniform",
                  "pages=in_order batch=1 len=4096 spread=same extend=1500 mix=uniform",
                  "batch=1 len=128 spread=same extend=128 mix=uniform", "batch=3 len=128 spread=same extend=1"}});
}

class PlanPrefillOnline final : public Op {
 public:
  PlanPrefillOnline()
      : Op({
            .name = "plan_prefill_online",
            .family = "compress",
            .summary = "plan of a prefill batch of online compression: segments of groups, and their slots",
            .upstream = "CompressorPrefillPlan.generate_online, _jit_compress_128_online_module",
            .space = Space{online_cache_params()}.with(
                prefill_batch({.usual = 5, .quick = {9}}, {.usual = 121}, {.usual = 21})),
            .signature = {{in("seq_lens", {kI64}, "requests", {.place = Place::kHost}),
                           in("extend_lens", {kI64}, "requests:count",
                              {.place = Place::kHost, .names = {{"count", "lens_count"}}}),
                           in("req_pool_indices", {kI64}, "requests:count", {.names = {{"count", "ids_count"}}}),
                           in("req_to_token", {kI32}, "pool positions"), in("full_to_swa", {kI64}, "slots"),
                           workspace("plan_c_pin", {kU8}, "tokens 16:bytes", {.place = Place::kHost}),
                           workspace("plan_w_pin", {kU8}, "tokens 16:bytes", {.place = Place::kHost}),
                           out("plan_c_dev", {kU8}, "tokens 16:bytes"), out("plan_w_dev", {kU8}, "tokens 16:bytes"),
                           integer("swa_page_size")},
                          "requests"},
            .smoke = {"", "page=64 batch=3 len=255 extend=130 mix=last_differs",
                      "page=128 batch=4 len=300 extend=290 mix=uniform"},
            .quick = online_lines(),
            .full = joined(
                {{"batch=1 len=65535 spread=same extend=65535 mix=uniform",
                  "batch=1 len=1048576 spread=same extend=8192 mix=uniform",
                  "page=64 batch=1000 len=1000 spread=random extend=60", "batch=1024 len=3000 spread=random extend=62"},
                 each({"batch=64 len=500 extend={} mix=uniform", "page=128 batch=137 len=250 extend={}"},
                      {"1", "2", "3", "8", "31", "32", "33", "127", "128", "129"})}),
            .contract_point = "batch=5 len=21 spread=same extend=21 mix=uniform",
            .bench = {"batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .without = {{"relation:any_batch", "rows of a plan name tokens by their number in the whole batch"}},
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (most_tokens(p) > kMostOnlineTokens) return "a plan numbers at most 65536 tokens";
    return reject_host_lens(p);
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_slots(p); }
  /// A plan may have no record, and a plan of one record has a single row.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return is_tiny_batch(c.params); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    return online_prefill_plan_call(batch, online_maps(batch, c.params, c.seed));
  }
  void fit(Call& call) const override { give_online_plans(call, batch_of(call).tokens()); }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const std::int64_t slots = call.tensor("full_to_swa").numel() / integer_of(call, "swa_page_size");
    return observe_online_prefill_plan(batch_of(call), slots, result);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // Bytes of an id and two lengths per request. For each record: a look-up in both maps, and a copy from the host.
    double records = 0;
    for (const char* name : {"plan_c_dev", "plan_w_dev"}) {
      records += static_cast<double>(std::ranges::count(call.arg(name).footprint, 1)) / 16;
    }
    return {.bytes = 24.0 * static_cast<double>(call.tensor("seq_lens").numel()) + records * (4 + 8 + 2 * 16)};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;

 private:
  /// Largest number of tokens of a batch: a CompressPlan numbers them with 16 bits.
  static constexpr std::int64_t kMostOnlineTokens = 65536;
};

/// Requests that grow step by step. The set under test plans each step, and a map of the slots checks each plan.
class OnlineHistory {
 public:
  OnlineHistory(ScenarioContext& x, OnlineSlots& slots, const Batch& requests, std::int64_t longest, std::uint64_t seed)
      : x_(x), slots_(slots), requests_(requests, longest, with_slots(x.c.params), seed) {}

  [[nodiscard]] const GrowingBatch& requests() const { return requests_; }

  void prefill(const std::vector<std::int64_t>& extend, const std::string& where) {
    const Batch batch = requests_.grow(extend);
    const CallResult result = x_.call(where, online_prefill_plan_call(batch, requests_.maps()));
    fail_each(x_, observe_online_prefill_plan(batch, requests_.maps().rows(), result).findings);
    slots_.begin(where);
    slots_.prefill(batch, online_plan(result, "plan_c_dev"), online_plan(result, "plan_w_dev"));
    check();
  }

  void decode(const std::string& where) {
    const Batch batch = requests_.grow(1);
    const CallResult result = x_.call(where, online_decode_plan_call(batch, requests_.maps()));
    fail_each(x_, observe_online_decode_plan(batch, requests_.maps().rows(), result).findings);
    slots_.begin(where);
    slots_.decode(batch, online_decode_plan(result));
    check();
  }

 private:
  /// Checks that the slots hold all open groups.
  void check() {
    for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
      const std::int64_t id = requests_.ids()[b], length = requests_.lengths()[b];
      if (length % kOnlineGroup == 0) continue;
      slots_.check_open(id, length, requests_.maps().row(id, length - length % kOnlineGroup));
      x_.compared(1);
    }
    fail_each(x_, slots_.take_findings());
  }

  ScenarioContext& x_;
  OnlineSlots& slots_;
  GrowingBatch requests_;
};

/// Prefills in chunks, then decodes. After that, other requests take over the pages, and so the slots.
void run_slots(ScenarioContext& x) {
  constexpr int kDecodes = 9;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OnlineSlots slots;
  Random random(x.c.seed, "chunks");
  for (const std::uint64_t generation : {0, 1}) {
    const Batch now = generation == 0 ? requests : make_batch(x.c.params, x.c.seed + generation);
    OnlineHistory history(x, slots, now, requests.longest() + kDecodes, x.c.seed + generation);
    for (int chunk = 0;; ++chunk) {
      const auto extend = history.requests().next_chunk(requests.seq_lens, x.c.params.integer("extend"), random);
      if (extend.empty()) break;
      history.prefill(extend, fmt::format("generation {}, chunk {}", generation, chunk));
    }
    for (int step = 0; step < kDecodes; ++step) {
      history.decode(fmt::format("generation {}, decode step {}", generation, step));
    }
  }
}

std::vector<Scenario> PlanPrefillOnline::scenarios() const {
  std::vector<Scenario> list =
      far_map_relations(at({"batch=9 len=250 extend=200 mix=uniform", "page=64 batch=9 len=250 extend=200"}));
  Contracts contracts(list, at({info().contract_point}));
  contracts.refused_each("page_below_1", "a page of no tokens is refused", "swa_page_size", "",
                         {[](Call& call) { call.arg("swa_page_size").value = std::int64_t{0}; },
                          [](Call& call) { call.arg("swa_page_size").value = std::int64_t{-256}; }});
  contracts.refused("rows_65537", "more tokens than 16 bits can number are refused", "plan_c_pin", [](Call& call) {
    HostTensor& lengths = call.arg("seq_lens").tensor();
    HostTensor& extends = call.arg("extend_lens").tensor();
    const std::int64_t others = batch_of(call).tokens() - extends.at<std::int64_t>(0);
    extends.at<std::int64_t>(0) = lengths.at<std::int64_t>(0) = kMostOnlineTokens + 1 - others;
    give_online_plans(call, kMostOnlineTokens + 1);
  });
  contracts.refused("sum_below", "fewer new tokens than rows are refused", "extend_lens",
                    [](Call& call) { give_online_plans(call, batch_of(call).tokens() + 1); });
  contracts.refused("sum_above", "more new tokens than rows are refused", "extend_lens",
                    [](Call& call) { give_online_plans(call, batch_of(call).tokens() - 1); });
  add_extend_contracts(contracts);
  append(list, prefill_plan_outside(*this));
  list.push_back(many_rows_relation(*this, {"batch=1 len=65536 spread=same extend=65536 mix=uniform",
                                            "batch=5 len=70000 spread=same extend=40000 mix=long_first"}));
  list.push_back(sequence(
      "slots",
      "prefill in chunks, then decode: each segment finds the earlier tokens of its group in its slot, also when other "
      "requests take over the slots",
      at({"batch=4 len=300 extend=70", "page=64 batch=5 len=270 extend=200", "page=128 batch=5 len=390 extend=300"}),
      run_slots));
  return list;
}

DSV4_REGISTER_OP(PlanPrefillOnline);

}  // namespace
}  // namespace dsv4
