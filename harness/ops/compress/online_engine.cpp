#include "harness/ops/compress/online_engine.h"

#include "harness/op/define.h"

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

}  // namespace

OnlineEngine::OnlineEngine(ScenarioContext& x, const Batch& requests, std::int64_t longest, std::uint64_t generation)
    : x_(x),
      tokens_(x.c.params, x.c.seed),
      requests_(requests, longest, with_slots(x.c.params), x.c.seed + generation),
      state_(tokens_.state(requests_.maps().rows(), {})) {}

OnlineEngine::OnlineEngine(const OnlineEngine& before, const Batch& requests, std::int64_t longest,
                           std::uint64_t generation)
    : OnlineEngine(before.x_, requests, longest, generation) {
  if (before.state_.shape != state_.shape) throw Error("the requests of two generations need the same number of slots");
  state_ = before.state_;
}

void OnlineEngine::prefill(const std::vector<std::int64_t>& extend, const std::string& where) {
  const Batch step = requests_.grow(extend);
  const CallResult plan = x_.call(where + ", plan", online_prefill_plan_call(step, requests_.maps()));
  const auto complete = online_plan(plan, "plan_c_dev"), open = online_plan(plan, "plan_w_dev");
  compress(where, "compress_c128_online_prefill", step, {plan_tensor(complete), plan_tensor(open)},
           rows_of_entries(step, complete));
}

void OnlineEngine::decode(const std::string& where) {
  const Batch step = requests_.grow(1);
  const CallResult plan = x_.call(where + ", plan", online_decode_plan_call(step, requests_.maps()));
  OutputRows rows;
  for (const BatchToken& t : tokens_of(step)) {
    if (t.seq_len % kOnlineGroup == 0) rows[{t.id, t.position}] = t.row;
  }
  compress(where, "compress_c128_online_decode", step, {plan.tensor("plan_d")}, rows);
}

void OnlineEngine::compress(const std::string& where, const char* op, const Batch& step,
                            const std::vector<HostTensor>& plans, const OutputRows& rows) {
  ++steps_;
  const CallResult result = x_.call(where, tokens_.call(op, state_, tokens_.input(step), plans));
  state_ = result.tensor("kv_buffer");
  for (const auto& [key, row] : rows) entries_[key] = gather_rows(result.tensor("kv_output"), {row}, kOnlineHeadDim);
}

std::vector<std::int64_t> OnlineEngine::open_slots() const {
  std::vector<std::int64_t> slots;
  for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
    const std::int64_t length = requests_.lengths()[b], in_group = length % kOnlineGroup;
    if (in_group != 0) slots.push_back(requests_.maps().row(requests_.ids()[b], length - in_group));
  }
  return slots;
}

void OnlineEngine::expect_as_replayed(const std::string& where) const {
  const Batch all{requests_.ids(), requests_.lengths(), requests_.lengths()};
  const auto [complete, open] = plans::online_records(requests_of(all), requests_.maps().row_of());
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
