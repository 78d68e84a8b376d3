#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/compress/offline_engine.h"
#include "harness/ops/compress/plan_calls.h"
#include "reference/plans/records.h"

namespace dsv4 {
namespace {

/// Both engines must have the same entries and live rows, bit for bit.
void expect_same(ScenarioContext& x, const std::string& where, const OfflineEngine& got, const OfflineEngine& want) {
  x.expect_agree(where, got.observed(), want.observed(),
                 {{"kv_output", Tolerance::exact("the bits of an entry do not depend on where its rows are read")}});
}

/// Compares `engine` with a replay, in which the reference prefills all the tokens in one call. Each entry must be
/// within its own bound. Live rows must be equal bit for bit.
void expect_as_replayed(ScenarioContext& x, const std::string& where, const Batch& requests,
                        const OfflineEngine& engine) {
  const std::vector<std::int64_t>& lengths = engine.requests().lengths();
  OfflineEngine replay(x, Side::kReference, requests, *std::ranges::max_element(lengths));
  replay.prefill(lengths, false, "replay");
  x.expect_agree(where, engine.observed(), replay.observed(),
                 {{"kv_output", Tolerance::within(replay.bounds(), offline_op(x).bound_reason())}});
}

/// Prefills the requests to their full lengths, in chunks. The chunk sizes are random, at most the parameter `extend`.
void prefill_in_chunks(OfflineEngine& engine, const Batch& requests, const Case& c) {
  Random random(c.seed, "chunks");
  for (int chunk = 0;; ++chunk) {
    const auto extend = engine.requests().next_chunk(requests.seq_lens, c.params.integer("extend"), random);
    if (extend.empty()) return;
    engine.prefill(extend, chunk % 2 == 1, fmt::format("chunk {}", chunk));
  }
}

void run_chunked_prefill(ScenarioContext& x) {
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OfflineEngine whole(x, Side::kSubject, requests, requests.longest());
  whole.prefill(requests.seq_lens, false, "one prefill");
  OfflineEngine chunks(x, Side::kSubject, requests, requests.longest());
  prefill_in_chunks(chunks, requests, x.c);
  expect_same(x, "chunks against one prefill", chunks, whole);
  expect_as_replayed(x, "one prefill against the reference", requests, whole);
}

void run_prefill_then_decode(ScenarioContext& x) {
  constexpr int kDecodes = 13;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OfflineEngine engine(x, Side::kSubject, requests, requests.longest() + kDecodes);
  prefill_in_chunks(engine, requests, x.c);
  for (int step = 0; step < kDecodes; ++step) engine.decode(fmt::format("decode step {}", step));
  expect_as_replayed(x, "after decoding", requests, engine);
}

/// Two engines start from the same state. One decodes each token, the other prefills each token alone. Their entries
/// and live rows must be equal bit for bit.
void run_decode_equals_prefill(ScenarioContext& x) {
  constexpr int kSteps = 9;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OfflineEngine decoding(x, Side::kSubject, requests, requests.longest() + kSteps);
  decoding.prefill(requests.seq_lens, false, "prefill");
  OfflineEngine prefilling = decoding;
  const std::vector<std::int64_t> one(requests.seq_lens.size(), 1);
  for (int step = 0; step < kSteps; ++step) {
    decoding.decode(fmt::format("decode step {}", step));
    prefilling.prefill(one, step % 2 == 1, fmt::format("prefill of one, step {}", step));
  }
  expect_same(x, "decode against prefill of one", decoding, prefilling);
}

/// The most drafts of a verify step at which the planner keeps all rows that a rejection makes live again, if lengths
/// are on the device. It keeps the rows that the new length needs, and the last tokens for which a ring has room
/// (plans::last_kept). At ratio 4, the group before is among them.
std::int64_t most_drafts(std::int64_t ratio, std::int64_t ring) {
  if (ratio == 4) return ring == 16 ? 4 : 2;
  return std::max<std::int64_t>(plans::last_kept(ring, ratio), 1);
}

/// Verify steps, which reject some of their drafts, alternate with decode steps. The entries must agree with a replay
/// of the accepted tokens.
void run_verify_then_decode(ScenarioContext& x) {
  constexpr int kSteps = 7;
  const std::int64_t drafts = most_drafts(offline_op(x).ratio(), x.c.params.integer("ring"));
  const Batch requests = make_batch(x.c.params, x.c.seed);
  OfflineEngine engine(x, Side::kSubject, requests, requests.longest() + kSteps * (drafts + 1));
  engine.prefill(requests.seq_lens, false, "prefill");
  Random random(x.c.seed, "accepted");
  for (int step = 0; step < kSteps; ++step) {
    std::vector<std::int64_t> accepted;
    for (std::size_t b = 0; b < requests.seq_lens.size(); ++b) accepted.push_back(random.between(1, drafts));
    engine.verify(drafts, accepted, fmt::format("verify step {}", step));
    engine.decode(fmt::format("decode step {}", step));
  }
  expect_as_replayed(x, "after verifying", requests, engine);
}

/// Serving engines pad a decode batch to the size of a captured graph. The padding requests have length 0, and the ids
/// of requests that are in the pool. The state and the entries of the real requests must be the same as without
/// padding.
void run_padded_decode(ScenarioContext& x) {
  const Batch batch = make_batch(x.c.params, x.c.seed);
  Batch padded = batch;
  for (const std::int64_t id : {batch.request_ids.front(), batch.request_ids.back(), std::int64_t{0}}) {
    padded.request_ids.push_back(id);
    padded.seq_lens.push_back(0);
    padded.extend_lens.push_back(0);
  }
  const CacheMaps maps = make_maps(batch, x.c.params, x.c.seed);
  const OfflineTokens tokens = offline_op(x).tokens(x.c);
  const HostTensor state = tokens.state(maps, batch.request_ids, batch.prefixes()), input = tokens.input(batch);
  HostTensor longer = HostTensor::make(kF32, {padded.size(), input.size(1)});
  poison(longer);
  std::ranges::copy(input.storage, longer.storage.begin());
  std::vector<std::int64_t> entries, rows;
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    if (batch.seq_lens[static_cast<std::size_t>(b)] % tokens.ratio() == 0) entries.push_back(b);
  }
  // The first ring belongs to the padding page of the cache. Its contents do not matter.
  for (std::int64_t r = maps.ring_size; r < maps.rows(); ++r) rows.push_back(r);
  const auto decoded = [&](const std::string& where, const Batch& requests, const HostTensor& newest) {
    const CallResult plan = x.call(where + ", plan", decode_plan_call(tokens.ratio(), requests, maps));
    const CallResult result = x.call(where, tokens.call(x.op.info().name, state, newest, {returned_tensor(plan, 0)}));
    return Observation()
        .add("kv_output", gather_rows(result.tensor("kv_output"), entries, tokens.head_dim()))
        .add("state", gather_rows(result.tensor("kv_buffer"), rows, tokens.width()));
  };
  const Observation want = decoded("without padding", batch, input);
  x.expect_agree("with padding", decoded("with padding", padded, longer), want);
}

}  // namespace

std::vector<Scenario> offline_prefill_sequences(const Points& points) {
  return {
      sequence("chunked_prefill", "one prefill, and a prefill of the same tokens in chunks, give the same bits", points,
               run_chunked_prefill),
      sequence("prefill_then_decode", "prefill in chunks, then decode: entries agree with one prefill by the reference",
               points, run_prefill_then_decode)};
}

Scenario offline_decode_equals_prefill(const Points& points) {
  return sequence("decode_equals_prefill", "decoding a token and prefilling it alone give the same bits", points,
                  run_decode_equals_prefill);
}

std::vector<Scenario> offline_decode_sequences(const Points& points) {
  return {offline_decode_equals_prefill(points),
          sequence("verify_then_decode",
                   "verify steps that reject drafts, then decode: entries agree with one prefill by the reference",
                   points, run_verify_then_decode)};
}

Scenario offline_padded_decode(const Points& points) {
  return sequence("padded_decode", "requests of length 0 that pad a decode batch change nothing", points,
                  run_padded_decode);
}

}  // namespace dsv4
