#include "harness/ops/compress/offline_decode.h"

#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

/// The fields that all decode ops of offline compression have in common.
OpInfo decode_info(std::int64_t ratio, OpInfo info) {
  info.signature = offline_decode_signature(ratio);
  info.without = {
      {"relation:any_batch", "the op writes the rows that the plan names, which are not rows of the batch"}};
  info.host_note = "the fast exponential and division of the GPU";
  return info;
}

}  // namespace

Signature offline_decode_signature(std::int64_t ratio) {
  return {{inout("kv_buffer", {kF32}, fmt::format("pages {}:page width", ratio),
                 {.names = {{"page", "state_page"}, {"width", "state_width"}}}),
           in("kv_input", {kF32}, "requests width"),
           out("kv_output", {kF32}, "requests:rows head_dim", {.names = {{"rows", "output_rows"}}}),
           in("ape", {kF32}, fmt::format("{}:rows head_dim", window_of(ratio))),
           in("plan_d", {kU8}, "requests:rows 16:bytes", {.names = {{"rows", "plan_rows"}}})},
          "requests"};
}

OfflineDecode::OfflineDecode(std::int64_t ratio, OpInfo info, OfflineDecodePoints points)
    : OfflineOp(ratio, decode_info(ratio, std::move(info))), points_(std::move(points)) {}

Call OfflineDecode::make(const Case& c) const {
  const Batch batch = make_batch(c.params, c.seed);
  const CacheMaps maps = make_maps(batch, c.params, c.seed);
  Call decode = tokens(c).call(c.op, tokens(c).state(maps, batch.request_ids, batch.prefixes()), tokens(c).input(batch),
                               {plan_tensor(plans::decode_records(requests_of(batch), ratio(), maps.row_of()))});
  fit(decode);
  return decode;
}

std::vector<Scenario> OfflineDecode::scenarios() const {
  std::vector<Scenario> list = OfflineOp::scenarios();
  Contracts(list).reshaped("plan_of_8_bytes", "a write plan in the place of the decode plan is refused", "plan_d",
                           [](Shape& s) { s[1] = 8; });
  list.push_back(offline_many_requests(*this));
  if (ratio() == 4) list.push_back(offline_absent_places(at({"fill=equal batch=9 len=1"})));
  append(list, offline_decode_sequences(at(points_.sequences)));
  list.push_back(offline_padded_decode(at(points_.sequences)));
  return list;
}

std::vector<Pair> OfflineDecode::pairs() const {
  return offline_pairs(ratio(), {"plan_decode", "plan_decode_legacy"}, at(points_.pairs, points_.more_pairs));
}

/// Row b of the plan is for request b, whose token is kept. If it completes a group, the call also writes row b of
/// kv_output. A request of length 0 has no token.
OfflineWritten OfflineDecode::written(const Call& call) const {
  const auto plan = records_of<layout::DecodePlan>(call.tensor("plan_d"));
  OfflineWritten rows;
  for (std::size_t b = 0; b < plan.size(); ++b) {
    if (plan[b].seq_len == 0) continue;
    if (completes_group(plan[b], ratio())) rows.entries.push_back(static_cast<std::int64_t>(b));
    rows.kept.push_back(plan[b].write_loc);
  }
  return rows;
}

std::vector<const float*> OfflineDecode::window_rows(const Call& call, std::int64_t entry) const {
  const HostTensor &state = call.tensor("kv_buffer"), &input = call.tensor("kv_input");
  const auto plan = records_of<layout::DecodePlan>(call.tensor("plan_d")).at(static_cast<std::size_t>(entry));
  if (plan.read_page_1 < 0 || plan.read_page_1 >= state.size(0)) return {};
  std::vector<const float*> rows;
  for (std::int64_t j = 0; j < ratio() - 1; ++j) rows.push_back(&state.at<float>(plan.read_page_1, j, 0));
  rows.push_back(&input.at<float>(entry, 0));
  return rows;
}

}  // namespace dsv4
