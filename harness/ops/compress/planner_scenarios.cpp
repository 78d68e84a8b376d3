#include "harness/ops/compress/planner_scenarios.h"

#include <limits>

#include "harness/op/far.h"
#include "harness/ops/compress/plan_calls.h"

namespace dsv4 {
void add_ratio_contract(Contracts& contracts) {
  contracts.integer("ratio_8", "a ratio that is neither 4 nor 128 is refused", "compress_ratio", 8);
}

void add_prefill_plan_contracts(Contracts& contracts) {
  add_ratio_contract(contracts);
  contracts.integer("rows_below_batch", "fewer rows than requests are refused", "num_q_tokens", 4);
  contracts.refused("rows_65536", "a token that 16 bits cannot number is refused", "num_q_tokens", [](Call& call) {
    call.arg("num_q_tokens").value = kMostPlanTokens + 1;
    call.arg("pin_buffer").value = HostTensor::make(DType::kU8, {kPinBytes * (kMostPlanTokens + 1)});
  });
  contracts.reshaped("pin_small", "scratch a byte too small is refused", "pin_buffer", [](Shape& s) { --s[0]; });
  contracts.refused("sum_below", "lengths that do not fill the rows are refused", "extend_lens", [](Call& call) {
    call.arg("num_q_tokens").value = integer_of(call, "num_q_tokens") + 1;
    call.arg("pin_buffer").value = HostTensor::make(DType::kU8, {call.tensor("pin_buffer").numel() + kPinBytes});
  });
  contracts.refused("sum_above", "lengths that need more rows are refused", "extend_lens",
                    [](Call& call) { call.arg("num_q_tokens").value = integer_of(call, "num_q_tokens") - 1; });
  add_extend_contracts(contracts);
}

void add_swa_address_contracts(Contracts& contracts) {
  contracts.integer("ring_6", "a ring that does not hold whole groups is refused", "ring_size", 6);
  contracts.integer("page_20", "a cache page that does not hold whole rings is refused", "swa_page_size", 20);
}

void add_extend_contracts(Contracts& contracts) {
  const auto change = [&](const char* name, const char* meaning, std::size_t index, std::int64_t value) {
    contracts.refused(name, meaning, "extend_lens",
                      [index, value](Call& call) { call.arg("extend_lens").tensor().at<std::int64_t>(index) = value; });
  };
  change("extend_zero", "a request of no tokens is refused where the host can see it", 1, 0);
  change("extend_negative", "a negative count of tokens is refused", 1, -1);
  change("extend_beyond_length", "more new tokens than the request is long are refused", 2, 1000);
}

std::vector<Scenario> far_map_relations(const Points& points) {
  std::vector<Scenario> list;
  list.push_back(far_relation("req_to_token", "rows of requests beyond 2^32 elements", points, [](Call& call) {
    Arg& map = call.arg("req_to_token");
    const HostTensor& t = map.tensor();
    map.placement = far_pool(t, far_rows(t.size(0), t.size(1), far_edges(t.dtype)));
    HostTensor& ids = call.arg("req_pool_indices").tensor();
    for (std::int64_t b = 0; b < ids.numel(); ++b) {
      auto& id = ids.at<std::int64_t>(b);
      id = map.placement->rows[static_cast<std::size_t>(id)];
    }
  }));
  list.push_back(far_relation("full_to_swa", "slots up to 2^31, 2^34 bytes into the map,", points, [](Call& call) {
    Arg& map = call.arg("full_to_swa");
    const std::int64_t page = integer_of(call, "swa_page_size"), slots = map.tensor().numel();
    // The offset in bytes passes 31 and 32 bits. A slot is an i32, so that the last pages lie just below 2^31.
    constexpr std::int64_t kSlots = std::numeric_limits<std::int32_t>::max();
    const std::int64_t last_pages = kSlots - slots - page;
    const auto pages = far_rows(slots / page, page, {std::int64_t{1} << 29, std::int64_t{1} << 28, last_pages});
    std::vector<std::int64_t> far;
    for (const std::int64_t first : pages) {
      for (std::int64_t i = 0; i < page; ++i) far.push_back(first * page + i);
    }
    far.push_back(kSlots - 1);  // of no page: the map's last slot stands for no token
    HostTensor& tokens = call.arg("req_to_token").tensor();
    for (std::int64_t i = 0; i < tokens.numel(); ++i) {
      auto& slot = tokens.data<std::int32_t>()[i];
      if (slot < slots) slot = static_cast<std::int32_t>(far[static_cast<std::size_t>(slot)]);
    }
    map.placement = Placement{{kSlots}, {1}, std::move(far)};
  }));
  return list;
}

Scenario host_equals_device(Points points) {
  return any_word_relation("host_equals_device", "lengths on the host and on the device give the same plan, as sets",
                           std::move(points), "lens");
}

}  // namespace dsv4
