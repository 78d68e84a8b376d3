#include "harness/ops/compress/c4_sequences.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/core/error.h"
#include "harness/generate/random.h"
#include "harness/op/scenarios.h"
#include "harness/ops/compress/c4_data.h"
#include "harness/ops/compress/plan_calls.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;

using Key = std::pair<std::int64_t, std::int64_t>;  ///< request id, position of the entry's last token

/// Entries by request and position: what calls of any schedule can be compared by.
struct Entries {
  std::map<Key, std::vector<float>> values;
  std::map<Key, std::vector<float>> bounds;  ///< where a reference computed them
};

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
        ids_(requests.request_ids),
        lengths_(ids_.size(), 0),
        maps_(make_maps(ids_, std::vector<std::int64_t>(ids_.size(), longest), pool_size(requests.size()), longest,
                        kC4CachePage, c.params.integer("ring"), true, c.seed)),
        state_(tokens_.unwritten_state(maps_.rows())) {}

  [[nodiscard]] std::int64_t length(std::size_t b) const { return lengths_[b]; }
  [[nodiscard]] const Entries& entries() const { return entries_; }
  [[nodiscard]] const HostTensor& state() const { return state_; }
  void set_state(const HostTensor& state, const std::vector<std::int64_t>& lengths) {
    state_ = state;
    lengths_ = lengths;
  }
  [[nodiscard]] const std::vector<std::int64_t>& lengths() const { return lengths_; }
  /// f32 [n, 4H]: the state rows that later entries look at, request after request.
  [[nodiscard]] HostTensor live_rows() const {
    std::vector<std::int64_t> rows;
    for (std::size_t b = 0; b < ids_.size(); ++b) {
      for (std::int64_t p = first_live(lengths_[b], 4); p < lengths_[b]; ++p) rows.push_back(maps_.row(ids_[b], p));
    }
    return gather_rows(state_, rows, 4 * tokens_.head_dim());
  }

  /// Prefills `extend[b]` more tokens of each request. Bounds are computed if `bounds` is a reference.
  void prefill(const std::vector<std::int64_t>& extend, bool lens_on_device, const std::string& where,
               Caller* bounds = nullptr) {
    Batch batch;
    for (std::size_t b = 0; b < extend.size(); ++b) {
      lengths_[b] += extend[b];
      if (extend[b] == 0) continue;
      batch.request_ids.push_back(ids_[b]);
      batch.seq_lens.push_back(lengths_[b]);
      batch.extend_lens.push_back(extend[b]);
    }
    if (batch.size() != 0) run_prefill(batch, tokens_.input(batch), lens_on_device, where, bounds);
  }

  /// Verifies `drafts` more tokens of each request, of which the first `accepted[b]` stay. The others are taken back,
  /// with their entries.
  void verify(std::int64_t drafts, const std::vector<std::int64_t>& accepted, const std::string& where) {
    Batch batch{ids_, lengths_, std::vector<std::int64_t>(ids_.size(), drafts)};
    for (std::size_t b = 0; b < ids_.size(); ++b) {
      batch.seq_lens[b] += drafts;
      lengths_[b] += accepted[b];
    }
    run_prefill(batch, tokens_.input(batch, lengths_), true, where, nullptr);
    for (std::size_t b = 0; b < ids_.size(); ++b) {
      std::erase_if(entries_.values,
                    [&](const auto& e) { return e.first.first == ids_[b] && e.first.second >= lengths_[b]; });
    }
  }

  /// Decodes one token of each request.
  void decode(const std::string& where) {
    Batch batch{ids_, {}, std::vector<std::int64_t>(ids_.size(), 1)};
    for (std::int64_t& n : lengths_) ++n;
    batch.seq_lens = lengths_;
    const CallResult plan = make_(where + ", plan", decode_plan_call(4, batch, maps_));
    const HostTensor output = HostTensor::make(DType::kF32, {batch.size(), tokens_.head_dim()});
    const Call call =
        call_of("compress_c4_decode", {state_, tokens_.input(batch), output, tokens_.ape(), returned_tensor(plan, 0)},
                compile_);
    const CallResult result = make_(where, call);
    state_ = result.tensor("kv_buffer");
    for (std::size_t b = 0; b < ids_.size(); ++b) {
      if (lengths_[b] % 4 == 0) collect({ids_[b], lengths_[b] - 1}, b, result, HostTensor());
    }
  }

 private:
  void run_prefill(const Batch& batch, const HostTensor& input, bool lens_on_device, const std::string& where,
                   Caller* bounds) {
    const CallResult plan =
        make_(where + ", plan", prefill_plan_call({.ratio = 4, .lens_on_device = lens_on_device}, batch, maps_));
    const HostTensor plan_c = returned_tensor(plan, 0), plan_w = returned_tensor(plan, 1);
    const HostTensor output = HostTensor::make(DType::kF32, {plan_c.size(0), tokens_.head_dim()});
    const Call call = call_of("compress_c4_prefill", {state_, input, output, tokens_.ape(), plan_c, plan_w}, compile_);
    const CallResult result = make_(where, call);
    state_ = result.tensor("kv_buffer");
    Observation ignored;
    const auto rows = records_of<CompressPlan>(plan_c, "plan_c", ignored);
    const auto tokens = tokens_of(batch);
    const HostTensor bound = bounds == nullptr ? HostTensor() : bound_of(call, *bounds);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      if (is_sentinel(rows[k]) || rows[k].ragged_id >= tokens.size()) continue;
      const BatchToken& t = tokens[rows[k].ragged_id];
      collect({batch.request_ids[static_cast<std::size_t>(t.request)], t.position}, k, result, bound);
    }
  }

  void collect(const Key& key, std::size_t row, const CallResult& result, const HostTensor& bound) {
    const auto row_of = [&](const HostTensor& t) {
      const float* first = &t.at<float>(row, 0);
      return std::vector<float>(first, first + t.size(1));
    };
    entries_.values[key] = row_of(result.tensor("kv_output"));
    if (bound.rank() == 2) entries_.bounds[key] = row_of(bound);
  }

  Make make_;
  C4Tokens tokens_;
  Params compile_;
  std::vector<std::int64_t> ids_;
  std::vector<std::int64_t> lengths_;
  CacheMaps maps_;
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

HostTensor stacked(const std::map<Key, std::vector<float>>& rows) {
  const std::int64_t width = rows.empty() ? 0 : std::ssize(rows.begin()->second);
  HostTensor t = HostTensor::make(DType::kF32, {std::ssize(rows), width});
  std::int64_t i = 0;
  for (const auto& [key, row] : rows) std::copy(row.begin(), row.end(), &t.at<float>(i++, 0));
  return t;
}

/// The keys as an output: which entries there are is compared too, and a report's row number can be read.
HostTensor keys_of(const std::map<Key, std::vector<float>>& rows) {
  std::vector<std::int64_t> keys;
  for (const auto& [key, row] : rows) keys.insert(keys.end(), {key.first, key.second});
  return numbers(keys);
}

Observation observed(const Entries& entries, const Engine& engine) {
  Observation o;
  o.add("entry_keys", keys_of(entries.values));
  o.add("kv_output", stacked(entries.values));
  o.add("live_rows", engine.live_rows());
  return o;
}

/// The same entries and live rows to the bit.
void expect_same(ScenarioContext& x, const std::string& where, const Observation& got, const Observation& want) {
  x.expect_agree(where, got, want,
                 {{"kv_output", Tolerance::exact("an entry has the same bits wherever its rows came from")}});
}

/// `engine` against one prefill of all its tokens by the reference: entries each within its own bound, live rows to the
/// bit.
void expect_as_replayed(ScenarioContext& x, const std::string& where, const Batch& requests, const Engine& engine) {
  Engine replay(reference_of(x), x.c, requests, *std::ranges::max_element(engine.lengths()));
  replay.prefill(engine.lengths(), false, "replay", &x.reference);
  x.expect_agree(where, observed(engine.entries(), engine), observed(replay.entries(), replay),
                 {{"kv_output", Tolerance::within(stacked(replay.entries().bounds), kC4BoundReason)}});
}

/// Prefills up to the batch's lengths in chunks of random sizes up to the parameter `extend`.
void prefill_in_chunks(Engine& engine, const Batch& requests, std::int64_t most, std::uint64_t seed) {
  Random random(seed, "chunks");
  for (int chunk = 0;; ++chunk) {
    std::vector<std::int64_t> extend;
    for (std::size_t b = 0; b < requests.seq_lens.size(); ++b) {
      extend.push_back(std::min(requests.seq_lens[b] - engine.length(b), random.between(1, most)));
    }
    if (std::ranges::all_of(extend, [](std::int64_t n) { return n == 0; })) return;
    engine.prefill(extend, chunk % 2 == 1, fmt::format("chunk {}", chunk));
  }
}

void run_chunked_prefill(ScenarioContext& x) {
  const Batch requests = make_batch(x.c.params, x.c.seed);
  Engine whole(subject_of(x), x.c, requests, requests.longest());
  whole.prefill(requests.seq_lens, false, "one prefill");
  Engine chunks(subject_of(x), x.c, requests, requests.longest());
  prefill_in_chunks(chunks, requests, x.c.params.integer("extend"), x.c.seed);
  expect_same(x, "chunks against one prefill", observed(chunks.entries(), chunks), observed(whole.entries(), whole));
  expect_as_replayed(x, "one prefill against the reference", requests, whole);
}

void run_prefill_then_decode(ScenarioContext& x) {
  constexpr int kDecodes = 13;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  Engine engine(subject_of(x), x.c, requests, requests.longest() + kDecodes);
  prefill_in_chunks(engine, requests, x.c.params.integer("extend"), x.c.seed);
  for (int step = 0; step < kDecodes; ++step) engine.decode(fmt::format("decode step {}", step));
  expect_as_replayed(x, "after decoding", requests, engine);
}

/// From one state: the next token decoded, and prefilled alone. Outputs and live rows must be the same bits.
void run_decode_equals_prefill(ScenarioContext& x) {
  constexpr int kSteps = 9;
  const Batch requests = make_batch(x.c.params, x.c.seed);
  Engine decoding(subject_of(x), x.c, requests, requests.longest() + kSteps);
  decoding.prefill(requests.seq_lens, false, "prefill");
  Engine prefilling(subject_of(x), x.c, requests, requests.longest() + kSteps);
  prefilling.set_state(decoding.state(), decoding.lengths());
  const std::vector<std::int64_t> one(requests.seq_lens.size(), 1);
  for (int step = 0; step < kSteps; ++step) {
    decoding.decode(fmt::format("decode step {}", step));
    prefilling.prefill(one, step % 2 == 1, fmt::format("prefill of one, step {}", step));
  }
  Entries decoded;  // without those of the first prefill
  for (const auto& [key, row] : prefilling.entries().values) {
    const auto it = decoding.entries().values.find(key);
    if (it != decoding.entries().values.end()) decoded.values[key] = it->second;
  }
  expect_same(x, "decode against prefill of one", observed(decoded, decoding),
              observed(prefilling.entries(), prefilling));
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
