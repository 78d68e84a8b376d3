#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/v1_op.h"
#include "harness/ops/elementwise/many_rows.h"

namespace dsv4 {
namespace {

constexpr std::uint32_t kLength = 128000;  ///< length of every request: more than 16 bits, and a multiple of 128

/// The rows of `windows` windows, as one tensor [windows * window of an entry, width].
HostTensor window_rows(const OfflineTokens& tokens, std::int64_t windows) {
  const std::int64_t rows = window_of(tokens.ratio()) * windows;
  return tokens.input(Batch{{1}, {rows}, {rows}});
}

/// Copies rows `from` ... `from` + count - 1 of `rows` to row `to` of `t`, which is seen as [n, width of rows].
void copy_rows(const HostTensor& rows, std::int64_t from, std::int64_t count, HostTensor& t, std::int64_t to) {
  const std::int64_t width = rows.size(1);
  std::memcpy(t.element(to * width), rows.element(from * width),
              static_cast<std::size_t>(count * width * size_of(rows.dtype)));
}

/// A V1 call of as many requests as tokens. Entry i ends at token `last[i]`, and belongs to another request than that
/// number. The token is kept in the state page i.
Call many_tokens_v1(const std::string& op, const OfflineTokens& tokens, const HostTensor& state,
                    const HostTensor& input, const std::vector<std::int64_t>& last) {
  const std::int64_t requests = input.size(0);
  const Shape extra = tokens.ratio() == 4 ? Shape{requests, 4} : Shape{requests};
  V1Pages pages{HostTensor::make(kI32, {requests}), HostTensor::make(kI32, extra)};
  std::vector<layout::TokenPlan> records;
  for (std::size_t i = 0; i < last.size(); ++i) {
    const std::int64_t request = last[(i + 1) % last.size()];
    set_integer(pages.indices, request, static_cast<std::int64_t>(i));
    records.push_back({static_cast<std::uint32_t>(last[i]), static_cast<std::uint32_t>(request), kLength - 1, 0});
  }
  return v1_call(op, tokens, state, input, std::move(pages), {plan_tensor(records), plan_tensor(records)});
}

/// The call of a V2 op with the same entries. The tokens are kept in the rows i of the state.
Call many_tokens_v2(const std::string& op, const OfflineTokens& tokens, const HostTensor& state,
                    const HostTensor& input, const std::vector<std::int64_t>& last) {
  std::vector<layout::CompressPlan> entries;
  std::vector<layout::WritePlan> kept;
  for (std::size_t i = 0; i < last.size(); ++i) {
    entries.push_back({kLength, static_cast<std::uint16_t>(last[i]), 0, -1, 0});
    kept.push_back({static_cast<std::uint32_t>(last[i]), static_cast<std::int32_t>(i)});
  }
  return tokens.call(op, state, input, {plan_tensor(entries), plan_tensor(kept)});
}

void many_tokens(ScenarioContext& x) {
  // A plan of V2 numbers at most 65535 tokens. The tokens outside the windows are zeros, so an entry of another token
  // has another result.
  const OfflineTokens tokens = offline_op(x).tokens(x.c);
  const std::int64_t ratio = tokens.ratio(), window = window_of(ratio);
  const bool v1 = x.c.params.has("state");
  const std::int64_t count = v1 ? 70000 : 65535;
  std::vector<std::int64_t> last{window - 1, 32768, 40000, count - 1};
  if (v1) last.insert(last.end() - 1, 65544);  // token 8, if its number is cut to 16 bits
  const HostTensor rows = window_rows(tokens, std::ssize(last));
  HostTensor input = HostTensor::make(kF32, {count, rows.size(1)});
  for (std::int64_t i = 0; i < std::ssize(last); ++i) {
    copy_rows(rows, window * i, window, input, last[static_cast<std::size_t>(i)] - (window - 1));
  }
  const HostTensor state = HostTensor::make(kF32, {v1 ? std::ssize(last) : 1, ratio, rows.size(1)});
  Call call = (v1 ? many_tokens_v1 : many_tokens_v2)(x.op.info().name, tokens, state, input, last);
  x.op.fit(call);
  const std::string where = fmt::format("{} tokens", count);
  const CallResult result = x.call(where, call);
  const Observation got = x.op.observe(x.c, call, result);
  x.expect_agree(where, got, x.expected(call), x.op.tolerances(x.c, call, result, got, x.reference));
}

/// The V1 call with the pages and the lengths of a plan.
Call decode_v1(const std::string& op, const OfflineTokens& tokens, const HostTensor& state, const HostTensor& input,
               const std::vector<layout::DecodePlan>& plan) {
  V1Pages pages{HostTensor::make(kI32, {std::ssize(plan)}), None{}};
  HostTensor extra = HostTensor::make(kI32, {std::ssize(plan), 1});
  std::vector<std::int64_t> lengths;
  for (std::size_t b = 0; b < plan.size(); ++b) {
    set_integer(pages.indices, static_cast<std::int64_t>(b), plan[b].read_page_1);
    set_integer(extra, static_cast<std::int64_t>(b), plan[b].read_page_0);
    lengths.push_back(plan[b].seq_len);
  }
  if (tokens.ratio() == 4) pages.extra = std::move(extra);
  return v1_call(op, tokens, state, input, std::move(pages), {numbers(lengths, kI32)});
}

void many_requests(ScenarioContext& x) {
  constexpr std::int64_t kRequests = 65540;
  // The first two are neighbours: one block may make both entries.
  const std::vector<std::int64_t> complete{0, 1, 32768, kRequests - 1};
  const OfflineTokens tokens = offline_op(x).tokens(x.c);
  const std::int64_t ratio = tokens.ratio(), window = window_of(ratio);
  const HostTensor rows = window_rows(tokens, std::ssize(complete));
  HostTensor input = HostTensor::make(kF32, {kRequests, rows.size(1)});
  // Each of these requests has the state pages of a window. The others have no token (length 0). They name a further
  // page, so a kernel that takes them for real requests does not change what is compared.
  const std::int64_t of_window = window / ratio;  // pages
  const auto pages = static_cast<std::int32_t>(of_window * std::ssize(complete));
  HostTensor state = HostTensor::make(kF32, {pages + 1, ratio, rows.size(1)});
  std::vector<layout::DecodePlan> plan(kRequests, {0, static_cast<std::int32_t>(ratio * pages), pages, pages});
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < std::ssize(complete); ++i) {
    const std::int64_t request = complete[static_cast<std::size_t>(i)];
    copy_rows(rows, window * i, window - 1, state, window * i);
    copy_rows(rows, window * i + window - 1, 1, input, request);
    const auto first = static_cast<std::int32_t>(of_window * i),
               own = static_cast<std::int32_t>(of_window * (i + 1) - 1);
    kept.push_back(window * i + window - 1);
    plan[static_cast<std::size_t>(request)] = {kLength, static_cast<std::int32_t>(kept.back()), first, own};
  }
  Call call = x.c.params.has("state") ? decode_v1(x.op.info().name, tokens, state, input, plan)
                                      : tokens.call(x.op.info().name, state, input, {plan_tensor(plan)});
  x.op.fit(call);
  call.arg("kv_output").footprint.clear();  // a kernel may take a length of 0 for a complete group
  std::vector<std::int64_t> may_change = kept;
  for (std::int64_t row = 0; row < ratio; ++row) may_change.push_back(ratio * pages + row);
  call.arg("kv_buffer").footprint = footprint_of_rows(call.tensor("kv_buffer"), may_change, tokens.width());
  const auto observed = [&](const CallResult& result) {
    return Observation()
        .add("kv_output", gather_rows(result.tensor("kv_output"), complete, tokens.head_dim()))
        .add("kept_rows", gather_rows(result.tensor("kv_buffer"), kept, tokens.width()));
  };
  Tolerance bound = bounded(call, x.reference, "kv_output", offline_op(x).bound_reason());
  bound.bound = gather_rows(bound.bound, complete, tokens.head_dim());
  x.expect_agree("65540 requests", observed(x.call("65540 requests", call)), observed(x.reference.call(call)),
                 {{"kv_output", std::move(bound)}});
}

}  // namespace

Scenario offline_many_tokens(const OfflineOp& op) {
  return relation("many_tokens", "entries and kept rows of tokens 32768 and 65534 come from the rows of these tokens",
                  op.at({}, {""}), many_tokens);
}

Scenario offline_many_requests(const OfflineOp& op) {
  // At ratio 128, a kernel has sixteen warps for each request, so the call takes seconds on a CPU.
  return relation("many_requests",
                  "entries and kept rows of requests 32768 and 65539 come from the rows of these requests",
                  op.ratio() == 4 ? op.at({}, {""}) : in_full(op.params_at("")), many_requests);
}

}  // namespace dsv4
