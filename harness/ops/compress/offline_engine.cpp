#include "harness/ops/compress/offline_engine.h"

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {

OfflineEngine::OfflineEngine(ScenarioContext& x, Side side, const Batch& requests, std::int64_t longest)
    : x_(x),
      side_(side),
      tokens_(offline_op(x).tokens(x.c)),
      requests_(requests, longest, x.c.params, x.c.seed),
      state_(tokens_.state(requests_.maps(), requests_.ids(), requests_.lengths())) {}

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
  const CallResult plan = call(where + ", plan", decode_plan_call(tokens_.ratio(), step, requests_.maps()));
  OutputRows rows;
  for (const BatchToken& t : tokens_of(step)) {
    if (t.seq_len % tokens_.ratio() == 0) rows[{t.id, t.position}] = t.row;
  }
  compress(where, "decode", tokens_.input(step), {returned_tensor(plan, 0)}, rows);
}

Observation OfflineEngine::observed() const {
  std::vector<std::int64_t> live;
  for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
    const std::int64_t id = requests_.ids()[b], length = requests_.lengths()[b];
    for (const std::int64_t p : live_positions(length, tokens_.ratio())) live.push_back(requests_.maps().row(id, p));
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
  compress(where, "prefill", input, {plan_c, plan_w}, rows);
}

void OfflineEngine::compress(const std::string& where, const char* step, const HostTensor& input,
                             const std::vector<HostTensor>& plans, const OutputRows& rows) {
  const Call made = tokens_.call(fmt::format("compress_c{}_{}", tokens_.ratio(), step), state_, input, plans);
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
