#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"
#include "harness/ops/compress/slot_map.h"

namespace dsv4 {
namespace {

/// Requests that grow step by step. The set under test plans each step, and a slot map checks each plan.
class History {
 public:
  History(ScenarioContext& x, const Batch& requests, std::int64_t longest)
      : x_(x),
        ratio_(x.c.params.integer("ratio")),
        slots_(ratio_),
        requests_(requests, longest, x.c.params, x.c.seed) {}

  [[nodiscard]] const GrowingBatch& requests() const { return requests_; }

  /// Plans `extend[b]` more tokens of request b.
  void prefill(const std::vector<std::int64_t>& extend, const std::string& where) {
    const Batch batch = requests_.grow(extend);
    const PrefillPlanForm form{.ratio = ratio_,
                               .lens_on_device = x_.c.params.is("lens", "device"),
                               .use_cuda_graph = x_.c.params.flag("graph")};
    const Call call = prefill_plan_call(form, batch, requests_.maps());
    const CallResult result = x_.call(where, call);
    fail_each(x_, observe_prefill_plan(call, result).findings);
    slots_.begin(where);
    slots_.read(batch, records_of<layout::CompressPlan>(returned_tensor(result, 0)));
    slots_.write(batch, records_of<layout::WritePlan>(returned_tensor(result, 1)));
    fail_each(x_, slots_.take_findings());
  }

  /// Plans a decode step with plan_decode: one token of each request.
  void decode(const std::string& where) {
    const Batch batch = requests_.grow(1);
    const CallResult result = x_.call(where, decode_plan_call(ratio_, batch, requests_.maps()));
    const HostTensor plan = returned_tensor(result, 0);
    fail_each(x_, observe_decode_plan(batch, ratio_, requests_.maps().rows(), plan).findings);
    slots_.begin(where);
    slots_.decode(batch, records_of<layout::DecodePlan>(plan));
    fail_each(x_, slots_.take_findings());
  }

  /// Removes the last `tokens` tokens of request b.
  void take_back(std::size_t b, std::int64_t tokens) {
    requests_.take_back(b, tokens);
    slots_.take_back(requests_.ids()[b], requests_.lengths()[b]);
  }

  /// Checks that the state holds the rows that later entries need, and those that requests with the same prefix need.
  void check_kept(const std::string& where) {
    slots_.begin(where);
    const CacheMaps& maps = requests_.maps();
    for (std::size_t b = 0; b < requests_.ids().size(); ++b) {
      const std::int64_t id = requests_.ids()[b], length = requests_.lengths()[b];
      slots_.check_live(id, length, maps.row_of());
      if (ratio_ == 4) slots_.check_page_tails(id, length, maps.page_size, maps.row_of());
    }
    fail_each(x_, slots_.take_findings());
    x_.compared(slots_.checked());
  }

 private:
  ScenarioContext& x_;
  std::int64_t ratio_;
  SlotMap slots_;
  GrowingBatch requests_;
};

void rollback(ScenarioContext& x) {
  constexpr int kSteps = 16;
  const std::int64_t drafts = x.c.params.integer("extend");
  const Batch start = make_batch(x.c.params, x.c.seed);
  History history(x, start, start.longest() + kSteps * drafts);
  history.prefill(start.seq_lens, "prefill");
  Random random(x.c.seed, "accepted");
  const std::vector<std::int64_t> verify(start.seq_lens.size(), drafts);
  for (int step = 0; step < kSteps; ++step) {
    history.prefill(verify, fmt::format("verify step {}", step));
    for (std::size_t b = 0; b < verify.size(); ++b) history.take_back(b, drafts - random.between(1, drafts));
    history.check_kept(fmt::format("after verify step {}", step));
  }
}

void chunked_plans(ScenarioContext& x) {
  constexpr int kDecodes = 12;
  const Batch whole = make_batch(x.c.params, x.c.seed);
  History history(x, whole, whole.longest() + kDecodes);
  Random random(x.c.seed, "chunks");
  const auto next = [&] { return history.requests().next_chunk(whole.seq_lens, x.c.params.integer("extend"), random); };
  int chunk = 0;
  for (auto extend = next(); !extend.empty(); extend = next(), ++chunk) {
    history.prefill(extend, fmt::format("chunk {}", chunk));
    history.check_kept(fmt::format("after chunk {}", chunk));
  }
  for (int step = 0; step < kDecodes; ++step) {
    history.decode(fmt::format("decode step {}", step));
    history.check_kept(fmt::format("after decode step {}", step));
  }
}

}  // namespace

std::vector<Scenario> plan_prefill_sequences(const Op& op) {
  return {
      sequence("rollback",
               "a verify step of `extend` drafts, of which at least one is accepted, loses no row that later "
               "entries need",
               op.at({"lens=device graph=1 batch=9 len=1 extend=2 mix=uniform",
                      "ring=16 lens=device graph=1 batch=9 len=250 extend=4 mix=uniform",
                      "ring=16 batch=9 len=13 extend=4 mix=uniform",
                      "ratio=128 ring=128 lens=device graph=1 batch=9 len=120 extend=1 mix=uniform",
                      // All forty requests pass position 128. With so many, some step takes a request beyond 128, and
                      // then rejects the drafts there.
                      "ratio=128 ring=256 lens=device graph=1 batch=40 len=90 extend=4 mix=uniform",
                      "ratio=128 ring=256 batch=40 len=90 extend=4 mix=uniform"}),
               rollback),
      sequence(
          "chunked_prefill",
          "prefill in chunks, then decode: each entry finds its window in the state. Live rows and rows of page "
          "ends stay there",
          op.at({"len=530 extend=70", "ring=16 lens=device graph=1 len=270 extend=9",
                 "ratio=128 ring=128 len=530 extend=200", "ratio=128 ring=256 lens=device graph=1 len=390 extend=70"}),
          chunked_plans)};
}

}  // namespace dsv4
