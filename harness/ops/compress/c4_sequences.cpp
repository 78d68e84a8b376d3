#include <algorithm>
#include <map>

#include "harness/op/define.h"
#include "harness/ops/compress/c4_op.h"
#include "harness/ops/compress/c4_tokens.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"

namespace dsv4 {
namespace {

using Key = std::pair<std::int64_t, std::int64_t>;  ///< request id, position of the entry's last token
using Rows = std::map<Key, HostTensor>;             ///< f32 [1, H] each

/// Entries by request and position: so calls of any schedule can be compared.
struct Entries {
  Rows values;
  Rows bounds;  ///< where a reference computed them
};

/// f32 [n, H] of n rows.
HostTensor stacked(const Rows& rows) {
  HostTensor t = HostTensor::make(kF32, {std::ssize(rows), rows.empty() ? 0 : rows.begin()->second.size(1)});
  auto next = t.storage.begin();
  for (const auto& [key, row] : rows) next = std::ranges::copy(row.storage, next).out;
  return t;
}

/// Calls one side: the subject (its findings fail the case) or the reference.
using Make = std::function<CallResult(const std::string& where, const Call&)>;

/// Requests that grow through planners and C4 kernels of one set, with the state carried from call to call. The state
/// starts as NaN; outputs are collected by request and position.
class Engine {
 public:
  Engine(Make make, const Case& c, const Batch& requests, std::int64_t longest)
      : make_(std::move(make)),
        tokens_(c.params, c.seed),
        compile_(c4_compile(c.params)),
        requests_(requests, longest, c.params, c.seed),
        state_(tokens_.state(requests_.maps(), requests_.ids(), requests_.lengths())) {}

  [[nodiscard]] const GrowingBatch& requests() const { return requests_; }

  /// Prefills `extend[b]` more tokens of request b. Bounds are computed if `bounds` is a reference.
  void prefill(const std::vector<std::int64_t>& extend, bool lens_on_device, const std::string& where,
               Caller* bounds = nullptr) {
    const Batch step = requests_.grow(extend);
    run_prefill(step, tokens_.input(step), lens_on_device, where, bounds);
  }

  /// Verifies `drafts` more tokens of each request, of which the first `accepted[b]` stay. The others are taken back,
  /// with their entries.
  void verify(std::int64_t drafts, const std::vector<std::int64_t>& accepted, const std::string& where) {
    const Batch step = requests_.grow(drafts);
    for (std::size_t b = 0; b < accepted.size(); ++b) requests_.take_back(b, drafts - accepted[b]);
    const std::vector<std::int64_t>& lengths = requests_.lengths();
    run_prefill(step, tokens_.input(step, lengths), true, where, nullptr);
    for (std::size_t b = 0; b < accepted.size(); ++b) {
      const std::int64_t id = requests_.ids()[b];
      std::erase_if(entries_.values,
                    [&](const auto& e) { return e.first.first == id && e.first.second >= lengths[b]; });
    }
  }

  /// Decodes one token of each request.
  void decode(const std::string& where) {
    const Batch step = requests_.grow(1);
    const CallResult plan = make_(where + ", plan", decode_plan_call(4, step, requests_.maps()));
    std::map<Key, std::int64_t> rows;
    for (const BatchToken& t : tokens_of(step)) {
      if (t.seq_len % 4 == 0) rows[{t.id, t.position}] = t.row;
    }
    compress(where, "compress_c4_decode", tokens_.input(step), {returned_tensor(plan, 0)}, rows, nullptr);
  }

  /// The entries so far, with their keys so that missing ones show, and the state rows that later entries read.
  [[nodiscard]] Observation observed() const {
    std::vector<std::int64_t> keys, live;
    for (const auto& [key, row] : entries_.values) keys.insert(keys.end(), {key.first, key.second});
    for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
      const std::int64_t id = requests_.ids()[b], length = requests_.lengths()[b];
      for (std::int64_t p = first_live(length, 4); p < length; ++p) live.push_back(requests_.maps().row(id, p));
    }
    return Observation()
        .add("entry_keys", numbers(keys))
        .add("kv_output", stacked(entries_.values))
        .add("live_rows", gather_rows(state_, live, 4 * tokens_.head_dim()));
  }
  /// Bounds of the entries, in the order of observed().
  [[nodiscard]] HostTensor bounds() const { return stacked(entries_.bounds); }

 private:
  void run_prefill(const Batch& step, const HostTensor& input, bool lens_on_device, const std::string& where,
                   Caller* bounds) {
    const PrefillPlanForm form{.ratio = 4, .lens_on_device = lens_on_device};
    const CallResult plan = make_(where + ", plan", prefill_plan_call(form, step, requests_.maps()));
    const HostTensor plan_c = returned_tensor(plan, 0), plan_w = returned_tensor(plan, 1);
    const auto entries = records_of<layout::CompressPlan>(plan_c);
    const auto tokens = tokens_of(step);
    std::map<Key, std::int64_t> rows;
    for (std::size_t k = 0; k < entries.size(); ++k) {
      if (is_sentinel(entries[k]) || entries[k].ragged_id >= tokens.size()) continue;
      const BatchToken& t = tokens[entries[k].ragged_id];
      rows[{t.id, t.position}] = static_cast<std::int64_t>(k);
    }
    compress(where, "compress_c4_prefill", input, {plan_c, plan_w}, rows, bounds);
  }

  /// Calls a C4 op with these plans and keeps the state that it leaves. `rows` are the output's rows that are entries.
  void compress(const std::string& where, const char* op, const HostTensor& input, const std::vector<HostTensor>& plans,
                const std::map<Key, std::int64_t>& rows, Caller* bounds) {
    const HostTensor output = HostTensor::make(kF32, {plans.front().size(0), tokens_.head_dim()});
    std::vector<Value> values{state_, input, output, tokens_.ape()};
    values.insert(values.end(), plans.begin(), plans.end());
    const Call call = call_of(op, std::move(values), compile_);
    const CallResult result = make_(where, call);
    state_ = result.tensor("kv_buffer");
    collect(rows, result.tensor("kv_output"), entries_.values);
    if (bounds != nullptr) collect(rows, bounded(call, *bounds, "kv_output", kC4BoundReason).bound, entries_.bounds);
  }

  static void collect(const std::map<Key, std::int64_t>& rows, const HostTensor& output, Rows& into) {
    for (const auto& [key, row] : rows) into[key] = gather_rows(output, {row}, output.size(1));
  }

  Make make_;
  C4Tokens tokens_;
  Params compile_;
  GrowingBatch requests_;
  HostTensor state_;
  Entries entries_;
};

Make subject_of(ScenarioContext& x) {
  return [&x](const std::string& where, const Call& call) { return x.call(where, call); };
}

Make reference_of(ScenarioContext& x) {
  return [&x](const std::string& where, const Call& call) {
    CallResult r = x.reference.call(call);
    if (r.refusal) throw Error(fmt::format("{}: the reference refused a valid call: {}", where, *r.refusal));
    return r;
  };
}

/// The same entries and live rows to the bit.
void expect_same(ScenarioContext& x, const std::string& where, const Engine& got, const Engine& want) {
  x.expect_agree(where, got.observed(), want.observed(),
                 {{"kv_output", Tolerance::exact("an entry has the same bits wherever its rows came from")}});
}

/// `engine` against one prefill of all its tokens by the reference: each entry within its own bound, live rows to the
/// bit.
void expect_as_replayed(ScenarioContext& x, const std::string& where, const Batch& requests, const Engine& engine) {
  const std::vector<std::int64_t>& lengths = engine.requests().lengths();
  Engine replay(reference_of(x), x.c, requests, *std::ranges::max_element(lengths));
  replay.prefill(lengths, false, "replay", &x.reference);
  x.expect_agree(where, engine.observed(), replay.observed(),
                 {{"kv_output", Tolerance::within(replay.bounds(), kC4BoundReason)}});
}

/// Prefills up to the batch's lengths in chunks of random sizes up to the parameter `extend`.
void prefill_in_chunks(Engine& engine, const Batch& requests, const Case& c) {
  Random random(c.seed, "chunks");
  for (int chunk = 0;; ++chunk) {
    const auto extend = engine.requests().next_chunk(requests.seq_lens, c.params.integer("extend"), random);
    if (extend.empty()) return;
    engine.prefill(extend, chunk % 2 == 1, fmt::format("chunk {}", chunk));
  }
}

void run_chunked_prefill(ScenarioContext& x) {
  const Batch requests = make_batch(x.c.params, x.c.seed);
  Engine whole(subject_of(x), x.c, requests, requests.longest());
  whole.prefill(requests.seq_lens, false, "one prefill");
  Engine chunks(subject_of(x), x.c, requests, requests.longest());
  prefill_in_chunks(chunks, requests, x.c);
  expect_same(x, "chunks against one prefill", chunks, whole);
  expect_as_replayed(x, "one prefill against the reference", requests, whole);
}

void run_prefill_then_decode(ScenarioContext& x) {
  constexpr int kDecodes = 13;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  Engine engine(subject_of(x), x.c, requests, requests.longest() + kDecodes);
  prefill_in_chunks(engine, requests, x.c);
  for (int step = 0; step < kDecodes; ++step) engine.decode(fmt::format("decode step {}", step));
  expect_as_replayed(x, "after decoding", requests, engine);
}

/// From one state: the next token decoded, and prefilled alone. Entries and live rows must be the same bits.
void run_decode_equals_prefill(ScenarioContext& x) {
  constexpr int kSteps = 9;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  Engine decoding(subject_of(x), x.c, requests, requests.longest() + kSteps);
  decoding.prefill(requests.seq_lens, false, "prefill");
  Engine prefilling = decoding;
  const std::vector<std::int64_t> one(requests.seq_lens.size(), 1);
  for (int step = 0; step < kSteps; ++step) {
    decoding.decode(fmt::format("decode step {}", step));
    prefilling.prefill(one, step % 2 == 1, fmt::format("prefill of one, step {}", step));
  }
  expect_same(x, "decode against prefill of one", decoding, prefilling);
}

/// Verify steps, of which some drafts are rejected, and decode steps in turn: each entry as if the accepted tokens had
/// come one by one.
void run_verify_then_decode(ScenarioContext& x) {
  constexpr int kSteps = 7;
  const std::int64_t drafts = x.c.params.integer("ring") == 16 ? 4 : 2;  // what a ring can take back
  const Batch requests = make_batch(x.c.params, x.c.seed);
  Engine engine(subject_of(x), x.c, requests, requests.longest() + kSteps * (drafts + 1));
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

}  // namespace

std::vector<Scenario> c4_prefill_sequences(const Op& op) {
  const Points points =
      op.at({"batch=4 len=250", "ring=16 fill=steps len=30 extend=3", "head_dim=512 batch=3 len=40 extend=70",
             "head_dim=512 ring=16 fill=cleared batch=3 len=24 extend=5"});
  return {
      sequence("chunked_prefill", "one prefill, and the same in chunks through planner and kernel, give the same bits",
               points, run_chunked_prefill),
      sequence("prefill_then_decode", "prefill in chunks, then decode: each entry as in a serial replay", points,
               run_prefill_then_decode)};
}

std::vector<Scenario> c4_decode_sequences(const Op& op) {
  const Points points = op.at({"batch=5", "ring=16 batch=5 len=250", "head_dim=512 fill=wide batch=3 len=13",
                               "head_dim=512 ring=16 fill=steps batch=3 len=509"});
  return {sequence("decode_equals_prefill", "decoding a token and prefilling it alone give the same bits", points,
                   run_decode_equals_prefill),
          sequence("verify_then_decode",
                   "verify steps that are partly taken back, and decoding: each accepted entry as in a serial replay",
                   points, run_verify_then_decode)};
}

}  // namespace dsv4
