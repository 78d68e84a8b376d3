/// compress_c128_online_prefill_v1 merges the segments of a prefill batch with the running softmaxes of their groups of
/// 128 tokens. It writes the entries of complete groups, and keeps the slots of open ones.
#include <algorithm>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/arranged_plan.h"
#include "harness/ops/compress/online_v1_op.h"
#include "harness/ops/compress/plan_calls.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

class CompressC128OnlinePrefillV1 final : public OnlineV1Op {
 public:
  CompressC128OnlinePrefillV1()
      : OnlineV1Op({
            .name = "compress_c128_online_prefill_v1",
            .family = "compress",
            .summary =
                "merges the new tokens of a prefill batch with the running softmaxes of their groups of 128 (V1)",
            .upstream = "compress_forward, _jit_compress_128_online_module",
            .space = online_v1_space()
                         .with({word("order", {"token", "shuffled"}, "order of the plans' records")})
                         .with(prefill_batch({.usual = 5, .quick = {3}}, {.usual = 130, .quick = {1, 126, 252, 300}},
                                             {.usual = 21, .quick = {1, 2, 8, 127, 128, 129}}))
                         .with({number("slack", 0, 65535, "sentinels after the records of each plan",
                                       {.quick = {0, 5}, .soak = {0, 1, 5}})}),
            .signature = {{inout("kv_buffer", {kF32}, "slots 1:rows 1536:width",
                                 {.names = {{"rows", "state_rows"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "tokens 1024:width"),
                           out("kv_output", {kF32}, "tokens:rows 512:width", {.names = {{"rows", "output_rows"}}}),
                           in("ape", {kF32}, "128:rows 512:width"), in("indices", {kI32}, "requests"),
                           in("compress_plan", {kU8}, "entries 16:bytes"), in("write_plan", {kU8}, "kept 16:bytes"),
                           in("extra", {kI32}, "requests:count", {.optional = true})}},
            .smoke = {"", "state=rings fill=steps order=shuffled batch=2 len=140 extend=135 mix=uniform slack=3",
                      "fill=equal batch=3 len=260 extend=10 mix=uniform"},
            .quick = joined({{"cover spread=stagger|random mix=uniform|mixed|some_empty"},
                             each({"fill={} batch=2 len=300 extend=260 mix=uniform"}, kOnlineFills)}),
            .full =
                joined({each({"fill={} batch=1 len=2048 spread=same extend=2048 mix=uniform",
                              "state=rings fill={} order=shuffled batch=7 len=3000 spread=random extend=300 slack=100",
                              "fill={} batch=64 len=1000 spread=random extend=8 mix=uniform"},
                             {"gauss", "steps", "wide"}),
                        {"batch=1 len=70000 spread=same extend=8192 mix=uniform"}}),
            .bench = {"batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const OnlineV1Slots slots(c.params, online_maps(batch, c.params, c.seed));
    const OnlineTokens tokens(c.params, c.seed);
    const auto [complete, open] = plans::online_token_records(requests_of(batch));
    V1Pages pages = slots.prefill(batch);
    const HostTensor& load = slots.has_rings() ? pages.indices : std::get<HostTensor>(pages.extra);
    HostTensor state = tokens.state(slots.count(), read_by(load, {complete, open}));
    Call prefill =
        online_v1_call(c.op, tokens, std::move(state), tokens.input(batch), std::move(pages),
                       {arranged_plan(complete, c, "compress_plan order"), arranged_plan(open, c, "write_plan order")});
    fit(prefill);
    return prefill;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  [[nodiscard]] std::vector<Pair> pairs() const override;

  /// A record of the compress plan writes the row of its token. A record of the write plan keeps the slot of its
  /// request. In both plans, records may be in any order, with sentinels among them.
  [[nodiscard]] OnlineV1Written written_by(const Call& call) const override {
    OnlineV1Written rows;
    for (const TokenPlan& r : usable(call, "compress_plan", false)) rows.entries.push_back({r.batch_id, r.ragged_id});
    for (const TokenPlan& r : usable(call, "write_plan", true)) {
      rows.kept.push_back({r.batch_id, integer_at(call.tensor("indices"), r.batch_id)});
    }
    return rows;
  }
  [[nodiscard]] std::vector<OpenSlot> read(const Call& call) const override {
    return read_by(load_slots(call), {usable(call, "compress_plan", false), usable(call, "write_plan", true)});
  }
  [[nodiscard]] std::int64_t added(const Call& call) const override {
    std::int64_t tokens = 0;
    for (const bool kept : {false, true}) {
      for (const TokenPlan& r : usable(call, kept ? "write_plan" : "compress_plan", kept)) tokens += r.window_len;
    }
    return tokens;
  }

 private:
  static const HostTensor& load_slots(const Call& call) {
    return call.tensor(call.arg("extra").is_tensor() ? "extra" : "indices");
  }
  /// Number of tokens of the group before the record's.
  static std::int64_t earlier(const TokenPlan& r) {
    return std::int64_t{r.position} % kOnlineGroup + 1 - std::int64_t{r.window_len};
  }
  static std::vector<OpenSlot> read_by(const HostTensor& slots, const std::vector<std::vector<TokenPlan>>& plans) {
    std::vector<OpenSlot> open;
    for (const auto& plan : plans) {
      for (const TokenPlan& r : plan) {
        if (earlier(r) > 0) open.push_back({integer_at(slots, r.batch_id), earlier(r)});
      }
    }
    return open;
  }

  /// The records of a plan whose request, tokens and slots are in the tensors, by token.
  static std::vector<TokenPlan> usable(const Call& call, const char* name, bool kept) {
    const auto has_slot = [&](const HostTensor& slots, const TokenPlan& r) {
      const std::int64_t slot = integer_at(slots, r.batch_id);
      return slot >= 0 && slot < call.tensor("kv_buffer").size(0);
    };
    std::vector<TokenPlan> records = records_of<TokenPlan>(call.tensor(name));
    std::erase_if(records, [&](const TokenPlan& r) {
      if (is_sentinel(r) || r.batch_id >= call.tensor("indices").size(0)) return true;
      const std::int64_t first = std::int64_t{r.ragged_id} + 1 - r.window_len;
      if (r.window_len == 0 || first < 0 || r.ragged_id >= call.tensor("kv_input").size(0) || earlier(r) < 0)
        return true;
      return (earlier(r) > 0 && !has_slot(load_slots(call), r)) || (kept && !has_slot(call.tensor("indices"), r));
    });
    std::ranges::stable_sort(records, {}, &TokenPlan::ragged_id);
    return records;
  }
};

/// paged_compress_data makes the slots of the call. With a slot for each request, no op makes them.
std::vector<Pair> CompressC128OnlinePrefillV1::pairs() const {
  return {{.producer = "paged_compress_data",
           .takes = {"indices", "extra"},
           .points = at({"batch=4 len=250"}, {"fill=equal batch=9 len=300 extend=130"}),
           .produce =
               [](const Case& c) {
                 const Batch batch = make_batch(c.params, c.seed);
                 return paged_compress_data_call(kOnlineGroup, batch, online_maps(batch, c.params, c.seed));
               },
           .consume =
               [this](const Case& c, const std::vector<HostTensor>& slots) {
                 Call call = make(c);
                 call.arg("indices").tensor() = slots.at(0);
                 call.arg("extra").tensor() = slots.at(1);
                 return call;
               }}};
}

std::vector<Scenario> CompressC128OnlinePrefillV1::scenarios() const {
  std::vector<Scenario> list = OnlineV1Op::scenarios();
  list.push_back(online_many_tokens_v1(*this));
  append(list, online_prefill_sequences(*this));
  list.push_back(call_relation("extra_absent", "without 'extra', earlier tokens are in the slots of 'indices'",
                               at({"batch=4 len=20 extend=5", "fill=steps batch=3 len=110 extend=9 mix=uniform"}),
                               [](Case&, Call& call, Observation&) { call.arg("extra").value = None{}; }));
  Contracts contracts(list);
  const auto set_plans = [this](Call& call, const std::vector<TokenPlan>& records) {
    for (const char* plan : {"compress_plan", "write_plan"}) call.arg(plan).tensor() = plan_tensor(records);
    fit(call);
  };
  contracts.edge("nothing_to_do", "plans without rows: nothing is written, or the call is refused",
                 [set_plans](Call& call) { set_plans(call, {}); });
  contracts.edge("sentinels_only", "plans that hold only sentinels: nothing is written",
                 [set_plans](Call& call) { set_plans(call, std::vector<TokenPlan>(6, layout::kNoToken)); });
  return list;
}

DSV4_REGISTER_OP(CompressC128OnlinePrefillV1);

}  // namespace
}  // namespace dsv4
