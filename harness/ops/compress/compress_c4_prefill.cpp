/// compress_c4_prefill: the entries of ratio 4 that a prefill batch completes, and the rows that it keeps in the state.
///
/// Entries are judged by the error bound that the reference computes beside each value; kept rows are copies, to the
/// bit. What is not live in the state is NaN, so that a read too many shows.
#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/compress/c4_data.h"
#include "harness/ops/compress/c4_sequences.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::WritePlan;

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
C4Written written_by_prefill(const Call& call) {
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
      : Op({
            .name = "compress_c4_prefill",
            .family = "compress",
            .summary = "compressed entries of ratio 4 that a prefill batch completes, and the rows it keeps",
            .upstream = "compress_forward, ratio 4, prefill",
            .space = c4_space()
                         .with({word("order", {"token", "shuffled"},
                                     "order of the plans' entries: as planned on the host, or any")})
                         .with(prefill_batch({.usual = 5, .quick = {9}}, {.usual = 21, .quick = {1, 4, 12, 252, 509}},
                                             {.usual = 9, .quick = {1, 2, 3, 4, 5, 7, 8, 9, 33}}))
                         .with({number("slack", 0, 65535, "sentinels behind the entries of both plans",
                                       {.quick = {0, 5}, .soak = {0, 1, 5}})}),
            .signature = {{inout("kv_buffer", {kF32}, "pages 4:page width",
                                 {.names = {{"page", "state_page"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "tokens width", {.names = {{"width", "input_width"}}}),
                           out("kv_output", {kF32}, "entries:rows head_dim:width",
                               {.names = {{"rows", "output_rows"}, {"width", "output_width"}}}),
                           in("ape", {kF32}, "8:rows head_dim"), in("plan_c", {kU8}, "entries:rows 16:bytes"),
                           in("plan_w", {kU8}, "kept 8:bytes")}},
            .smoke = {"", "head_dim=512 ring=16 order=shuffled batch=4 len=9 extend=7 mix=uniform slack=3",
                      "fill=equal order=shuffled batch=9 len=250 extend=10 mix=uniform"},
            .quick = joined({{"cover spread=stagger|random mix=uniform|mixed|some_empty"},
                             each({"fill={} batch=3 len=300 extend=260",
                                   "head_dim=512 fill={} order=shuffled batch=2 len=60 extend=50 mix=uniform slack=1"},
                                  c4_fills())}),
            .full =
                joined({each(each({"head_dim={} fill={} batch=1 len=2048 spread=same extend=2048 mix=uniform",
                                   "head_dim={} ring=16 fill={} order=shuffled batch=7 len=3000 spread=random "
                                   "extend=300 slack=100",
                                   "head_dim={} ring=16 fill={} batch=64 len=1000 spread=random extend=8 mix=uniform"},
                                  {"128", "512"}),
                             {"gauss", "steps", "wide"}),
                        {"batch=1 len=65535 spread=same extend=8192 mix=uniform"}}),
            .bench = each({"head_dim={} batch=16 len=4608 spread=same extend=512 mix=uniform"}, {"512", "128"}),
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_plan_tokens(p); }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return c4_too_large(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    const C4Case data(c);
    auto entries = model_compress_plan(data.batch, 4, data.row());
    for (CompressPlan& e : entries) {
      // What a planner leaves in fields that nobody reads.
      if (!reads_page_before(e, 4)) e.read_page_0 = -1;
      if (!reads_own_page(e, 4)) e.read_page_1 = 0;
    }
    const std::int64_t pad = std::min<std::int64_t>(c.params.integer("ring") - 4, 4);
    const auto writes = model_write_plan(data.batch, 4, pad, kC4CachePage, data.row());
    std::vector<std::int64_t> prefixes;
    for (std::int64_t b = 0; b < data.batch.size(); ++b) prefixes.push_back(data.batch.prefix(b));

    const HostTensor plan_c = arranged(entries, layout::kNoCompress, c, "plan_c order");
    const HostTensor plan_w = arranged(writes, layout::kNoWrite, c, "plan_w order");
    // A plan has no more rows than the batch: the batch is padded as its plans are.
    const std::int64_t head_dim = data.tokens.head_dim();
    HostTensor input = HostTensor::make(kF32, {std::max(data.batch.tokens(), plan_w.size(0)), 4 * head_dim});
    poison(input);
    const HostTensor rows = data.tokens.input(data.batch);
    std::copy(rows.storage.begin(), rows.storage.end(), input.storage.begin());
    Call prefill = call({data.state_after(prefixes), input, HostTensor::make(kF32, {plan_c.size(0), head_dim}),
                         data.tokens.ape(), plan_c, plan_w},
                        c4_compile(c.params));
    fit(prefill);
    return prefill;
  }
  void fit(Call& call) const override { set_c4_footprints(call, written_by_prefill(call)); }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_c4(result, written_by_prefill(call));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return c4_tolerances(call, written_by_prefill(call), reference);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto row_bytes = 16.0 * static_cast<double>(call.tensor("ape").size(1));
    const C4Written written = written_by_prefill(call);
    const auto entries = static_cast<double>(written.entries.size());
    const auto kept = static_cast<double>(written.kept.size());
    const double of_entries = entries * ((kC4EntryRows + kC4EntryWidth) * row_bytes + sizeof(layout::CompressPlan));
    // A kept row is read and written; the bias takes two.
    return {.bytes = of_entries + kept * (2 * row_bytes + sizeof(layout::WritePlan)) + 2 * row_bytes,
            .flops = entries * row_bytes / 16 * kC4ColumnFlops};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// A call with these plans, and an output of as many rows.
void set_plans(Call& call, const std::vector<CompressPlan>& entries, const std::vector<WritePlan>& writes) {
  call.arg("plan_c").tensor() = plan_tensor(entries);
  call.arg("plan_w").tensor() = plan_tensor(writes);
  call.arg("kv_output").tensor() = HostTensor::make(kF32, {std::ssize(entries), call.tensor("ape").size(1)});
}

std::vector<Scenario> CompressC4Prefill::scenarios() const {
  std::vector<Scenario> list = c4_prefill_sequences(*this);
  Contracts contracts(list);
  add_c4_state_contract(contracts);
  contracts.reshaped("plan_c_of_8_bytes", "a write plan in the place of the compress plan is refused", "plan_c",
                     [](Shape& s) { s[1] = 8; });
  contracts.reshaped("plan_w_of_16_bytes", "a compress plan in the place of the write plan is refused", "plan_w",
                     [](Shape& s) { s[1] = 16; });
  contracts.refused("more_rows_kept_than_tokens", "more kept rows than the batch has tokens are refused", "plan_w",
                    [](Call& call) {
                      const auto rows = static_cast<std::size_t>(call.tensor("kv_input").size(0) + 1);
                      call.arg("plan_w").tensor() = plan_tensor(std::vector<WritePlan>(rows, layout::kNoWrite));
                    });
  contracts.edge("nothing_to_do", "plans without rows: nothing is written, or a clean refusal", [this](Call& call) {
    set_plans(call, {}, {});
    fit(call);
  });
  contracts.edge("sentinels_only", "plans of nothing but sentinels write nothing", [this](Call& call) {
    set_plans(call, std::vector<CompressPlan>(6, layout::kNoCompress), std::vector<WritePlan>(6, layout::kNoWrite));
    fit(call);
  });
  list.push_back(far_relation(
      "kv_buffer", "pages of the state beyond 2^32 elements",
      at({"", "head_dim=512 ring=16 order=shuffled batch=4 len=9 extend=7 mix=uniform slack=3"}), [](Call& call) {
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
  return list;
}

DSV4_REGISTER_OP(CompressC4Prefill);

}  // namespace
}  // namespace dsv4
