/// compress_norm_rope_store after the ops that make its arguments: a planner, and a compressor.
#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/elementwise/compress_norm_rope_store_scenarios.h"
#include "harness/ops/elementwise/store_engine.h"

namespace dsv4 {
namespace {

using Lengths = std::vector<std::int64_t>;

const std::vector<std::int64_t> kIds{2, 0, 4};

/// The form of the case's ratio. A wide ring has room for the drafts of a verify step.
StoreForm form_of(const Case& c, bool wide_ring = false) {
  const std::int64_t ratio = c.params.integer("ratio"), narrow = ratio == 4 ? 8 : 128;
  return {.ratio = ratio, .ring = wide_ring ? 2 * narrow : narrow};
}

/// Lengths at which the requests have these many groups. So every token is in an entry.
Lengths groups(const Case& c, std::initializer_list<std::int64_t> counts) {
  Lengths lengths;
  for (const std::int64_t n : counts) lengths.push_back(n * c.params.integer("ratio"));
  return lengths;
}

void decode_to(StoreEngine& engine, const Lengths& goal) {
  for (int step = 0; engine.requests().lengths() != goal; ++step)
    engine.decode(goal, fmt::format("decode step {}", step));
}

/// Both engines must have stored the same bytes for all entries.
void expect_same(ScenarioContext& x, const std::string& where, const StoreEngine& got, const StoreEngine& want) {
  const Observation expected = want.read_back();
  Tolerances exact;
  for (const Output& output : expected.outputs)
    exact[output.name] = Tolerance::exact("a stored entry does not depend on the step that stores it");
  x.expect_agree(where, got.read_back(), expected, exact);
}

void run_store_steps(ScenarioContext& x) {
  const Lengths goal = groups(x.c, {2, 3, 5});
  StoreEngine whole(x, form_of(x.c), kIds, goal.back());
  whole.prefill(goal, "one prefill");
  StoreEngine steps(x, form_of(x.c), kIds, goal.back());
  steps.prefill({goal[0] - 3, goal[1] - 6, goal[2] - 7}, "first prefill");
  decode_to(steps, goal);
  expect_same(x, "steps against one prefill", steps, whole);
}

void run_store_chunks(ScenarioContext& x) {
  const Lengths goal = groups(x.c, {3, 1, 4});
  StoreEngine whole(x, form_of(x.c), kIds, goal.back());
  whole.prefill(goal, "one prefill");
  StoreEngine chunks(x, form_of(x.c), kIds, goal.back());
  Random random(x.c.seed, "chunks");
  const std::int64_t most = goal.back() / 3;
  for (int chunk = 0;; ++chunk) {
    const Lengths extend = chunks.requests().next_chunk(goal, most, random);
    if (extend.empty()) break;
    chunks.prefill(extend, fmt::format("chunk {}", chunk));
  }
  expect_same(x, "chunks against one prefill", chunks, whole);
}

/// Each verify step keeps some of its drafts. The entries of rejected drafts are replaced by later ones.
void run_store_verify(ScenarioContext& x) {
  constexpr std::int64_t kDrafts = 4;
  const Lengths goal = groups(x.c, {3, 3, 4});
  StoreEngine whole(x, form_of(x.c), kIds, goal.back() + kDrafts);
  whole.prefill(goal, "one prefill");
  StoreEngine steps(x, form_of(x.c, true), kIds, goal.back() + kDrafts);
  steps.prefill({goal[0] - 10, goal[1] - 9, goal[2] - 11}, "prefill");
  Random random(x.c.seed, "accepted");
  for (int step = 0; steps.requests().lengths() != goal; ++step) {
    Lengths accepted;
    for (std::size_t b = 0; b < goal.size(); ++b)
      accepted.push_back(std::min(random.between(1, kDrafts - 1), goal[b] - steps.requests().lengths()[b]));
    steps.verify(kDrafts, accepted, fmt::format("verify step {}", step));
  }
  expect_same(x, "verify steps against one prefill", steps, whole);
}

/// The second request begins with a page of the first one, and the third with another page of it. All go on in their
/// own way.
void run_store_shared_prefix(ScenarioContext& x) {
  const std::int64_t page = x.c.params.integer("ratio") == 4 ? 32 : 256, group = x.c.params.integer("ratio");
  const Lengths goal{2 * page + group, page + 2 * group, 2 * page + 2 * group};
  const auto begin = [&](StoreEngine& engine, bool cached) {
    engine.share(0, 1, page, cached);
    engine.share(0, 2, 2 * page, cached);
  };
  StoreEngine whole(x, form_of(x.c), kIds, goal.back());
  begin(whole, false);
  whole.prefill(goal, "each request for itself");
  StoreEngine shared(x, form_of(x.c), kIds, goal.back());
  shared.prefill({goal[0], 0, 0}, "first request");
  begin(shared, true);
  shared.prefill({0, goal[1] - page - 3, goal[2] - 2 * page - 3}, "requests with shared prefixes");
  decode_to(shared, goal);
  expect_same(x, "shared prefixes against requests for themselves", shared, whole);
}

void run_store_slot_reuse(ScenarioContext& x) {
  const Lengths earlier = groups(x.c, {4, 2, 4}), goal = groups(x.c, {3, 4, 2});
  const std::vector<std::int64_t> later{4, 2, 0};
  StoreEngine fresh(x, form_of(x.c), later, earlier.back());
  fresh.prefill(goal, "one prefill");
  StoreEngine before(x, form_of(x.c), kIds, earlier.back());
  before.prefill(earlier, "earlier requests");
  StoreEngine reused(before, later, 1);
  reused.prefill({goal[0] - 2, goal[1] - 1, goal[2] - 5}, "later requests");
  decode_to(reused, goal);
  expect_same(x, "later requests in used slots against a fresh cache", reused, fresh);
}

/// Online compression gives other bits if a group comes in several steps. So each step is compared by itself.
void run_store_online(ScenarioContext& x) {
  const StoreForm form{.ratio = 128, .online = true, .ring = 1};
  const Lengths goal{128, 384, 256};
  StoreEngine engine(x, form, kIds, 384);
  engine.prefill({100, 300, 120}, "first prefill");
  engine.prefill({24, 80, 132}, "second prefill");
  decode_to(engine, goal);
}

}  // namespace

std::vector<Scenario> compress_norm_rope_store_sequences(const Op& op) {
  const Points both = op.at({"weight=gauss", "layout=indexer weight=gauss"},
                            {"layout=indexer_fp4 weight=gauss", "ratio=128 page=2 weight=gauss table=700"});
  const Points long_ones = op.at({"weight=gauss"}, {"ratio=128 page=2 weight=gauss table=900"});
  return {
      sequence("plan_compress_store", "entries of one prefill, and of a prefill and decode steps, have the same bytes",
               both, run_store_steps),
      sequence("store_chunks", "entries of one prefill, and of a prefill in chunks, have the same bytes", both,
               run_store_chunks),
      sequence("store_verify",
               "verify steps that reject drafts replace the drafts' entries, and give the bytes of one prefill", both,
               run_store_verify),
      sequence("store_shared_prefix",
               "requests that begin with the cached tokens of another one have the bytes of requests for themselves",
               long_ones, run_store_shared_prefix),
      sequence("store_slot_reuse", "requests in the slots of earlier ones have the bytes of a fresh cache", long_ones,
               run_store_slot_reuse),
      sequence("store_online", "entries of online compression are stored as the reference stores them",
               op.at({"ratio=128 page=2 weight=gauss table=700"}), run_store_online)};
}

}  // namespace dsv4
