#include "harness/ops/compress/planner.h"

#include <numeric>

#include "harness/op/define.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

/// Bytes that a look-up of a state row reads: an i32 slot in req_to_token and an i64 slot in full_to_swa.
constexpr std::int64_t kLookUpBytes = 4 + 8;

bool uses_swa(const Call& call) { return has_argument(call, "full_to_swa"); }

/// Number of state rows: one ring for each page of the sliding-window cache, or for each request id up to the highest.
std::int64_t state_rows(const Call& call) {
  if (uses_swa(call)) {
    return call.tensor("full_to_swa").numel() / integer_of(call, "swa_page_size") * integer_of(call, "ring_size");
  }
  const std::vector<std::int64_t> ids = numbers_of(call, "req_pool_indices");
  constexpr std::int64_t kMostRings = std::int64_t{1} << 31;  // more do not fit in the records of a plan
  const std::int64_t rings = ids.empty() ? 0 : std::min(*std::ranges::max_element(ids), kMostRings) + 1;
  return rings * window_of(integer_of(call, "compress_ratio"));
}

/// Number of rows of each plan if the plans are padded; -1: one row for each entry.
std::int64_t plan_rows(const Call& call) { return is_padded(call) ? integer_of(call, "num_q_tokens") : -1; }

/// Sets num_q_tokens of a prefill planner's call to `rows`, and gives the call scratch for `pin_rows` rows.
void set_rows(Call& call, std::int64_t rows, std::int64_t pin_rows) {
  call.arg("num_q_tokens").value = rows;
  call.arg("pin_buffer").value = HostTensor::make(kU8, {kPinBytes * pin_rows});
}

}  // namespace

ParamSpec ratio_param() { return word("ratio", {"4", "128"}, "tokens per compressed entry"); }

ParamSpec graph_param() { return flag("graph", "plans have a fixed size, which a captured CUDA graph needs"); }

ParamSpec slack_param(std::int64_t most, std::string meaning) {
  return number("slack", 0, most, std::move(meaning), {.quick = {0, 7}, .soak = {0, 1, 6, 100, 2042}});
}

std::vector<ParamSpec> edge_batch() {
  return prefill_batch({.usual = 5, .quick = {9}}, {.usual = 21, .quick = {1, 4, 12, 60, 124, 252, 508}},
                       {.usual = 6, .quick = {1, 2, 4, 5, 8, 9, 33, 127, 128, 129, 300}});
}

std::optional<std::string> reject_plan_tokens(const Params& p) {
  if (most_tokens(p) + (p.has("slack") ? p.integer("slack") : 0) <= kMostPlanTokens) return std::nullopt;
  return fmt::format("a plan numbers at most {} tokens", kMostPlanTokens);
}

std::optional<std::string> reject_host_lens(const Params& p) {
  if (p.has("lens") && p.is("lens", "device")) return std::nullopt;
  if (p.has("slack") && p.integer("slack") != 0) return "with lengths on the host, each row needs a token: slack=0";
  if (p.is("mix", "some_empty")) return "with lengths on the host, each request must have a new token";
  return std::nullopt;
}

bool is_tiny_batch(const Params& p) { return p.integer("batch") * p.integer("extend") < 2; }

Batch batch_of(const Call& call) {
  Batch batch{{}, numbers_of(call, "seq_lens"), std::vector<std::int64_t>(call.tensor("seq_lens").numel(), 1)};
  batch.request_ids.resize(batch.seq_lens.size());
  std::iota(batch.request_ids.begin(), batch.request_ids.end(), 0);
  if (has_argument(call, "req_pool_indices")) batch.request_ids = numbers_of(call, "req_pool_indices");
  if (has_argument(call, "extend_lens")) batch.extend_lens = numbers_of(call, "extend_lens");
  return batch;
}

Observation observe_prefill_plan(const Call& call, const CallResult& result) {
  return observe_prefill_plan({.batch = batch_of(call),
                               .ratio = integer_of(call, "compress_ratio"),
                               .state_rows = state_rows(call),
                               .plan_rows = plan_rows(call),
                               .in_token_order = !lens_on_device(call)},
                              returned_tensor(result, 0), returned_tensor(result, 1));
}

std::vector<Scenario> Planner::scenarios() const {
  std::vector<Scenario> list{late_allocation_relation(only(points(Tier::kSmoke)))};
  Contracts contracts(list, at({info().contract_point}));
  // A kernel may support more than the in-tree kernels do. The checks of a plan's contents find a wrong plan.
  const auto unusual = [&](const char* name, const char* what, const char* argument, std::int64_t value) {
    contracts.edge(name, fmt::format("{}: the plan is right, or the call is refused", what),
                   [argument, value](Call& call) { call.arg(argument).value = value; });
  };
  unusual("ratio_8", "a ratio that is neither 4 nor 128", "compress_ratio", 8);
  if (info().space.find("ring") != nullptr) {
    unusual("ring_6", "a ring size that is not a multiple of the ratio", "ring_size", 6);
    unusual("page_20", "a page size that is not a multiple of the ring", "swa_page_size", 20);
  }
  return list;
}

std::vector<std::int64_t> DecodePlanner::indices_of(const Call& call, const std::string& argument,
                                                    std::int64_t row) const {
  if (argument != "req_to_token" && argument != "full_to_swa") return Op::indices_of(call, argument, row);
  const HostTensor& slots = call.tensor("req_to_token");
  const std::int64_t id = numbers_of(call, "req_pool_indices")[static_cast<std::size_t>(row)];
  const std::int64_t newest = numbers_of(call, "seq_lens")[static_cast<std::size_t>(row)] - 1;
  std::vector<std::int64_t> elements;
  for (const std::int64_t p : {newest, std::max<std::int64_t>(newest - integer_of(call, "compress_ratio"), 0)}) {
    elements.push_back(argument == "req_to_token" ? id * slots.size(1) + p : slots.at<std::int32_t>(id, p));
  }
  return elements;
}

Observation DecodePlanner::observe(const Case&, const Call& call, const CallResult& result) const {
  return observe_decode_plan(batch_of(call), integer_of(call, "compress_ratio"), state_rows(call),
                             returned_tensor(result, 0));
}

Cost DecodePlanner::cost(const Case&, const Call& call) const {
  // Bytes of an id, a length, two look-ups, and a row of the plan for each request.
  const std::int64_t look_ups = uses_swa(call) ? 2 * kLookUpBytes : 0;
  return {.bytes = static_cast<double>(call.tensor("seq_lens").numel() * (8 + 8 + look_ups + 16))};
}

void PrefillPlanner::fit(Call& call) const {
  const std::int64_t tokens = batch_of(call).tokens();
  set_rows(call, tokens, tokens);
}

Cost PrefillPlanner::cost(const Case&, const Call& call) const {
  const Batch batch = batch_of(call);
  const std::int64_t ratio = integer_of(call, "compress_ratio"), rows = plan_rows(call);
  const bool swa = uses_swa(call);
  const plans::PrefillRecords records =
      counted_records(batch, ratio, {.cache_page = swa ? integer_of(call, "swa_page_size") : 0});
  const std::int64_t entries = std::ssize(records.compress), kept = std::ssize(records.write);
  // Bytes of an id and two lengths per request, two look-ups per entry, one per kept row, and the plans.
  const std::int64_t look_ups = swa ? (2 * entries + kept) * kLookUpBytes : 0;
  const std::int64_t plan_bytes = (rows < 0 ? entries : rows) * std::int64_t{sizeof(layout::CompressPlan)} +
                                  (rows < 0 ? kept : rows) * std::int64_t{sizeof(layout::WritePlan)};
  return {.bytes = static_cast<double>(batch.size() * 24 + look_ups + plan_bytes)};
}

std::vector<Scenario> PrefillPlanner::scenarios() const {
  std::vector<Scenario> list = Planner::scenarios();
  Contracts contracts(list);
  contracts.integer("rows_below_batch", "a number of rows below the number of requests is refused", "num_q_tokens", 4);
  contracts.refused("rows_65536", "more tokens than 16 bits can number are refused", "num_q_tokens",
                    [](Call& call) { set_rows(call, kMostPlanTokens + 1, kMostPlanTokens + 1); });
  contracts.edge("pin_small", "with scratch one byte too small, the plan is right, or the call is refused",
                 [](Call& call) {
                   HostTensor& pin = call.arg("pin_buffer").tensor();
                   pin = HostTensor::make(kU8, {pin.numel() - 1});
                 });
  contracts.refused("sum_below", "fewer new tokens than rows are refused", "extend_lens", [](Call& call) {
    const std::int64_t rows = integer_of(call, "num_q_tokens") + 1;
    set_rows(call, rows, rows);
  });
  contracts.refused("sum_above", "more new tokens than rows are refused", "extend_lens", [](Call& call) {
    const std::int64_t rows = integer_of(call, "num_q_tokens");
    set_rows(call, rows - 1, rows);
  });
  add_extend_contracts(contracts);
  append(list, prefill_plan_outside(*this));
  return list;
}

void add_extend_contracts(Contracts& contracts) {
  const auto change = [&](const char* name, const char* meaning, std::size_t index, std::int64_t value) {
    contracts.refused(name, meaning, "extend_lens",
                      [index, value](Call& call) { call.arg("extend_lens").tensor().at<std::int64_t>(index) = value; });
  };
  change("extend_zero", "a request without new tokens is refused if the host sees the counts", 1, 0);
  change("extend_negative", "a negative count of tokens is refused", 1, -1);
  change("extend_beyond_length", "new tokens that exceed the request's length are refused", 2, 1000);
}

Scenario host_equals_device(Points points) {
  return any_word_relation("host_equals_device", "a plan has the same rows for lengths on the host and on the device",
                           std::move(points), "lens");
}

}  // namespace dsv4
