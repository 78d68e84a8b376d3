/// compress_c4_prefill_v1 computes the entries that a prefill batch completes at ratio 4, and keeps rows in the state.
#include <algorithm>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/c4_v1_op.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

class CompressC4PrefillV1 final : public C4V1Op {
 public:
  CompressC4PrefillV1()
      : C4V1Op({
            .name = "compress_c4_prefill_v1",
            .family = "compress",
            .summary = "compressed entries of ratio 4 that a prefill batch completes, and the rows that it keeps (V1)",
            .upstream = "compress_forward, _jit_compress_module",
            .space = c4_v1_space()
                         .with({word("order", {"token", "shuffled"},
                                     "order of the plans' entries: by token (as planned on the host), or random")})
                         .with(prefill_batch({.usual = 5, .quick = {9}}, {.usual = 21, .quick = {1, 4, 12, 252, 509}},
                                             {.usual = 9, .quick = {1, 2, 3, 4, 5, 7, 8, 9, 33}}))
                         .with({number("slack", 0, 65535, "sentinels after the entries of each plan",
                                       {.quick = {0, 5}, .soak = {0, 1, 5}})}),
            .signature = {{inout("kv_buffer", {kF32}, "pages page!:page width",
                                 {.names = {{"page", "state_page"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "tokens width", {.names = {{"width", "input_width"}}}),
                           out("kv_output", {kF32}, "tokens:rows head_dim:width",
                               {.names = {{"rows", "output_rows"}, {"width", "output_width"}}}),
                           in("ape", {kF32}, "8:rows head_dim"), in("indices", {kI32}, "requests"),
                           in("compress_plan", {kU8}, "entries 16:bytes"), in("write_plan", {kU8}, "kept 16:bytes"),
                           in("extra", {kI32}, "requests:rows 4:columns", {.optional = true})}},
            .smoke = {"", "state=rings head_dim=512 order=shuffled batch=4 len=9 extend=7 mix=uniform slack=3",
                      "ring=16 fill=equal order=shuffled batch=9 len=250 extend=10 mix=uniform"},
            .quick = joined({{"cover spread=stagger|random mix=uniform|mixed|some_empty"},
                             each({"fill={} batch=3 len=300 extend=260",
                                   "state=rings head_dim=512 fill={} order=shuffled batch=2 len=60 extend=50 "
                                   "mix=uniform slack=1"},
                                  offline_fills(4))}),
            .full = joined({each({"head_dim={} fill={} batch=1 len=2048 spread=same extend=2048 mix=uniform",
                                  "head_dim={} state=rings fill={} order=shuffled batch=7 len=3000 spread=random "
                                  "extend=300 slack=100",
                                  "head_dim={} ring=16 fill={} batch=64 len=1000 spread=random extend=8 mix=uniform"},
                                 {"128", "512"}, {"gauss", "steps", "wide"}),
                            {"batch=1 len=70000 spread=same extend=8192 mix=uniform"}}),
            .bench = each({"head_dim={} batch=16 len=4608 spread=same extend=512 mix=uniform"}, {"512", "128"}),
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const V1State state(4, c.params, make_maps(batch, c.params, c.seed));
    const auto [entries, kept] = plans::token_records(requests_of(batch), plans::grouping_of(4));
    return prefill_call(c, batch, state, state.prefill(batch),
                        {arranged(entries, c, "compress_plan order"), arranged(kept, c, "write_plan order")});
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  [[nodiscard]] std::vector<Pair> pairs() const override;

  /// A record of the compress plan writes the row of its token. A record of the write plan keeps its token in a page of
  /// its request. In both plans, records may be in any order, with sentinels among them.
  [[nodiscard]] C4V1Written written_by(const Call& call) const override {
    C4V1Written rows;
    for (const TokenPlan& e : in_token_order(call, "compress_plan")) {
      if (is_complete(call, e)) rows.entries.push_back({e.batch_id, e.ragged_id, e.position < 4});
    }
    for (const TokenPlan& w : in_token_order(call, "write_plan")) {
      const auto newest = [&] { return static_cast<std::uint32_t>(extra(call, w, 3)); };
      const bool is_before = call.arg("extra").is_tensor() && w.position < newest();
      const std::int64_t row =
          c4_v1_row(call, is_before ? extra(call, w, 2) : integer_at(call.tensor("indices"), w.batch_id), w.position);
      if (row >= 0) rows.kept.push_back({w.batch_id, row});
    }
    return rows;
  }

 private:
  Call prefill_call(const Case& c, const Batch& batch, const V1State& state, V1Pages pages,
                    std::vector<HostTensor> plans) const {
    const OfflineTokens tokens = this->tokens(c);
    // A batch has at least as many rows as it has requests, and as each plan has. So it gets padding rows.
    const std::int64_t rows = std::max({batch.tokens(), batch.size(), plans[0].size(0), plans[1].size(0)});
    HostTensor input = HostTensor::make(kF32, {rows, 4 * tokens.head_dim()});
    poison(input);
    std::ranges::copy(tokens.input(batch).storage, input.storage.begin());
    Call prefill = c4_v1_call(c.op, tokens, c4_v1_state(tokens, state, batch.request_ids, batch.prefixes()),
                              std::move(input), std::move(pages), std::move(plans));
    fit(prefill);
    return prefill;
  }

  /// The records of a plan that name a token and a request of the batch, by token.
  static std::vector<TokenPlan> in_token_order(const Call& call, const char* name) {
    std::vector<TokenPlan> records = records_of<TokenPlan>(call.tensor(name));
    std::erase_if(records, [&](const TokenPlan& r) {
      return is_sentinel(r) || r.ragged_id >= call.tensor("kv_input").size(0) ||
             r.batch_id >= call.tensor("indices").size(0);
    });
    std::ranges::stable_sort(records, {}, &TokenPlan::ragged_id);
    return records;
  }

  /// A number of the row of `extra` of the record's request.
  static std::int64_t extra(const Call& call, const TokenPlan& r, std::int64_t column) {
    return integer_at(call.tensor("extra"), 4 * std::int64_t{r.batch_id} + column);
  }

  /// True if the record ends a group, and the call has the rows of its window.
  static bool is_complete(const Call& call, const TokenPlan& e) {
    if (e.position % 4 != 3) return false;
    const std::int64_t first = e.position < 4 ? 4 : 0, from_batch = std::max<std::int64_t>(first, e.window_len);
    if (from_batch < 8 && e.ragged_id + from_batch < 7) return false;
    const auto has_page = [&](std::int64_t column) {
      const bool rings = !call.arg("extra").is_tensor();
      return c4_v1_row(call, rings ? integer_at(call.tensor("indices"), e.batch_id) : extra(call, e, column), 0) >= 0;
    };
    if (e.window_len > 4 && !has_page(1)) return false;
    return e.window_len <= first || first == 4 || has_page(e.window_len > 4 ? 0 : 1);
  }
};

/// paged_compress_data makes the pages of the call. With the rings of requests, no op makes them.
std::vector<Pair> CompressC4PrefillV1::pairs() const {
  return {{.producer = "paged_compress_data",
           .takes = {"indices", "extra"},
           .points = at({"batch=4 len=250", "head_dim=512 ring=16 batch=3 len=40 extend=30"},
                        {"fill=equal batch=33 len=300 extend=12"}),
           .produce =
               [](const Case& c) {
                 const Batch batch = make_batch(c.params, c.seed);
                 return paged_compress_data_call(4, batch, make_maps(batch, c.params, c.seed));
               },
           .consume =
               [this](const Case& c, const std::vector<HostTensor>& pages) {
                 Call call = make(c);
                 call.arg("indices").tensor() = pages.at(0);
                 call.arg("extra").tensor() = pages.at(1);
                 return call;
               }}};
}

std::vector<Scenario> CompressC4PrefillV1::scenarios() const {
  std::vector<Scenario> list = C4V1Op::scenarios();
  list.push_back(offline_many_tokens(*this));
  append(list, offline_prefill_sequences(
                   at({"batch=4 len=250", "ring=16 fill=steps len=30 extend=3", "head_dim=512 batch=3 len=40 extend=70",
                       "head_dim=512 ring=16 fill=cleared batch=3 len=24 extend=5", "state=rings batch=4 len=30",
                       "state=rings head_dim=512 batch=3 len=250"})));
  Contracts contracts(list);
  for (const std::string plan : {"compress_plan", "write_plan"}) {
    contracts.refused("more_rows_in_" + plan, "a plan with more rows than the batch is refused", plan,
                      [plan](Call& call) {
                        const auto rows = static_cast<std::size_t>(call.tensor("kv_input").size(0) + 1);
                        call.arg(plan).tensor() = plan_tensor(std::vector<TokenPlan>(rows, layout::kNoToken));
                      });
  }
  const auto set_plans = [this](Call& call, const std::vector<TokenPlan>& records) {
    for (const char* plan : {"compress_plan", "write_plan"}) call.arg(plan).tensor() = plan_tensor(records);
    fit(call);
  };
  contracts.edge("nothing_to_do", "plans without rows: nothing is written, or the call is refused",
                 [set_plans](Call& call) { set_plans(call, {}); });
  contracts.edge("sentinels_only", "plans that hold only sentinels: nothing is written",
                 [set_plans](Call& call) { set_plans(call, std::vector<TokenPlan>(6, layout::kNoToken)); });
  contracts.edge("fewer_tokens_than_requests", "a batch with more requests than tokens is right, or is refused",
                 [this](Call& call) {
                   const auto requests = static_cast<std::size_t>(call.tensor("kv_input").size(0) + 1);
                   std::vector<std::int64_t> rows(requests, 0);
                   for (std::int64_t b = 0; b < call.tensor("indices").numel(); ++b)
                     rows[static_cast<std::size_t>(b)] = b;
                   for (const char* name : {"indices", "extra"})
                     call.arg(name).tensor() = rows_of(call.tensor(name), rows);
                   fit(call);
                 });
  return list;
}

DSV4_REGISTER_OP(CompressC4PrefillV1);

}  // namespace
}  // namespace dsv4
