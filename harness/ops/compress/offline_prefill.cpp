#include "harness/ops/compress/offline_prefill.h"

#include <algorithm>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::WritePlan;

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

Signature prefill_signature(std::int64_t ratio) {
  return {{inout("kv_buffer", {kF32}, fmt::format("pages {}:page width", ratio),
                 {.names = {{"page", "state_page"}, {"width", "state_width"}}}),
           in("kv_input", {kF32}, "tokens width", {.names = {{"width", "input_width"}}}),
           out("kv_output", {kF32}, "entries:rows head_dim:width",
               {.names = {{"rows", "output_rows"}, {"width", "output_width"}}}),
           in("ape", {kF32}, fmt::format("{}:rows head_dim", window_of(ratio))),
           in("plan_c", {kU8}, "entries:rows 16:bytes"), in("plan_w", {kU8}, "kept 8:bytes")}};
}

/// The fields that all prefill ops of offline compression have in common.
OpInfo prefill_info(std::int64_t ratio, OpInfo info) {
  info.signature = prefill_signature(ratio);
  info.host_note = "the fast exponential and division of the GPU";
  return info;
}

}  // namespace

Space offline_prefill_space(std::int64_t ratio, std::vector<ParamSpec> batch) {
  return offline_space(ratio)
      .with({word("order", {"token", "shuffled"},
                  "order of the plans' entries: by token (as planned on the host), or random")})
      .with(std::move(batch))
      .with({number("slack", 0, 65535, "sentinels after the entries of each plan",
                    {.quick = {0, 5}, .soak = {0, 1, 5}})});
}

OfflinePrefill::OfflinePrefill(std::int64_t ratio, OpInfo info, OfflinePrefillPoints points)
    : OfflineOp(ratio, prefill_info(ratio, std::move(info))), points_(std::move(points)) {}

std::optional<std::string> OfflinePrefill::reject(const Params& p) const { return reject_plan_tokens(p); }

Call OfflinePrefill::make(const Case& c) const {
  const Batch batch = make_batch(c.params, c.seed);
  const CacheMaps maps = make_maps(batch, c.params, c.seed);
  const OfflineTokens made = tokens(c);
  const plans::Keeping keeping{plans::last_kept(c.params.integer("ring"), ratio()), kCachePage};
  auto [entries, writes] = plans::prefill_records(requests_of(batch), ratio(), keeping, maps.row_of());
  for (CompressPlan& e : entries) {
    // Planners write these values into page fields that no kernel reads.
    if (!reads_page_before(e, ratio())) e.read_page_0 = -1;
    if (!reads_own_page(e, ratio())) e.read_page_1 = 0;
  }
  const HostTensor plan_c = arranged(entries, c, "plan_c order"), plan_w = arranged(writes, c, "plan_w order");
  // A plan must not have more rows than the batch. So the batch gets padding rows if the plan has sentinels.
  HostTensor input = HostTensor::make(kF32, {std::max(batch.tokens(), plan_w.size(0)), made.width()});
  poison(input);
  std::ranges::copy(made.input(batch).storage, input.storage.begin());
  Call prefill = made.call(c.op, made.state(maps, batch.request_ids, batch.prefixes()), input, {plan_c, plan_w});
  fit(prefill);
  return prefill;
}

std::vector<Scenario> OfflinePrefill::scenarios() const {
  std::vector<Scenario> list = OfflineOp::scenarios();
  list.push_back(offline_many_tokens(*this));
  if (ratio() == 4) list.push_back(offline_absent_places(at({"fill=equal batch=3 len=4 extend=4 mix=uniform"})));
  append(list, offline_prefill_sequences(at(points_.sequences)));
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

std::vector<Pair> OfflinePrefill::pairs() const {
  return offline_pairs(ratio(), {"plan_prefill", "plan_prefill_legacy"}, at(points_.pairs, points_.more_pairs));
}

/// In both plans, rows may be in any order, with sentinels among them.
OfflineWritten OfflinePrefill::written(const Call& call) const {
  OfflineWritten rows;
  rows.entries = entries_in_token_order(records_of<CompressPlan>(call.tensor("plan_c")));
  const auto writes = records_of<WritePlan>(call.tensor("plan_w"));
  for (const std::int64_t i : entries_in_token_order(writes)) {
    rows.kept.push_back(writes[static_cast<std::size_t>(i)].write_loc);
  }
  return rows;
}

std::vector<const float*> OfflinePrefill::window_rows(const Call& call, std::int64_t entry) const {
  const HostTensor &state = call.tensor("kv_buffer"), &input = call.tensor("kv_input");
  const auto plan = records_of<CompressPlan>(call.tensor("plan_c")).at(static_cast<std::size_t>(entry));
  const auto exists = [](std::int64_t row, const HostTensor& t) { return row >= 0 && row < t.size(0); };
  std::vector<const float*> rows;
  for (std::int64_t j = 0; j < ratio(); ++j) {
    const bool buffered = j < plan.buffer_len;
    const std::int64_t row = buffered ? plan.read_page_1 : plan.ragged_id - (ratio() - 1) + j;
    if (!exists(row, buffered ? state : input)) return {};
    rows.push_back(buffered ? &state.at<float>(row, j, 0) : &input.at<float>(row, 0));
  }
  return rows;
}

}  // namespace dsv4
