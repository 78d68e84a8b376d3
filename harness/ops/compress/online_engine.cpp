#include "harness/ops/compress/online_engine.h"

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"

namespace dsv4 {
namespace {

/// The row of kv_output of each segment that completes a group, by the segment's last token.
std::map<KeyedRows::key_type, std::int64_t> rows_of_entries(const Batch& step,
                                                            const std::vector<layout::CompressPlan>& plan) {
  std::map<KeyedRows::key_type, std::int64_t> rows;
  const auto tokens = tokens_of(step);
  for (std::size_t k = 0; k < plan.size(); ++k) {
    if (is_sentinel(plan[k]) || plan[k].ragged_id >= tokens.size()) continue;
    const BatchToken& t = tokens[plan[k].ragged_id];
    rows[{t.id, t.position}] = static_cast<std::int64_t>(k);
  }
  return rows;
}

/// The requests of a step that have new tokens. The planner of V1 refuses others.
Batch with_new_tokens(const Batch& step) {
  Batch batch;
  for (std::size_t b = 0; b < step.request_ids.size(); ++b) {
    if (step.extend_lens[b] == 0) continue;
    batch.request_ids.push_back(step.request_ids[b]);
    batch.seq_lens.push_back(step.seq_lens[b]);
    batch.extend_lens.push_back(step.extend_lens[b]);
  }
  return batch;
}

/// The records of a plan of plan_compress_online_prefill. The call says how many there are.
std::vector<layout::TokenPlan> token_plan(const CallResult& result, const char* name, std::size_t count) {
  auto records = records_of<layout::TokenPlan>(result.tensor(name));
  const std::int64_t used = returned_integer(result, count).value_or(0);
  records.resize(static_cast<std::size_t>(std::clamp<std::int64_t>(used, 0, std::ssize(records))));
  return records;
}

}  // namespace

OnlineEngine::OnlineEngine(ScenarioContext& x, const Batch& requests, std::int64_t longest, std::uint64_t generation)
    : x_(x),
      tokens_(x.c.params, x.c.seed),
      requests_(requests, longest, with_slots(x.c.params), x.c.seed + generation) {
  if (is_online_v1(x.op)) v1_.emplace(x.c.params, requests_.maps());
  state_ = tokens_.state(slots(), {});
}

OnlineEngine::OnlineEngine(const OnlineEngine& before, const Batch& requests, std::int64_t longest,
                           std::uint64_t generation)
    : OnlineEngine(before.x_, requests, longest, generation) {
  if (before.state_.shape != state_.shape) throw Error("the requests of two generations need the same number of slots");
  state_ = before.state_;
}

void OnlineEngine::prefill(const std::vector<std::int64_t>& extend, const std::string& where) {
  const Batch step = requests_.grow(extend);
  if (v1_) return prefill_v1(with_new_tokens(step), where);
  const CallResult plan = x_.call(where + ", plan", online_prefill_plan_call(step, requests_.maps()));
  const auto complete = online_plan(plan, "plan_c_dev"), open = online_plan(plan, "plan_w_dev");
  compress(where,
           tokens_.call("compress_c128_online_prefill", state_, tokens_.input(step),
                        {plan_tensor(complete), plan_tensor(open)}),
           rows_of_entries(step, complete));
}

void OnlineEngine::prefill_v1(const Batch& step, const std::string& where) {
  const HostTensor plan = HostTensor::make(kU8, {step.tokens(), sizeof(layout::TokenPlan)});
  const CallResult planned = x_.call(
      where + ", plan",
      call_of("plan_compress_online_prefill", {numbers(step.extend_lens), numbers(step.seq_lens), plan, plan, false}));
  const auto complete = token_plan(planned, "compress_plan", 0), open = token_plan(planned, "write_plan", 1);
  OutputRows rows;
  for (const layout::TokenPlan& e : complete) {
    if (is_sentinel(e) || e.batch_id >= step.request_ids.size() || e.ragged_id >= step.tokens()) continue;
    rows[{step.request_ids[e.batch_id], e.position}] = e.ragged_id;
  }
  compress(where,
           online_v1_call("compress_c128_online_prefill_v1", tokens_, state_, tokens_.input(step),
                          v1_slots(step, where), {plan_tensor(complete), plan_tensor(open)}),
           rows);
}

V1Pages OnlineEngine::v1_slots(const Batch& step, const std::string& where) {
  if (v1_->has_rings()) return v1_->prefill(step);
  const Call made = paged_compress_data_call(kOnlineGroup, step, requests_.maps());
  const auto slots_of = [](const CallResult& result) {
    return V1Pages{returned_tensor(result, 0), returned_tensor(result, 1)};
  };
  try {
    return slots_of(x_.call(where + ", slots", made));
  } catch (const Unsupported&) {
    return slots_of(x_.reference.call(made));
  }
}

void OnlineEngine::decode(const std::string& where) {
  const Batch step = requests_.grow(1);
  OutputRows rows;
  for (const BatchToken& t : tokens_of(step)) {
    if (t.seq_len % kOnlineGroup == 0) rows[{t.id, t.position}] = t.row;
  }
  if (v1_) {
    return compress(where,
                    online_v1_call("compress_c128_online_decode_v1", tokens_, state_, tokens_.input(step),
                                   v1_->decode(step), {numbers(step.seq_lens, kI32)}),
                    rows);
  }
  const CallResult plan = x_.call(where + ", plan", online_decode_plan_call(step, requests_.maps()));
  compress(where, tokens_.call("compress_c128_online_decode", state_, tokens_.input(step), {plan.tensor("plan_d")}),
           rows);
}

void OnlineEngine::compress(const std::string& where, const Call& made, const OutputRows& rows) {
  ++steps_;
  const CallResult result = x_.call(where, made);
  state_ = result.tensor("kv_buffer");
  for (const auto& [key, row] : rows) entries_[key] = gather_rows(result.tensor("kv_output"), {row}, kOnlineHeadDim);
}

std::vector<std::int64_t> OnlineEngine::open_slots() const {
  std::vector<std::int64_t> slots;
  const RowOf slot = slot_of();
  for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
    const std::int64_t length = requests_.lengths()[b], in_group = length % kOnlineGroup;
    if (in_group != 0) slots.push_back(slot(requests_.ids()[b], length - in_group));
  }
  return slots;
}

void OnlineEngine::expect_as_replayed(const std::string& where) const {
  const Batch all{requests_.ids(), requests_.lengths(), requests_.lengths()};
  const auto [complete, open] = plans::online_records(requests_of(all), slot_of());
  const Call call = tokens_.call("compress_c128_online_prefill", tokens_.state(state_.size(0), {}), tokens_.input(all),
                                 {plan_tensor(complete), plan_tensor(open)});
  const CallResult replay = x_.reference.call(call);
  if (replay.refusal) throw Error(fmt::format("the reference refused a valid call: {}", *replay.refusal));
  const OnlineBounds bounds = online_bounds(call, x_.reference, std::min(steps_, kOnlineGroup));
  KeyedRows entries, entry_bounds;
  for (const auto& [key, row] : rows_of_entries(all, complete)) {
    entries[key] = gather_rows(replay.tensor("kv_output"), {row}, kOnlineHeadDim);
    entry_bounds[key] = gather_rows(bounds.output, {row}, kOnlineHeadDim);
  }
  const std::vector<std::int64_t> slots = open_slots();
  const auto observed = [&slots](const KeyedRows& rows, const HostTensor& state) {
    return Observation()
        .add("entry_keys", keys_of(rows))
        .add("kv_output", stacked(rows))
        .add("open_groups", gather_rows(state, slots, kOnlineSlot));
  };
  x_.expect_agree(
      where, observed(entries_, state_), observed(entries, replay.tensor("kv_buffer")),
      {{"kv_output", Tolerance::within(stacked(entry_bounds), kOnlineBoundReason)},
       {"open_groups", Tolerance::within(gather_rows(bounds.state, slots, kOnlineSlot), kOnlineBoundReason)}});
}

}  // namespace dsv4
