#include "harness/op/define.h"
#include "harness/ops/compress/offline_op.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kWindow = 8;
constexpr std::uint32_t kLength = 70000;  ///< length of every request: more than 16 bits, and a multiple of 4

/// The rows of `windows` windows, as one tensor [8 windows, 4H].
HostTensor window_rows(const OfflineTokens& tokens, std::int64_t windows) {
  return tokens.input(Batch{{1}, {kWindow * windows}, {kWindow * windows}});
}

/// Copies rows `from` ... `from` + count - 1 of `rows` to row `to` of `t`, which is seen as [n, width of rows].
void copy_rows(const HostTensor& rows, std::int64_t from, std::int64_t count, HostTensor& t, std::int64_t to) {
  const std::int64_t width = rows.size(1);
  std::memcpy(t.element(to * width), rows.element(from * width),
              static_cast<std::size_t>(count * width * size_of(rows.dtype)));
}

void many_tokens(ScenarioContext& x) {
  // A plan numbers at most 65535 tokens. The other tokens are zeros, so an entry of another token has another result.
  constexpr std::int64_t kTokens = 65535;
  const std::vector<std::int64_t> last{7, 32768, 40000, kTokens - 1};
  const OfflineTokens tokens(x.c.params, x.c.seed);
  const HostTensor rows = window_rows(tokens, std::ssize(last));
  HostTensor input = HostTensor::make(kF32, {kTokens, rows.size(1)});
  std::vector<layout::CompressPlan> entries;
  std::vector<layout::WritePlan> kept;
  for (std::int64_t i = 0; i < std::ssize(last); ++i) {
    const std::int64_t token = last[static_cast<std::size_t>(i)];
    copy_rows(rows, kWindow * i, kWindow, input, token - (kWindow - 1));
    entries.push_back({kLength, static_cast<std::uint16_t>(token), 0, -1, 0});
    kept.push_back({static_cast<std::uint32_t>(token), static_cast<std::int32_t>(i)});
  }
  const HostTensor state = HostTensor::make(kF32, {1, 4, rows.size(1)});
  Call call = tokens.call(x.op.info().name, state, input, {plan_tensor(entries), plan_tensor(kept)});
  x.op.fit(call);
  const CallResult result = x.call("65535 tokens", call);
  const Observation got = x.op.observe(x.c, call, result);
  x.expect_agree("65535 tokens", got, x.expected(call), x.op.tolerances(x.c, call, result, got, x.reference));
}

void many_requests(ScenarioContext& x) {
  constexpr std::int64_t kRequests = 65540;
  const std::vector<std::int64_t> complete{0, 32768, kRequests - 1};
  const OfflineTokens tokens(x.c.params, x.c.seed);
  const HostTensor rows = window_rows(tokens, std::ssize(complete));
  HostTensor input = HostTensor::make(kF32, {kRequests, rows.size(1)});
  // Each of these requests has the two state pages of a window. All others keep their token in one row of a further
  // page, which is not compared.
  const auto pages = static_cast<std::int32_t>(2 * std::ssize(complete));
  HostTensor state = HostTensor::make(kF32, {pages + 1, 4, rows.size(1)});
  std::vector<layout::DecodePlan> plan(kRequests, {1, 4 * pages, pages, pages});
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < std::ssize(complete); ++i) {
    const std::int64_t request = complete[static_cast<std::size_t>(i)];
    copy_rows(rows, kWindow * i, kWindow - 1, state, kWindow * i);
    copy_rows(rows, kWindow * i + kWindow - 1, 1, input, request);
    const auto page = static_cast<std::int32_t>(2 * i);
    plan[static_cast<std::size_t>(request)] = {kLength, 4 * page + 7, page, page + 1};
    kept.push_back(4 * page + 7);
  }
  const Call call = tokens.call(x.op.info().name, state, input, {plan_tensor(plan)});
  const auto observed = [&](const CallResult& result) {
    return Observation()
        .add("kv_output", gather_rows(result.tensor("kv_output"), complete, tokens.head_dim()))
        .add("kept_rows", gather_rows(result.tensor("kv_buffer"), kept, 4 * tokens.head_dim()));
  };
  Tolerance bound = bounded(call, x.reference, "kv_output", kC4BoundReason);
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
  return relation("many_requests",
                  "entries and kept rows of requests 32768 and 65539 come from the rows of these requests",
                  op.at({}, {""}), many_requests);
}

}  // namespace dsv4
