#include <cmath>

#include "harness/op/define.h"
#include "harness/ops/compress/online_engine.h"

namespace dsv4 {
namespace {

/// Prefills the requests to these lengths, in chunks. The chunk sizes are random, at most the parameter `extend`.
void prefill_online_chunks(OnlineEngine& engine, const std::vector<std::int64_t>& lengths, const Case& c) {
  Random random(c.seed, "chunks");
  for (int chunk = 0;; ++chunk) {
    const auto extend = engine.requests().next_chunk(lengths, c.params.integer("extend"), random);
    if (extend.empty()) return;
    engine.prefill(extend, fmt::format("chunk {}", chunk));
  }
}

void run_online_chunks(ScenarioContext& x) {
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OnlineEngine engine(x, requests, requests.longest());
  prefill_online_chunks(engine, requests.seq_lens, x.c);
  engine.expect_as_replayed("chunks against one prefill by the reference");
}

void run_online_prefill_then_decode(ScenarioContext& x) {
  constexpr int kDecodes = 9;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OnlineEngine engine(x, requests, requests.longest() + kDecodes);
  prefill_online_chunks(engine, requests.seq_lens, x.c);
  for (int step = 0; step < kDecodes; ++step) engine.decode(fmt::format("decode step {}", step));
  engine.expect_as_replayed("after decoding");
}

/// Other requests take over the slots of requests that have ended. What the slots hold must not matter.
void run_online_slot_reuse(ScenarioContext& x) {
  constexpr int kDecodes = 3;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OnlineEngine before(x, requests, requests.longest() + kDecodes);
  prefill_online_chunks(before, requests.seq_lens, x.c);
  Batch later = requests;
  std::ranges::reverse(later.request_ids);
  OnlineEngine engine(before, later, requests.longest() + kDecodes, 1);
  prefill_online_chunks(engine, requests.seq_lens, x.c);
  for (int step = 0; step < kDecodes; ++step) engine.decode(fmt::format("decode step {}", step));
  engine.expect_as_replayed("later requests");
}

/// Decodes from the first token on, past the end of a group.
void run_online_decode_steps(ScenarioContext& x) {
  constexpr int kSteps = 131;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OnlineEngine engine(x, requests, requests.longest() + kSteps);
  engine.prefill(requests.seq_lens, "prefill");
  for (int step = 0; step < kSteps; ++step) engine.decode(fmt::format("decode step {}", step));
  engine.expect_as_replayed("after decoding");
}

/// Serving engines pad a decode batch to the size of a captured graph. The padding requests have length 0, and the ids
/// of requests that are in the pool. The slots and the entries of the real requests must be the same as
/// without padding.
void run_online_padded_decode(ScenarioContext& x) {
  const Batch batch = make_batch(x.c.params, x.c.seed);
  Batch padded = batch;
  for (const std::int64_t id : {batch.request_ids.front(), batch.request_ids.back(), std::int64_t{0}}) {
    padded.request_ids.push_back(id);
    padded.seq_lens.push_back(0);
    padded.extend_lens.push_back(0);
  }
  const CacheMaps maps = online_maps(batch, x.c.params, x.c.seed);
  const OnlineTokens tokens(x.c.params, x.c.seed);
  const OnlineV1Slots v1(x.c.params, maps);
  const bool is_v1 = is_online_v1(x.op);
  const auto records = plans::online_decode_records(requests_of(batch), is_v1 ? v1.slot_of() : maps.row_of());
  const std::int64_t count = is_v1 ? v1.count() : maps.rows();
  const HostTensor state = tokens.state(count, OnlineTokens::read_by(records)), input = tokens.input(batch);
  HostTensor longer = HostTensor::make(kF32, {padded.size(), input.size(1)});
  // A kernel that adds a padding row shows it, even if it gives the row the weight 0.
  fill_floats(longer, [] { return std::nan(""); });
  std::ranges::copy(input.storage, longer.storage.begin());
  std::vector<std::int64_t> entries, slots;
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    if (batch.seq_lens[static_cast<std::size_t>(b)] % kOnlineGroup == 0) entries.push_back(b);
  }
  // Slot 0 is the padding page of the cache. Its contents do not matter.
  for (std::int64_t slot = 1; slot < count; ++slot) slots.push_back(slot);
  const auto call_for = [&](const std::string& where, const Batch& requests, const HostTensor& newest) {
    if (is_v1) {
      V1Pages indices = v1.decode(batch);
      std::vector<std::int64_t> rows(static_cast<std::size_t>(requests.size()), 0);  // padding: a request's slot
      for (std::int64_t b = 0; b < batch.size(); ++b) rows[static_cast<std::size_t>(b)] = b;
      indices.indices = rows_of(indices.indices, rows);
      return online_v1_call("compress_c128_online_decode_v1", tokens, state, newest, std::move(indices),
                            {numbers(requests.seq_lens, kI32)});
    }
    const CallResult plan = x.call(where + ", plan", online_decode_plan_call(requests, maps));
    return tokens.call("compress_c128_online_decode", state, newest, {plan.tensor("plan_d")});
  };
  const auto decoded = [&](const std::string& where, const Batch& requests, const HostTensor& newest) {
    Call decode = call_for(where, requests, newest);
    x.op.fit(decode);  // a request without a token has no row of the output
    const CallResult result = x.call(where, decode);
    return Observation()
        .add("kv_output", gather_rows(result.tensor("kv_output"), entries, kOnlineHeadDim))
        .add("state", gather_rows(result.tensor("kv_buffer"), slots, kOnlineSlot));
  };
  const Observation want = decoded("without padding", batch, input);
  x.expect_agree("with padding", decoded("with padding", padded, longer), want);
}

/// The points. For an op of V1, the first of them also occurs with a slot for each request.
std::vector<std::string> with_rings(const Op& op, std::vector<std::string> points) {
  if (is_online_v1(op)) points.push_back("state=rings " + points.front());
  return points;
}

}  // namespace

std::vector<Scenario> online_prefill_sequences(const Op& op) {
  const Points points = op.at(with_rings(op, {"batch=3 len=140 extend=90", "fill=steps batch=2 len=260 extend=200"}),
                              {"fill=large batch=2 len=130 extend=60", "fill=cleared batch=2 len=135 extend=50"});
  return {
      sequence("chunked_prefill", "prefill in chunks: entries and open groups agree with one prefill by the reference",
               points, run_online_chunks),
      sequence("prefill_then_decode",
               "prefill in chunks, then decode: entries and open groups agree with one prefill by the reference",
               points, run_online_prefill_then_decode),
      sequence("slot_reuse", "requests that take over the slots of others do not see what the slots hold",
               op.at(with_rings(op, {"batch=3 len=140 extend=90"})), run_online_slot_reuse)};
}

std::vector<Scenario> online_decode_sequences(const Op& op) {
  return {
      sequence("decode_steps",
               "many decode steps, past the end of a group: entries and open groups agree with one prefill by the "
               "reference",
               op.at(with_rings(op, {"batch=2 len=1"}), {"fill=steps batch=2 len=100", "fill=wide batch=1 len=120"}),
               run_online_decode_steps),
      sequence("padded_decode", "requests of length 0 that pad a decode batch change nothing",
               op.at(with_rings(op, {"batch=5", "fill=steps batch=3 len=253"})), run_online_padded_decode)};
}

}  // namespace dsv4
