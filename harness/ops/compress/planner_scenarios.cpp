#include "harness/ops/compress/planner_scenarios.h"

#include <limits>

#include "harness/op/far.h"
#include "harness/ops/compress/plan_calls.h"

namespace dsv4 {
namespace {

/// What every planner of a V2 plan is given: ids on the device, and one of two ratios.
void add_request_contracts(Contracts& contracts) {
  contracts.wrong_form("req_pool_indices", DType::kI32);
  contracts.wrong_form("seq_lens", DType::kI32);
  contracts.strided("req_pool_indices");
  contracts.strided("seq_lens");
  contracts.misplaced("req_pool_indices", Place::kHost);
  contracts.integer("ratio_8", "a ratio that is neither 4 nor 128 is refused", "compress_ratio", 8);
}

}  // namespace

void add_decode_plan_contracts(Contracts& contracts) {
  add_request_contracts(contracts);
  contracts.misplaced("seq_lens", Place::kHost);
  contracts.refused("lens_count", "one length per request", "seq_lens", [](Call& call) {
    call.arg("seq_lens").tensor() = numbers({1, 2, 3, 4});
  });
  contracts.edge("no_requests", "no requests: an empty plan, or a clean refusal", [](Call& call) {
    for (const char* name : {"req_pool_indices", "seq_lens"}) call.arg(name).tensor() = numbers({});
  });
}

void add_prefill_plan_contracts(Contracts& contracts) {
  add_request_contracts(contracts);
  contracts.wrong_form("extend_lens", DType::kI32);
  contracts.wrong_form("pin_buffer", DType::kI32);
  contracts.strided("extend_lens");
  contracts.strided("pin_buffer");
  contracts.misplaced("extend_lens", Place::kDevice);
  contracts.misplaced("pin_buffer", Place::kDevice);
  contracts.integer("rows_below_batch", "fewer rows than requests are refused", "num_q_tokens", 4);
  contracts.refused("rows_65536", "a token that 16 bits cannot number is refused", "num_q_tokens", [](Call& call) {
    call.arg("num_q_tokens").value = kMostPlanTokens + 1;
    call.arg("pin_buffer").tensor() = HostTensor::make(DType::kU8, {kPinBytes * (kMostPlanTokens + 1)});
  });
  contracts.refused("pin_small", "scratch a byte too small is refused", "pin_buffer", [](Call& call) {
    HostTensor& pin = call.arg("pin_buffer").tensor();
    pin = HostTensor::make(DType::kU8, {pin.numel() - 1});
  });
  contracts.refused("sum_below", "lengths that do not fill the rows are refused", "extend_lens", [](Call& call) {
    call.arg("num_q_tokens").value = integer_of(call, "num_q_tokens") + 1;
    HostTensor& pin = call.arg("pin_buffer").tensor();
    pin = HostTensor::make(DType::kU8, {pin.numel() + kPinBytes});
  });
  contracts.refused("sum_above", "lengths that need more rows are refused", "extend_lens",
                    [](Call& call) { call.arg("num_q_tokens").value = integer_of(call, "num_q_tokens") - 1; });
  add_extend_contracts(contracts);
  add_empty_batch_contract(contracts);
}

void add_empty_batch_contract(Contracts& contracts) {
  contracts.edge("no_requests", "a batch of nothing: empty plans, or a clean refusal", [](Call& call) {
    for (const char* name : {"req_pool_indices", "seq_lens", "extend_lens"}) call.arg(name).tensor() = numbers({});
    call.arg("pin_buffer").tensor() = HostTensor::make(DType::kU8, {0});
    call.arg("num_q_tokens").value = std::int64_t{0};
  });
}

void add_swa_address_contracts(Contracts& contracts) {
  contracts.wrong_form("req_to_token", DType::kI64);
  contracts.wrong_form("full_to_swa", DType::kI32);
  contracts.strided("req_to_token");
  contracts.strided("full_to_swa");
  contracts.misplaced("req_to_token", Place::kHost);
  contracts.misplaced("full_to_swa", Place::kHost);
  contracts.integer("ring_6", "a ring that holds no whole number of groups is refused", "ring_size", 6);
  contracts.integer("page_20", "a cache page that holds no whole number of rings is refused", "swa_page_size", 20);
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

std::vector<Scenario> far_map_relations(const std::vector<Params>& points) {
  std::vector<Scenario> list;
  list.push_back(far_relation("req_to_token", "rows of requests beyond 2^32 elements", only(points), [](Call& call) {
    Arg& map = call.arg("req_to_token");
    const HostTensor& t = map.tensor();
    map.placement = far_pool(t, far_rows(t.size(0), t.size(1), far_edges(t.dtype)));
    HostTensor& ids = call.arg("req_pool_indices").tensor();
    for (std::int64_t b = 0; b < ids.numel(); ++b) {
      auto& id = ids.at<std::int64_t>(b);
      id = map.placement->rows[static_cast<std::size_t>(id)];
    }
  }));
  list.push_back(
      far_relation("full_to_swa", "slots up to 2^31, 2^34 bytes into the map,", only(points), [](Call& call) {
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

Scenario host_equals_device(std::vector<Params> points) {
  return relation("host_equals_device", "lengths on the host and on the device give the same plan, as sets",
                  only(std::move(points)), [](ScenarioContext& x) {
                    Case on_device = x.c;
                    on_device.params.set("lens", "device");
                    const Call host = x.op.make(x.c), device = x.op.make(on_device);
                    x.expect_agree("host against device", x.observed("lengths on the host", host),
                                   x.observed(on_device, "lengths on the device", device));
                  });
}

}  // namespace dsv4
