/// compress_c4_prefill computes the entries that a prefill batch completes at ratio 4, and keeps rows in the state.
#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/compress/offline_op.h"
#include "harness/ops/compress/planner.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::WritePlan;

/// A plan of these entries, followed by `slack` sentinels. The entries are in random order if order=shuffled.
template <class Record>
HostTensor arranged(std::vector<Record> records, const Case& c, const char* stream) {
  if (c.params.is("order", "shuffled")) {
    const auto order = Random(c.seed, stream).permutation(std::ssize(records));
    records = records_of<Record>(rows_of(plan_tensor(records), order));
  }
  records.insert(records.end(), static_cast<std::size_t>(c.params.integer("slack")), kSentinel<Record>);
  return plan_tensor(records);
}

/// The numbers of those rows of the plan that are entries, sorted by token.
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

/// Gives a call these plans, and an output with one row for each entry.
void set_plans(Call& call, const std::vector<CompressPlan>& entries, const std::vector<WritePlan>& writes) {
  call.arg("plan_c").tensor() = plan_tensor(entries);
  call.arg("plan_w").tensor() = plan_tensor(writes);
  call.arg("kv_output").tensor() = HostTensor::make(kF32, {std::ssize(entries), call.tensor("ape").size(1)});
}

class CompressC4Prefill final : public OfflineOp {
 public:
  CompressC4Prefill()
      : OfflineOp({
            .name = "compress_c4_prefill",
            .family = "compress",
            .summary = "compressed entries of ratio 4 that a prefill batch completes, and the rows that it keeps",
            .upstream = "compress_forward, ratio 4, prefill",
            .space = c4_space()
                         .with({word("order", {"token", "shuffled"},
                                     "order of the plans' entries: by token (as planned on the host), or random")})
                         .with(prefill_batch({.usual = 5, .quick = {9}}, {.usual = 21, .quick = {1, 4, 12, 252, 509}},
                                             {.usual = 9, .quick = {1, 2, 3, 4, 5, 7, 8, 9, 33}}))
                         .with({number("slack", 0, 65535, "sentinels after the entries of each plan",
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
                                  kOfflineFills)}),
            .full =
                joined({each({"head_dim={} fill={} batch=1 len=2048 spread=same extend=2048 mix=uniform",
                              "head_dim={} ring=16 fill={} order=shuffled batch=7 len=3000 spread=random extend=300 "
                              "slack=100",
                              "head_dim={} ring=16 fill={} batch=64 len=1000 spread=random extend=8 mix=uniform"},
                             {"128", "512"}, {"gauss", "steps", "wide"}),
                        {"batch=1 len=65535 spread=same extend=8192 mix=uniform"}}),
            .bench = each({"head_dim={} batch=16 len=4608 spread=same extend=512 mix=uniform"}, {"512", "128"}),
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_plan_tokens(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const CacheMaps maps = make_maps(batch, c.params, c.seed);
    const OfflineTokens tokens(c.params, c.seed);
    const plans::Keeping keeping{plans::last_kept(c.params.integer("ring"), 4), kCachePage};
    auto [entries, writes] = plans::prefill_records(requests_of(batch), 4, keeping, maps.row_of());
    for (CompressPlan& e : entries) {
      // Planners write these values into page fields that no kernel reads.
      if (!reads_page_before(e, 4)) e.read_page_0 = -1;
      if (!reads_own_page(e, 4)) e.read_page_1 = 0;
    }
    const HostTensor plan_c = arranged(entries, c, "plan_c order"), plan_w = arranged(writes, c, "plan_w order");
    // A plan must not have more rows than the batch. So the batch gets padding rows if the plan has sentinels.
    HostTensor input = HostTensor::make(kF32, {std::max(batch.tokens(), plan_w.size(0)), 4 * tokens.head_dim()});
    poison(input);
    std::ranges::copy(tokens.input(batch).storage, input.storage.begin());
    Call prefill = tokens.call(c.op, tokens.state(maps, batch.request_ids, batch.prefixes()), input, {plan_c, plan_w});
    fit(prefill);
    return prefill;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  [[nodiscard]] std::vector<Pair> pairs() const override {
    return offline_pairs({"plan_prefill", "plan_prefill_legacy"},
                         at({"batch=4 len=250", "head_dim=512 ring=16 batch=3 len=40 extend=30"},
                            {"fill=equal batch=33 len=300 extend=12"}));
  }

  /// In both plans, rows may be in any order, with sentinels among them.
  [[nodiscard]] OfflineWritten written(const Call& call) const override {
    OfflineWritten rows;
    rows.entries = entries_in_token_order(records_of<CompressPlan>(call.tensor("plan_c")));
    const auto writes = records_of<WritePlan>(call.tensor("plan_w"));
    for (const std::int64_t i : entries_in_token_order(writes)) {
      rows.kept.push_back(writes[static_cast<std::size_t>(i)].write_loc);
    }
    return rows;
  }
};

std::vector<Scenario> CompressC4Prefill::scenarios() const {
  std::vector<Scenario> list = OfflineOp::scenarios();
  list.push_back(offline_many_tokens(*this));
  append(list, offline_prefill_sequences(*this));
  Contracts contracts(list);
  contracts.reshaped("plan_c_of_8_bytes", "a write plan in the place of the compress plan is refused", "plan_c",
                     [](Shape& s) { s[1] = 8; });
  contracts.reshaped("plan_w_of_16_bytes", "a compress plan in the place of the write plan is refused", "plan_w",
                     [](Shape& s) { s[1] = 16; });
  contracts.refused("more_rows_kept_than_tokens", "a write plan with more rows than the batch is refused", "plan_w",
                    [](Call& call) {
                      const auto rows = static_cast<std::size_t>(call.tensor("kv_input").size(0) + 1);
                      call.arg("plan_w").tensor() = plan_tensor(std::vector<WritePlan>(rows, layout::kNoWrite));
                    });
  contracts.edge("nothing_to_do", "plans without rows: nothing is written, or the call is refused", [this](Call& call) {
    set_plans(call, {}, {});
    fit(call);
  });
  contracts.edge("sentinels_only", "plans that hold only sentinels: nothing is written", [this](Call& call) {
    set_plans(call, std::vector<CompressPlan>(6, layout::kNoCompress), std::vector<WritePlan>(6, layout::kNoWrite));
    fit(call);
  });
  return list;
}

DSV4_REGISTER_OP(CompressC4Prefill);

}  // namespace
}  // namespace dsv4
