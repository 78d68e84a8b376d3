#include "harness/ops/compress/v1_prefill.h"

#include <algorithm>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

const std::vector<std::string> kPlans{"compress_plan", "write_plan"};

/// The fields that all V1 prefill ops have in common.
OpInfo v1_prefill_info(std::int64_t ratio, OpInfo info) {
  info.signature = {
      {v1_state_argument(ratio), in("kv_input", {kF32}, "tokens width", {.names = {{"width", "input_width"}}}),
       out("kv_output", {kF32}, "tokens:rows head_dim:width",
           {.names = {{"rows", "output_rows"}, {"width", "output_width"}}}),
       in("ape", {kF32}, fmt::format("{}:rows head_dim", window_of(ratio))), in("indices", {kI32}, "requests"),
       in("compress_plan", {kU8}, "entries 16:bytes"), in("write_plan", {kU8}, "kept 16:bytes"),
       in("extra", {kI32}, ratio == 4 ? "requests:rows 4:columns" : "requests:rows", {.optional = true})}};
  info.host_note = "the fast exponential and division of the GPU";
  return info;
}

/// The records of a plan that name a token and a request of the batch, by token.
std::vector<TokenPlan> in_token_order(const Call& call, const std::string& name) {
  std::vector<TokenPlan> records = records_of<TokenPlan>(call.tensor(name));
  std::erase_if(records, [&](const TokenPlan& r) {
    return is_sentinel(r) || r.ragged_id >= call.tensor("kv_input").size(0) ||
           r.batch_id >= call.tensor("indices").size(0);
  });
  std::ranges::stable_sort(records, {}, &TokenPlan::ragged_id);
  return records;
}

/// A number of the row of `extra` of the record's request. Without extra, the request's number in `indices`.
std::int64_t page_of(const Call& call, const TokenPlan& r, std::int64_t column) {
  if (!call.arg("extra").is_tensor()) return integer_at(call.tensor("indices"), r.batch_id);
  const HostTensor& extra = call.tensor("extra");
  return integer_at(extra, extra.numel() / extra.size(0) * std::int64_t{r.batch_id} + column);
}

/// The page or ring in which the record's token is kept. At ratio 4, extra has a page of the group before.
std::int64_t page_of_kept(const Call& call, const TokenPlan& r, std::int64_t ratio) {
  const bool is_before =
      ratio == 4 && call.arg("extra").is_tensor() && r.position < static_cast<std::uint32_t>(page_of(call, r, 3));
  return is_before ? page_of(call, r, 2) : integer_at(call.tensor("indices"), r.batch_id);
}

/// Gives a call these records as both plans.
void set_both_plans(const V1Op& op, Call& call, const std::vector<TokenPlan>& records) {
  for (const std::string& plan : kPlans) call.arg(plan).tensor() = plan_tensor(records);
  op.fit(call);
}

/// A batch with more requests than tokens. The further requests have the pages of the first ones.
void add_requests(const V1Op& op, Call& call) {
  const auto requests = static_cast<std::size_t>(call.tensor("kv_input").size(0) + 1);
  std::vector<std::int64_t> rows(requests, 0);
  for (std::int64_t b = 0; b < call.tensor("indices").numel(); ++b) rows[static_cast<std::size_t>(b)] = b;
  for (const char* name : {"indices", "extra"}) call.arg(name).tensor() = rows_of(call.tensor(name), rows);
  op.fit(call);
}

}  // namespace

Space v1_prefill_space(std::int64_t ratio, std::vector<ParamSpec> batch) {
  return v1_space(ratio)
      .with({word("order", {"token", "shuffled"},
                  "order of the plans' entries: by token (as planned on the host), or random")})
      .with(std::move(batch))
      .with({number("slack", 0, 65535, "sentinels after the entries of each plan",
                    {.quick = {0, 5}, .soak = {0, 1, 5}})});
}

V1Prefill::V1Prefill(std::int64_t ratio, OpInfo info, V1PrefillPoints points)
    : V1Op(ratio, v1_prefill_info(ratio, std::move(info))), points_(std::move(points)) {}

Call V1Prefill::make(const Case& c) const {
  const Batch batch = make_batch(c.params, c.seed);
  const V1State state(ratio(), c.params, make_maps(batch, c.params, c.seed));
  const auto [entries, kept] = plans::token_records(requests_of(batch), plans::grouping_of(ratio()));
  const HostTensor compress_plan = arranged(entries, c, "compress_plan order"),
                   write_plan = arranged(kept, c, "write_plan order");
  // A batch has at least as many rows as it has requests, and as each plan has. So it gets padding rows.
  const OfflineTokens tokens = this->tokens(c);
  const std::int64_t rows = std::max({batch.tokens(), batch.size(), compress_plan.size(0), write_plan.size(0)});
  HostTensor input = HostTensor::make(kF32, {rows, tokens.width()});
  poison(input);
  std::ranges::copy(tokens.input(batch).storage, input.storage.begin());
  Call prefill = v1_call(c.op, tokens, v1_rows(tokens, state, batch.request_ids, batch.prefixes()), std::move(input),
                         state.prefill(batch), {compress_plan, write_plan});
  fit(prefill);
  return prefill;
}

/// A record of the compress plan writes the row of its token. A record of the write plan keeps its token in a page of
/// its request. In both plans, records may be in any order, with sentinels among them.
V1Written V1Prefill::written_by(const Call& call) const {
  V1Written rows;
  for (const TokenPlan& e : in_token_order(call, "compress_plan")) {
    if (is_complete(call, e)) rows.entries.push_back({e.batch_id, e.ragged_id, e.position < ratio()});
  }
  for (const TokenPlan& w : in_token_order(call, "write_plan")) {
    const std::int64_t row = v1_row(call, page_of_kept(call, w, ratio()), w.position);
    if (row >= 0) rows.kept.push_back({w.batch_id, row});
  }
  return rows;
}

bool V1Prefill::is_complete(const Call& call, const TokenPlan& e) const {
  const std::int64_t window = window_of(ratio());
  const std::int64_t first = ratio() == 4 && e.position < 4 ? 4 : 0;  // place of the window's first token
  const std::int64_t from_batch = std::max<std::int64_t>(first, e.window_len);
  if (from_batch < window && e.ragged_id + from_batch < window - 1) return false;
  const auto has_page = [&](std::int64_t column) { return v1_row(call, page_of(call, e, column), 0) >= 0; };
  if (ratio() == 128) return e.window_len == 0 || has_page(0);
  if (e.position % 4 != 3 || (e.window_len > 4 && !has_page(1))) return false;
  return e.window_len <= first || first == 4 || has_page(e.window_len > 4 ? 0 : 1);
}

std::vector<const float*> V1Prefill::window_rows(const Call& call, std::int64_t entry) const {
  const HostTensor &state = call.tensor("kv_buffer"), &input = call.tensor("kv_input");
  const auto records = in_token_order(call, "compress_plan");
  const auto e = std::ranges::find(records, entry, &TokenPlan::ragged_id);
  if (e == records.end() || !is_complete(call, *e)) return {};
  std::vector<const float*> rows;
  for (std::int64_t j = 0; j < ratio(); ++j) {
    rows.push_back(j < e->window_len ? &state.at<float>(page_of(call, *e, 0), j, 0)
                                     : &input.at<float>(entry - (ratio() - 1) + j, 0));
  }
  return rows;
}

/// paged_compress_data makes the pages of the call. With the rings of requests, no op makes them.
std::vector<Pair> V1Prefill::pairs() const {
  return {{.producer = "paged_compress_data",
           .takes = {"indices", "extra"},
           .points = at(points_.pairs, points_.more_pairs),
           .produce =
               [ratio = ratio()](const Case& c) {
                 const Batch batch = make_batch(c.params, c.seed);
                 return paged_compress_data_call(ratio, batch, make_maps(batch, c.params, c.seed));
               },
           .consume =
               [this](const Case& c, const std::vector<HostTensor>& pages) {
                 Call call = make(c);
                 call.arg("indices").tensor() = pages.at(0);
                 call.arg("extra").tensor() = pages.at(1);
                 return call;
               }}};
}

std::vector<Scenario> V1Prefill::scenarios() const {
  std::vector<Scenario> list = V1Op::scenarios();
  list.push_back(offline_many_tokens(*this));
  append(list, offline_prefill_sequences(at(points_.sequences)));
  Contracts contracts(list);
  for (const std::string& plan : kPlans) {
    contracts.refused("more_rows_in_" + plan, "a plan with more rows than the batch is refused", plan,
                      [plan](Call& call) {
                        const auto rows = static_cast<std::size_t>(call.tensor("kv_input").size(0) + 1);
                        call.arg(plan).tensor() = plan_tensor(std::vector<TokenPlan>(rows, layout::kNoToken));
                      });
  }
  contracts.edge("nothing_to_do", "plans without rows: nothing is written, or the call is refused",
                 [this](Call& call) { set_both_plans(*this, call, {}); });
  contracts.edge("sentinels_only", "plans that hold only sentinels: nothing is written",
                 [this](Call& call) { set_both_plans(*this, call, std::vector<TokenPlan>(6, layout::kNoToken)); });
  contracts.edge("fewer_tokens_than_requests", "a batch with more requests than tokens is right, or is refused",
                 [this](Call& call) { add_requests(*this, call); });
  return list;
}

}  // namespace dsv4
