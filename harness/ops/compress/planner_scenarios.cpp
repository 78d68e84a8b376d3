#include "harness/ops/compress/planner_scenarios.h"

#include "harness/ops/compress/plan_calls.h"

namespace dsv4 {
namespace {

/// What every planner of a V2 plan is given: ids on the device, and one of two ratios.
void add_request_contracts(ContractList& list) {
  list.wrong_form("req_pool_indices", DType::kI32);
  list.wrong_form("seq_lens", DType::kI32);
  list.strided("req_pool_indices");
  list.strided("seq_lens");
  list.misplaced("req_pool_indices", Place::kHost);
  list.integer("compress_ratio", "ratio_8", 8, "a ratio that is neither 4 nor 128 is refused");
}

}  // namespace

void add_decode_plan_contracts(ContractList& list) {
  add_request_contracts(list);
  list.misplaced("seq_lens", Place::kHost);
  list.add("lens_count", "one length per request", "seq_lens", [](Call& call) {
    call.arg("seq_lens").tensor() = numbers({1, 2, 3, 4});
  });
  list.edge("no_requests", "no requests: an empty plan, or a clean refusal", [](Call& call) {
    for (const char* name : {"req_pool_indices", "seq_lens"}) call.arg(name).tensor() = numbers({});
  });
}

void add_prefill_plan_contracts(ContractList& list) {
  add_request_contracts(list);
  list.wrong_form("extend_lens", DType::kI32);
  list.wrong_form("pin_buffer", DType::kI32);
  list.strided("extend_lens");
  list.strided("pin_buffer");
  list.misplaced("extend_lens", Place::kDevice);
  list.misplaced("pin_buffer", Place::kDevice);
  list.integer("num_q_tokens", "rows_below_batch", 4, "fewer rows than requests are refused");
  list.add("rows_65536", "a token that 16 bits cannot number is refused", "num_q_tokens", [](Call& call) {
    call.arg("num_q_tokens").value = kMostPlanTokens + 1;
    call.arg("pin_buffer").tensor() = HostTensor::make(DType::kU8, {kPinBytes * (kMostPlanTokens + 1)});
  });
  list.add("pin_small", "scratch a byte too small is refused", "pin_buffer", [](Call& call) {
    HostTensor& pin = call.arg("pin_buffer").tensor();
    pin = HostTensor::make(DType::kU8, {pin.numel() - 1});
  });
  list.add("sum_below", "lengths that do not fill the rows are refused", "extend_lens", [](Call& call) {
    call.arg("num_q_tokens").value = integer_of(call, "num_q_tokens") + 1;
    HostTensor& pin = call.arg("pin_buffer").tensor();
    pin = HostTensor::make(DType::kU8, {pin.numel() + kPinBytes});
  });
  list.add("sum_above", "lengths that need more rows are refused", "extend_lens",
           [](Call& call) { call.arg("num_q_tokens").value = integer_of(call, "num_q_tokens") - 1; });
  add_extend_contracts(list);
  add_empty_batch_contract(list);
}

void add_empty_batch_contract(ContractList& list) {
  list.edge("no_requests", "a batch of nothing: empty plans, or a clean refusal", [](Call& call) {
    for (const char* name : {"req_pool_indices", "seq_lens", "extend_lens"}) call.arg(name).tensor() = numbers({});
    call.arg("pin_buffer").tensor() = HostTensor::make(DType::kU8, {0});
    call.arg("num_q_tokens").value = std::int64_t{0};
  });
}

void add_swa_address_contracts(ContractList& list) {
  list.wrong_form("req_to_token", DType::kI64);
  list.wrong_form("full_to_swa", DType::kI32);
  list.strided("req_to_token");
  list.strided("full_to_swa");
  list.misplaced("req_to_token", Place::kHost);
  list.misplaced("full_to_swa", Place::kHost);
  list.integer("ring_size", "ring_6", 6, "a ring that holds no whole number of groups is refused");
  list.integer("swa_page_size", "page_20", 20, "a cache page that holds no whole number of rings is refused");
}

void add_extend_contracts(ContractList& list) {
  const auto change = [&](const char* name, const char* meaning, std::size_t index, std::int64_t value) {
    list.add(name, meaning, "extend_lens",
             [index, value](Call& call) { call.arg("extend_lens").tensor().at<std::int64_t>(index) = value; });
  };
  change("extend_zero", "a request of no tokens is refused where the host can see it", 1, 0);
  change("extend_negative", "a negative count of tokens is refused", 1, -1);
  change("extend_beyond_length", "more new tokens than the request is long are refused", 2, 1000);
}

Scenario host_equals_device(std::vector<Params> points) {
  return relation("host_equals_device", "lengths on the host and on the device give the same plan, as sets",
                  only(std::move(points)), [](ScenarioContext& x) {
                    Case on_device = x.c;
                    on_device.params.set("lens", "device");
                    const Call host = x.op.make(x.c), device = x.op.make(on_device);
                    x.expect_agree("host against device", x.op.observe(x.c, host, x.call("lengths on the host", host)),
                                   x.op.observe(on_device, device, x.call("lengths on the device", device)));
                  });
}

}  // namespace dsv4
