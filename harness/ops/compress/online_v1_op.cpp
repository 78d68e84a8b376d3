#include "harness/ops/compress/online_v1_op.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {

OnlineV1Slots::OnlineV1Slots(const Params& p, CacheMaps maps)
    : rings_(p.is("state", "rings")), maps_(std::make_shared<const CacheMaps>(std::move(maps))) {}

RowOf OnlineV1Slots::slot_of() const {
  if (rings_) return [](std::int64_t id, std::int64_t) { return id; };
  return [maps = maps_](std::int64_t id, std::int64_t position) { return maps->row(id, position); };
}

HostTensor OnlineV1Slots::newest(const Batch& batch, const std::vector<std::int64_t>& lengths) const {
  const std::vector<std::int64_t> one_token(lengths.size(), 1);
  std::vector<std::int64_t> slots;
  for (const layout::DecodePlan& token :
       plans::online_decode_records(requests_of({batch.request_ids, lengths, one_token}), slot_of())) {
    slots.push_back(token.write_loc);
  }
  return numbers(slots, kI32);
}

V1Pages OnlineV1Slots::prefill(const Batch& batch) const {
  if (rings_) return decode(batch);
  std::vector<std::int64_t> before = batch.prefixes();
  for (std::int64_t& length : before) length = std::max<std::int64_t>(length, 1);
  return {newest(batch, batch.seq_lens), newest(batch, before)};
}

V1Pages OnlineV1Slots::decode(const Batch& batch) const { return {newest(batch, batch.seq_lens), None{}}; }

bool is_online_v1(const Op& op) { return op.info().name.ends_with("_v1"); }

Space online_v1_space() {
  return {word("state", kV1States, "slots: of the cache's pages, or one for each request"), online_fill_param()};
}

OnlineWritten OnlineV1Op::written(const Call& call) const {
  const OnlineV1Written by = written_by(call);
  OnlineWritten rows;
  std::ranges::transform(by.entries, std::back_inserter(rows.entries), &OnlineV1Row::row);
  std::ranges::transform(by.kept, std::back_inserter(rows.kept), &OnlineV1Row::row);
  return rows;
}

void OnlineV1Op::change_slots(Call& call, const ChangeSlot& change) const {
  for (const char* name : {"indices", "extra"}) {
    if (!call.arg(name).is_tensor()) continue;
    HostTensor& slots = call.arg(name).tensor();
    for (std::int64_t i = 0; i < slots.numel(); ++i) change(slots.data<std::int32_t>()[i]);
  }
}

Call online_v1_call(const std::string& op, const OnlineTokens& tokens, HostTensor state, HostTensor input,
                    V1Pages slots, std::vector<HostTensor> lengths_or_plans) {
  HostTensor output = HostTensor::make(kF32, {input.size(0), kOnlineHeadDim});
  std::vector<Value> values{std::move(state), std::move(input), std::move(output), tokens.ape(),
                            std::move(slots.indices)};
  std::ranges::move(lengths_or_plans, std::back_inserter(values));
  values.push_back(std::move(slots.extra));
  return call_of(op, std::move(values), Params().set("head_dim", kOnlineHeadDim));
}

std::vector<Scenario> OnlineV1Op::scenarios() const {
  std::vector<Scenario> list = OnlineOp::scenarios();
  append(list, online_v1_outside(*this));
  return list;
}

}  // namespace dsv4
