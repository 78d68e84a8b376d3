#include "harness/ops/compress/offline_engine.h"

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/v1_op.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {

OfflineEngine::OfflineEngine(ScenarioContext& x, Side side, const Batch& requests, std::int64_t longest)
    : x_(x), side_(side), tokens_(offline_op(x).tokens(x.c)), requests_(requests, longest, x.c.params, x.c.seed) {
  if (x.c.params.has("state")) v1_.emplace(tokens_.ratio(), x.c.params, requests_.maps());
  state_ = v1_ ? v1_rows(tokens_, *v1_, requests_.ids(), requests_.lengths())
               : tokens_.state(requests_.maps(), requests_.ids(), requests_.lengths());
}

void OfflineEngine::prefill(const std::vector<std::int64_t>& extend, bool lens_on_device, const std::string& where) {
  const Batch step = requests_.grow(extend);
  prefill_step(step, tokens_.input(step), lens_on_device, where);
}

void OfflineEngine::verify(std::int64_t drafts, const std::vector<std::int64_t>& accepted, const std::string& where) {
  const Batch step = requests_.grow(drafts);
  for (std::size_t b = 0; b < accepted.size(); ++b) requests_.take_back(b, drafts - accepted[b]);
  const std::vector<std::int64_t>& lengths = requests_.lengths();
  prefill_step(step, tokens_.input(step, lengths), true, where);
  for (std::size_t b = 0; b < accepted.size(); ++b) {
    const std::int64_t id = requests_.ids()[b];
    std::erase_if(entries_, [&](const auto& e) { return e.first.first == id && e.first.second >= lengths[b]; });
  }
}

void OfflineEngine::decode(const std::string& where) {
  const Batch step = requests_.grow(1);
  OutputRows rows;
  for (const BatchToken& t : tokens_of(step)) {
    if (t.seq_len % tokens_.ratio() == 0) rows[{t.id, t.position}] = t.row;
  }
  if (v1_) {
    return compress(where,
                    v1_call(fmt::format("compress_c{}_decode_v1", tokens_.ratio()), tokens_, state_,
                            tokens_.input(step), v1_->decode(step), {numbers(step.seq_lens, kI32)}),
                    rows);
  }
  const CallResult plan = call(where + ", plan", decode_plan_call(tokens_.ratio(), step, requests_.maps()));
  compress(where, v2_call("decode", tokens_.input(step), {returned_tensor(plan, 0)}), rows);
}

Observation OfflineEngine::observed() const {
  const RowOf row = row_of();
  std::vector<std::int64_t> live;
  for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
    const std::int64_t id = requests_.ids()[b], length = requests_.lengths()[b];
    for (const std::int64_t p : live_positions(length, tokens_.ratio())) live.push_back(row(id, p));
  }
  return Observation()
      .add("entry_keys", keys_of(entries_))
      .add("kv_output", stacked(entries_))
      .add("live_rows", gather_rows(state_, live, tokens_.width()));
}

CallResult OfflineEngine::call(const std::string& where, const Call& call) {
  if (side_ == Side::kSubject) return x_.call(where, call);
  CallResult result = x_.reference.call(call);
  if (result.refusal) throw Error(fmt::format("{}: the reference refused a valid call: {}", where, *result.refusal));
  return result;
}

void OfflineEngine::prefill_step(const Batch& step, const HostTensor& input, bool lens_on_device,
                                 const std::string& where) {
  if (v1_) return prefill_step_v1(step, input, lens_on_device, where);
  const PrefillPlanForm form{.ratio = tokens_.ratio(), .lens_on_device = lens_on_device};
  const CallResult plan = call(where + ", plan", prefill_plan_call(form, step, requests_.maps()));
  const HostTensor plan_c = returned_tensor(plan, 0), plan_w = returned_tensor(plan, 1);
  const auto entries = records_of<layout::CompressPlan>(plan_c);
  const auto tokens = tokens_of(step);
  OutputRows rows;
  for (std::size_t k = 0; k < entries.size(); ++k) {
    if (is_sentinel(entries[k]) || entries[k].ragged_id >= tokens.size()) continue;
    const BatchToken& t = tokens[entries[k].ragged_id];
    rows[{t.id, t.position}] = static_cast<std::int64_t>(k);
  }
  compress(where, v2_call("prefill", input, {plan_c, plan_w}), rows);
}

void OfflineEngine::prefill_step_v1(const Batch& step, const HostTensor& input, bool lens_on_device,
                                    const std::string& where) {
  const CallResult planned =
      call(where + ", plan", token_plan_call(tokens_.ratio(), lens_on_device, lens_on_device, step.tokens(), step));
  const auto plan = [&](const char* name, std::size_t count) {
    auto records = records_of<layout::TokenPlan>(planned.tensor(name));
    const std::int64_t used = returned_integer(planned, count).value_or(0);
    if (used >= 0 && used < std::ssize(records)) records.resize(static_cast<std::size_t>(used));
    return plan_tensor(records);
  };
  const HostTensor entries = plan("compress_plan", 0), kept = plan("write_plan", 1);
  OutputRows rows;
  for (const layout::TokenPlan& e : records_of<layout::TokenPlan>(entries)) {
    if (is_sentinel(e) || e.batch_id >= step.request_ids.size() || e.ragged_id >= input.size(0)) continue;
    rows[{step.request_ids[e.batch_id], e.position}] = e.ragged_id;
  }
  compress(where,
           v1_call(fmt::format("compress_c{}_prefill_v1", tokens_.ratio()), tokens_, state_, input,
                   v1_pages(step, where), {entries, kept}),
           rows);
}

V1Pages OfflineEngine::v1_pages(const Batch& step, const std::string& where) {
  if (v1_->has_rings()) return v1_->prefill(step);
  const Call made = paged_compress_data_call(tokens_.ratio(), step, requests_.maps());
  const auto pages_of = [](const CallResult& result) {
    return V1Pages{returned_tensor(result, 0), returned_tensor(result, 1)};
  };
  try {
    return pages_of(call(where + ", pages", made));
  } catch (const Unsupported&) {
    return pages_of(x_.reference.call(made));
  }
}

Call OfflineEngine::v2_call(const char* step, const HostTensor& input, const std::vector<HostTensor>& plans) const {
  return tokens_.call(fmt::format("compress_c{}_{}", tokens_.ratio(), step), state_, input, plans);
}

void OfflineEngine::compress(const std::string& where, const Call& made, const OutputRows& rows) {
  const CallResult result = call(where, made);
  state_ = result.tensor("kv_buffer");
  const auto collect = [&rows](const HostTensor& output, KeyedRows& into) {
    for (const auto& [key, row] : rows) into[key] = gather_rows(output, {row}, output.size(1));
  };
  collect(result.tensor("kv_output"), entries_);
  if (side_ == Side::kReference)
    collect(bounded(made, x_.reference, "kv_output", offline_op(x_).bound_reason()).bound, bounds_);
}

}  // namespace dsv4
