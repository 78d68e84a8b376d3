#include "harness/ops/compress/online_plans.h"

#include <algorithm>
#include <array>
#include <set>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;

HostTensor online_plan_tensor(std::int64_t rows) { return HostTensor::make(kU8, {rows, sizeof(CompressPlan)}); }

/// Checks the records of one plan against the tokens that they name.
void check_segments(const Batch& batch, const std::vector<CompressPlan>& records, const std::string& name, bool closes,
                    std::int64_t slots, Observation& o) {
  const auto tokens = tokens_of(batch);
  check_distinct(fmt::format("tokens of {}", name), records, &CompressPlan::ragged_id, std::ssize(tokens), o);
  if (!std::ranges::is_sorted(records, {}, [](const CompressPlan& r) { return r.ragged_id; })) {
    o.find("order", fmt::format("{} is not in token order", name));
  }
  for (const CompressPlan& r : records) {
    if (r.ragged_id >= tokens.size()) continue;  // a finding already
    const BatchToken& last = tokens[r.ragged_id];
    const bool ends_group = r.seq_len % kOnlineGroup == 0;
    const std::int64_t of_group = last.position % kOnlineGroup + 1, of_batch = last.position - last.prefix + 1;
    if (r.seq_len != last.position + 1 || ends_group != closes || r.buffer_len != std::min(of_group, of_batch)) {
      o.find("content", fmt::format("{}: token {} is position {} of request {}, whose new tokens begin at {}; the "
                                    "record has length {} and {} tokens",
                                    name, last.row, last.position, last.request, last.prefix, r.seq_len, r.buffer_len));
    }
    if (r.read_page_0 < 0 || r.read_page_0 >= slots) {
      o.find("range", fmt::format("{}: token {} has slot {} of {}", name, last.row, r.read_page_0, slots));
    }
  }
}

/// The segments of both plans must cover each token of the batch once.
void check_tiling(const Batch& batch, const std::vector<CompressPlan>& compress, const std::vector<CompressPlan>& write,
                  Observation& o) {
  std::vector<int> covered(static_cast<std::size_t>(batch.tokens()));
  for (const auto* plan : {&compress, &write}) {
    for (const CompressPlan& r : *plan) {
      const std::int64_t end = std::min<std::int64_t>(std::int64_t{r.ragged_id} + 1, batch.tokens());
      for (std::int64_t t = std::max<std::int64_t>(end - r.buffer_len, 0); t < end; ++t) {
        ++covered[static_cast<std::size_t>(t)];
      }
    }
  }
  const auto wrong = std::ranges::find_if(covered, [](int n) { return n != 1; });
  if (wrong == covered.end()) return;
  o.find("tiling", fmt::format("token {} is in {} segments", wrong - covered.begin(), *wrong));
}

HostTensor canonical(const std::vector<CompressPlan>& records) {
  std::vector<std::array<std::int32_t, 5>> rows;
  for (const CompressPlan& r : records) {
    rows.push_back({r.ragged_id, static_cast<std::int32_t>(r.seq_len), r.buffer_len, r.read_page_0, r.read_page_1});
  }
  return tensor_of_rows(kI32, rows);
}

}  // namespace

std::vector<ParamSpec> online_cache_params() {
  std::vector<ParamSpec> specs = cache_params();
  std::erase_if(specs, [](const ParamSpec& spec) { return spec.name == "ring"; });
  return specs;
}

Params with_slots(const Params& p) { return Params(p).set("ring", 1); }

CacheMaps online_maps(const Batch& batch, const Params& p, std::uint64_t seed) {
  return make_maps(batch, with_slots(p), seed);
}

Call online_prefill_plan_call(const Batch& batch, const CacheMaps& maps) {
  const HostTensor plan = online_plan_tensor(batch.tokens());
  Call call =
      call_of("plan_prefill_online", {numbers(batch.seq_lens), numbers(batch.extend_lens), numbers(batch.request_ids),
                                      maps.req_to_token, maps.full_to_swa, plan, plan, plan, plan, maps.page_size});
  give_online_plans(call, batch.tokens());
  return call;
}

Call online_decode_plan_call(const Batch& batch, const CacheMaps& maps) {
  const HostTensor plan = HostTensor::make(kU8, {batch.size(), sizeof(DecodePlan)});
  return call_of("plan_decode_online", {numbers(batch.seq_lens), numbers(batch.request_ids), maps.req_to_token,
                                        maps.full_to_swa, plan, maps.page_size});
}

void give_online_plans(Call& call, std::int64_t rows) {
  for (const char* name : {"plan_c_pin", "plan_w_pin", "plan_c_dev", "plan_w_dev"}) {
    call.arg(name).value = online_plan_tensor(rows);
  }
  const Batch batch{numbers_of(call, "req_pool_indices"), numbers_of(call, "seq_lens"),
                    numbers_of(call, "extend_lens")};
  const auto used = plans::online_records(requests_of(batch), [](std::int64_t, std::int64_t) { return 0; });
  for (const auto& [name, records] :
       {std::pair{"plan_c_dev", std::ssize(used.compress)}, {"plan_w_dev", std::ssize(used.write)}}) {
    auto& footprint = call.arg(name).footprint;
    footprint.assign(call.tensor(name).storage.size(), 0);
    const auto bytes = std::min(records * std::int64_t{sizeof(CompressPlan)}, std::ssize(footprint));
    std::fill_n(footprint.begin(), bytes, std::uint8_t{1});
  }
}

std::vector<CompressPlan> online_plan(const CallResult& result, const std::string& name) {
  auto records = records_of<CompressPlan>(result.tensor(name));
  const std::int64_t used = returned_integer(result, name == "plan_c_dev" ? 0 : 1).value_or(0);
  records.resize(static_cast<std::size_t>(std::clamp<std::int64_t>(used, 0, std::ssize(records))));
  return records;
}

std::vector<DecodePlan> online_decode_plan(const CallResult& result) {
  return records_of<DecodePlan>(result.tensor("plan_d"));
}

Observation observe_online_prefill_plan(const Batch& batch, std::int64_t slots, const CallResult& result) {
  Observation o;
  std::vector<std::vector<CompressPlan>> plans;
  std::size_t index = 0;
  for (const auto& [name, output, count] :
       {std::tuple{"plan_c_dev", "compress_plan", "compress_count"}, {"plan_w_dev", "write_plan", "write_count"}}) {
    const auto rows = records_of<CompressPlan>(result.tensor(name), name, o);
    const std::int64_t used = returned_integer(result, index++).value_or(-1);
    if (used < 0 || used > std::ssize(rows)) {
      o.find("count", fmt::format("{}: {} records were returned; there are {} rows", name, used, rows.size()));
    }
    plans.push_back(valid_entries(online_plan(result, name), name, o));
    check_segments(batch, plans.back(), name, plans.size() == 1, slots, o);
    o.add(output, canonical(plans.back()), true).add(count, numbers({used, std::ssize(plans.back())}));
  }
  check_tiling(batch, plans[0], plans[1], o);
  check_distinct("slots of plan_w_dev", plans[1], &CompressPlan::read_page_0, slots, o);
  return o;
}

Observation observe_online_decode_plan(const Batch& batch, std::int64_t slots, const CallResult& result) {
  Observation o;
  const auto rows = records_of<DecodePlan>(result.tensor("plan_d"), "plan_d", o);
  if (std::ssize(rows) != batch.size()) {
    o.find("count", fmt::format("plan_d has {} rows for {} requests", rows.size(), batch.size()));
  }
  for (std::size_t b = 0; b < std::min(rows.size(), batch.seq_lens.size()); ++b) {
    const DecodePlan& d = rows[b];
    if (d.seq_len == batch.seq_lens[b] && d.write_loc == d.read_page_0 && d.read_page_1 == -1) continue;
    o.find("content", fmt::format("plan_d row {}: length {}, slots {}, {} and {}; the request's length is {}", b,
                                  d.seq_len, d.write_loc, d.read_page_0, d.read_page_1, batch.seq_lens[b]));
  }
  check_distinct("slots of plan_d", rows, &DecodePlan::write_loc, slots, o);
  return o.add("plan", tensor_of_rows(kI32, rows));
}

std::int64_t OnlineSlots::first_of_group(std::int64_t position) {
  std::int64_t first = 0;
  while (first + kOnlineGroup <= position) first += kOnlineGroup;
  return first;
}

void OnlineSlots::expect(std::int64_t slot, const Held& held, const char* what) {
  const auto it = slots_.find(slot);
  if (it != slots_.end() && it->second == held) return;
  const std::string holds = it == slots_.end() ? "nothing"
                                               : fmt::format("positions {} to {} of request {}", it->second.first,
                                                             it->second.end - 1, it->second.request_id);
  findings_.push_back({"slot", fmt::format("{}: {} positions {} to {} of request {} in slot {}, which holds {}", step_,
                                           what, held.first, held.end - 1, held.request_id, slot, holds)});
}

void OnlineSlots::prefill(const Batch& batch, const std::vector<CompressPlan>& compress,
                          const std::vector<CompressPlan>& write) {
  const auto tokens = tokens_of(batch);
  const auto each_segment = [&](const std::vector<CompressPlan>& plan, auto visit) {
    for (const CompressPlan& r : plan) {
      if (is_sentinel(r) || r.ragged_id >= tokens.size()) continue;
      const BatchToken& last = tokens[r.ragged_id];
      visit(r, Held{last.id, first_of_group(last.position), last.position + 1});
    }
  };
  const auto load = [&](const CompressPlan& r, const Held& held) {
    const std::int64_t begin = held.end - r.buffer_len;
    if (begin > held.first) expect(r.read_page_0, {held.request_id, held.first, begin}, "a segment continues");
  };
  // Both plans read the slots as they were before the batch.
  each_segment(compress, load);
  each_segment(write, load);
  each_segment(write, [&](const CompressPlan& r, const Held& held) { slots_[r.read_page_0] = held; });
}

void OnlineSlots::decode(const Batch& batch, const std::vector<DecodePlan>& plan) {
  for (std::size_t b = 0; b < std::min(plan.size(), batch.request_ids.size()); ++b) {
    const std::int64_t position = batch.seq_lens[b] - 1, first = first_of_group(position);
    if (position > first) {
      expect(plan[b].read_page_0, {batch.request_ids[b], first, position}, "a token continues");
    }
    if (position + 1 < first + kOnlineGroup) {
      slots_[plan[b].write_loc] = {batch.request_ids[b], first, position + 1};
    }
  }
}

void OnlineSlots::check_open(std::int64_t request_id, std::int64_t length, std::int64_t slot) {
  const std::int64_t first = length == 0 ? 0 : first_of_group(length - 1);
  if (length > first && length < first + kOnlineGroup) {
    expect(slot, {request_id, first, length}, "the next token continues");
  }
}

}  // namespace dsv4
