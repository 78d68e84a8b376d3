/// plan_decode_online (V2) gives the slot of the group of each request's newest token, for online compression at ratio
/// 128. Each field of each row must be exact.
#include "harness/op/define.h"
#include "harness/ops/compress/online_plans.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

class PlanDecodeOnline final : public Op {
 public:
  PlanDecodeOnline()
      : Op({
            .name = "plan_decode_online",
            .family = "compress",
            .summary = "plan of a decode step of online compression: the slot of each request's open group",
            .upstream = "CompressorDecodePlan.generate_online, _jit_compress_128_online_module",
            .space = Space{online_cache_params()}.with(
                decode_batch({.usual = 9, .quick = {1, 9, 33}}, {.usual = 121, .quick = {1, 60, 120, 126, 251, 380}})),
            .signature = {{in("seq_lens", {kI64}, "requests", {.index = Index{.limit = "positions", .count = true}}),
                           in("req_pool_indices", {kI64}, "requests:count",
                              {.index = Index{.limit = "pool"}, .names = {{"count", "ids_count"}}}),
                           in("req_to_token", {kI32}, "pool positions", {.index = Index{.limit = "slots"}}),
                           in("full_to_swa", {kI64}, "slots", {.index = Index{}}),
                           out("plan_d", {kU8}, "requests:rows 16:bytes"), integer("swa_page_size")},
                          "requests"},
            .smoke = {"", "page=64 batch=5 len=254", "batch=3 len=1"},
            .quick = joined({{"cover"},
                             each({"batch={} len=3", "page=128 batch={} len=300 spread=random"},
                                  {"127", "128", "129", "256", "257", "1024", "1025"})}),
            .full = joined({each({"batch=2 len={} spread=random", "page=128 batch=1 len={} spread=same"}, kLongLens),
                            {"batch=1024 len=4096 spread=random", "page=64 batch=2048 len=1000"}}),
            .bench = {"batch=256 len=4000"},
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_slots(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    return online_decode_plan_call(batch, online_maps(batch, c.params, c.seed));
  }

  /// A request uses the map entries of the first token of its newest token's group.
  [[nodiscard]] std::vector<std::int64_t> indices_of(const Call& call, const std::string& argument,
                                                     std::int64_t row) const override {
    if (argument != "req_to_token" && argument != "full_to_swa") return Op::indices_of(call, argument, row);
    const HostTensor& slots = call.tensor("req_to_token");
    const std::int64_t id = numbers_of(call, "req_pool_indices")[static_cast<std::size_t>(row)];
    const std::int64_t newest = numbers_of(call, "seq_lens")[static_cast<std::size_t>(row)] - 1;
    const std::int64_t first = newest - newest % kOnlineGroup;
    if (argument == "req_to_token") return {id * slots.size(1) + first};
    return {slots.at<std::int32_t>(id, first)};
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_online_decode_plan(batch_of(call), slots_of(call), result);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // Bytes of an id, a length, a look-up in both maps, and a row of the plan for each request.
    return {.bytes = static_cast<double>(call.tensor("seq_lens").numel() * (8 + 8 + 4 + 8 + 16))};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = far_map_relations(at({"len=250", "page=64 len=250"}));
    Contracts(list).refused_each("page_below_1", "a page of no tokens is refused", "swa_page_size", "",
                                 {[](Call& call) { call.arg("swa_page_size").value = std::int64_t{0}; },
                                  [](Call& call) { call.arg("swa_page_size").value = std::int64_t{-256}; }});
    list.push_back(
        many_rows_relation(*this, {"page=16 batch=65540 len=3 spread=random", "batch=2 len=70000 spread=same",
                                   "page=128 batch=2 len=33000 spread=same"}));
    list.push_back(relation("prefill_of_one", "a prefill of one token has the same slots as a decode step",
                            at({"batch=33", "page=64 batch=140 len=1", "page=128 batch=140 len=200"}), prefill_of_one));
    return list;
  }

 private:
  static std::int64_t slots_of(const Call& call) {
    return call.tensor("full_to_swa").numel() / integer_of(call, "swa_page_size");
  }

  /// Plans a prefill of one token and a decode step for the same requests.
  static void prefill_of_one(ScenarioContext& x) {
    const Batch batch = make_batch(x.c.params, x.c.seed);
    const CacheMaps maps = online_maps(batch, x.c.params, x.c.seed);
    const CallResult result = x.call("prefill of one", online_prefill_plan_call(batch, maps));
    fail_each(x, observe_online_prefill_plan(batch, maps.rows(), result).findings);
    std::vector<layout::DecodePlan> rows(static_cast<std::size_t>(batch.size()));
    for (const char* name : {"plan_c_dev", "plan_w_dev"}) {
      for (const layout::CompressPlan& r : online_plan(result, name)) {
        // With one token of each request, the number of a token is the number of its request.
        if (r.ragged_id < rows.size()) rows[r.ragged_id] = {r.seq_len, r.read_page_0, r.read_page_0, r.read_page_1};
      }
    }
    const Observation decode = x.observed("decode", online_decode_plan_call(batch, maps));
    x.expect_agree("prefill of one against decode", Observation().add("plan", tensor_of_rows(kI32, rows)), decode);
  }
};

DSV4_REGISTER_OP(PlanDecodeOnline);

}  // namespace
}  // namespace dsv4
