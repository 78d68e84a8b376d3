/// compress_c4_prefill: the entries of ratio 4 that a prefill batch completes, and the rows that it keeps in the state.
///
/// Entries are judged by the error bound that the reference computes beside each value; kept rows are copies, to the
/// bit. What is not live in the state is NaN, so that a read too many shows.
#include <fmt/format.h>

#include <algorithm>

#include "harness/case/covering.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/op/far.h"
#include "harness/op/op.h"
#include "harness/ops/compress/c4_contracts.h"
#include "harness/ops/compress/c4_data.h"
#include "harness/ops/compress/c4_sequences.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::WritePlan;

Params point(std::int64_t head_dim, std::int64_t ring, const char* fill, const char* order, std::int64_t batch,
             std::int64_t len, const char* spread, std::int64_t extend, const char* mix, std::int64_t slack) {
  return Params()
      .set("head_dim", head_dim)
      .set("ring", ring)
      .set("fill", fill)
      .set("order", order)
      .set("batch", batch)
      .set("len", len)
      .set("spread", spread)
      .set("extend", extend)
      .set("mix", mix)
      .set("slack", slack);
}

/// The plan with its entries in random order and `slack` sentinels behind them, where the case says so.
template <class Record>
HostTensor arranged(std::vector<Record> records, const Record& sentinel, const Case& c, const char* stream) {
  if (c.params.is("order", "shuffled")) {
    const auto order = Random(c.seed, stream).permutation(std::ssize(records));
    std::vector<Record> shuffled;
    for (const std::int64_t i : order) shuffled.push_back(records[static_cast<std::size_t>(i)]);
    records = std::move(shuffled);
  }
  records.insert(records.end(), static_cast<std::size_t>(c.params.integer("slack")), sentinel);
  return plan_tensor(records);
}

/// Rows of the plan that are entries, in token order.
template <class Record>
std::vector<std::int64_t> entries_in_token_order(const std::vector<Record>& plan) {
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (!is_sentinel(plan[i])) rows.push_back(static_cast<std::int64_t>(i));
  }
  std::ranges::sort(rows, {},
                    [&](std::int64_t i) { return std::uint32_t{plan[static_cast<std::size_t>(i)].ragged_id}; });
  return rows;
}

/// Two plans, each with rows in any order and sentinels among them.
C4Written written_by(const Call& call) {
  Observation ignored;
  C4Written written;
  written.entries = entries_in_token_order(records_of<CompressPlan>(call.tensor("plan_c"), "plan_c", ignored));
  const auto writes = records_of<WritePlan>(call.tensor("plan_w"), "plan_w", ignored);
  for (const std::int64_t i : entries_in_token_order(writes))
    written.kept.push_back(writes[static_cast<std::size_t>(i)].write_loc);
  return written;
}

class CompressC4Prefill final : public Op {
 public:
  CompressC4Prefill()
      : Op([] {
          OpInfo info{.name = "compress_c4_prefill",
                      .family = "compress",
                      .summary = "compressed entries of ratio 4 that a prefill batch completes, and the rows it keeps",
                      .upstream = "compress_forward, ratio 4, prefill",
                      .abis = {"compress_c4_prefill/1"},
                      .space = {ParamSpec::choice("head_dim", {"128", "512"}, "columns of an entry"),
                                ParamSpec::choice("ring", {"8", "16"}, "state rows per cache page"),
                                ParamSpec::choice("fill", c4_fills(), "values of kv, scores and bias"),
                                ParamSpec::choice("order", {"token", "shuffled"},
                                                  "order of the plans' entries: as planned on the host, or any")},
                      .host_note = "the fast exponential and division of the GPU"};
          for (ParamSpec& spec : prefill_batch_params()) info.space.add(std::move(spec));
          info.space.add(
              ParamSpec::integer("slack", 0, 65535, "sentinels behind the entries of both plans", {0, 1, 5}));
          return info;
        }()) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    const std::int64_t tokens = p.integer("batch") * p.integer("extend") + (p.is("mix", "last_differs") ? 1 : 0);
    if (tokens + p.integer("slack") > kMostPlanTokens)
      return fmt::format("a plan numbers at most {} tokens", kMostPlanTokens);
    return reject_c4(p);
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point(128, 8, "gauss", "token", 5, 21, "stagger", 9, "mixed", 0),
              point(512, 16, "gauss", "shuffled", 4, 9, "stagger", 7, "uniform", 3),
              point(128, 8, "equal", "shuffled", 9, 250, "stagger", 10, "uniform", 0)};
    }
    std::vector<Params> all;
    const auto valid = [this](const Params& p) { return !reject(p); };
    if (tier == Tier::kQuick) {
      all = pairwise(
          {integers("head_dim", {128, 512}), integers("ring", {8, 16}), words("fill", c4_fills()),
           words("order", {"token", "shuffled"}), integers("batch", {9}), integers("len", {1, 4, 12, 252, 509}),
           words("spread", {"stagger", "random"}), integers("extend", {1, 2, 3, 4, 5, 7, 8, 9, 33}),
           words("mix", {"uniform", "mixed", "some_empty"}), integers("slack", {0, 5})},
          valid);
      for (const std::string& fill : c4_fills()) {
        all.push_back(point(128, 8, fill.c_str(), "token", 3, 300, "stagger", 260, "mixed", 0));
        all.push_back(point(512, 8, fill.c_str(), "shuffled", 2, 60, "stagger", 50, "uniform", 1));
      }
      return all;
    }
    for (const std::int64_t head_dim : {128, 512}) {
      for (const char* fill : {"gauss", "steps", "wide"}) {
        all.push_back(point(head_dim, 8, fill, "token", 1, 2048, "same", 2048, "uniform", 0));
        all.push_back(point(head_dim, 16, fill, "shuffled", 7, 3000, "random", 300, "mixed", 100));
        all.push_back(point(head_dim, 16, fill, "token", 64, 1000, "random", 8, "uniform", 0));
      }
    }
    all.push_back(point(128, 8, "gauss", "token", 1, 65535, "same", 8192, "uniform", 0));
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    const C4Tokens tokens(p, c.seed);
    const CacheMaps maps = make_maps(batch.request_ids, batch.seq_lens, pool_size(batch.size()), batch.longest(),
                                     kC4CachePage, p.integer("ring"), true, c.seed);
    const RowOf row = [&](std::int64_t id, std::int64_t position) { return maps.row(id, position); };
    auto entries = model_compress_plan(batch, 4, row);
    for (CompressPlan& e : entries) {
      // What a planner leaves in fields that nobody reads.
      if (!reads_page_before(e, 4)) e.read_page_0 = -1;
      if (!reads_own_page(e, 4)) e.read_page_1 = 0;
    }
    const auto writes = model_write_plan(batch, 4, std::min<std::int64_t>(p.integer("ring") - 4, 4), kC4CachePage, row);
    HostTensor state = tokens.unwritten_state(maps.rows());
    std::vector<std::int64_t> prefixes;
    for (std::int64_t b = 0; b < batch.size(); ++b) prefixes.push_back(batch.prefix(b));
    tokens.put_live(state, batch.request_ids, prefixes, row);

    HostTensor plan_w = arranged(writes, layout::kNoWrite, c, "plan_w order");
    // A plan has no more rows than the batch: the batch is padded as its plans are.
    HostTensor input = HostTensor::make(DType::kF32, {std::max(batch.tokens(), plan_w.size(0)), 4 * tokens.head_dim()});
    poison(input);
    const HostTensor rows = tokens.input(batch);
    std::copy(rows.storage.begin(), rows.storage.end(), input.storage.begin());
    const HostTensor plan_c = arranged(entries, layout::kNoCompress, c, "plan_c order");
    const HostTensor output = HostTensor::make(DType::kF32, {plan_c.size(0), tokens.head_dim()});
    Call call{"compress_c4_prefill",
              "",
              c4_compile(p),
              {inout("kv_buffer", state), in("kv_input", input), out("kv_output", output), in("ape", tokens.ape()),
               in("plan_c", plan_c), in("plan_w", plan_w)}};
    set_c4_footprints(call, written_by(call));
    return call;
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_c4(result, written_by(call));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return c4_tolerances(call, written_by(call), reference);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto row_bytes = 16.0 * static_cast<double>(call.tensor("ape").size(1));
    const C4Written written = written_by(call);
    const auto entries = static_cast<double>(written.entries.size());
    const auto kept = static_cast<double>(written.kept.size());
    const double of_entries = entries * ((kC4EntryRows + kC4EntryWidth) * row_bytes + sizeof(layout::CompressPlan));
    // A kept row is read and written; the bias takes two.
    return {.bytes = of_entries + kept * (2 * row_bytes + sizeof(layout::WritePlan)) + 2 * row_bytes,
            .flops = entries * row_bytes / 16 * kC4ColumnFlops};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

std::vector<Scenario> CompressC4Prefill::scenarios() const {
  std::vector<Scenario> list;
  Contracts contracts(list, only({point(128, 8, "gauss", "token", 5, 21, "stagger", 9, "mixed", 0)}));
  add_c4_contracts(contracts, {"plan_c", "plan_w"});
  contracts.reshaped("input_width", "input rows of another width are refused", "kv_input", [](Shape& s) { s[1] -= 4; });
  contracts.reshaped("output_width", "output rows of another width are refused", "kv_output",
                     [](Shape& s) { s[1] *= 4; });
  contracts.reshaped("plan_c_of_8_bytes", "a write plan in the place of the compress plan is refused", "plan_c",
                     [](Shape& s) { s[1] = 8; });
  contracts.reshaped("plan_w_of_16_bytes", "a compress plan in the place of the write plan is refused", "plan_w",
                     [](Shape& s) { s[1] = 16; });
  contracts.refused("more_rows_kept_than_tokens", "more kept rows than the batch has tokens are refused", "plan_w",
                    [](Call& call) {
                      HostTensor& plan = call.arg("plan_w").tensor();
                      const std::int64_t rows = call.tensor("kv_input").size(0) + 1;
                      plan = plan_tensor(std::vector<WritePlan>(static_cast<std::size_t>(rows), layout::kNoWrite));
                    });
  contracts.edge("nothing_to_do", "plans without rows: nothing is written, or a clean refusal", [](Call& call) {
    call.arg("plan_c").tensor() = HostTensor::make(DType::kU8, {0, 16});
    call.arg("plan_w").tensor() = HostTensor::make(DType::kU8, {0, 8});
    call.arg("kv_output").tensor() = HostTensor::make(DType::kF32, {0, 128});
    set_c4_footprints(call, {});
  });
  contracts.edge("sentinels_only", "plans of nothing but sentinels write nothing", [](Call& call) {
    call.arg("plan_c").tensor() = plan_tensor(std::vector<CompressPlan>(6, layout::kNoCompress));
    call.arg("plan_w").tensor() = plan_tensor(std::vector<WritePlan>(6, layout::kNoWrite));
    call.arg("kv_output").tensor() = HostTensor::make(DType::kF32, {6, 128});
    set_c4_footprints(call, {});
  });
  list.push_back(far_relation("kv_buffer", "pages of the state beyond 2^32 elements",
                              only({point(128, 8, "gauss", "token", 5, 21, "stagger", 9, "mixed", 0),
                                    point(512, 16, "gauss", "shuffled", 4, 9, "stagger", 7, "uniform", 3)}),
                              [](Call& call) {
                                const auto far = spread_state(call);
                                Observation ignored;
                                auto entries = records_of<CompressPlan>(call.tensor("plan_c"), "plan_c", ignored);
                                for (CompressPlan& e : entries) {
                                  e.read_page_0 = far_state_page(far, e.read_page_0);
                                  e.read_page_1 = far_state_page(far, e.read_page_1);
                                }
                                auto writes = records_of<WritePlan>(call.tensor("plan_w"), "plan_w", ignored);
                                for (WritePlan& w : writes) w.write_loc = far_state_row(far, w.write_loc);
                                call.arg("plan_c").tensor() = plan_tensor(entries);
                                call.arg("plan_w").tensor() = plan_tensor(writes);
                              }));
  for (Scenario& s : c4_prefill_sequences()) list.push_back(std::move(s));
  return list;
}

DSV4_REGISTER_OP(CompressC4Prefill);

}  // namespace
}  // namespace dsv4
