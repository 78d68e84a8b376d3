#include "harness/op/define.h"
#include "harness/ops/compress/online_v1_op.h"

namespace dsv4 {
namespace {

constexpr std::uint32_t kManyLength = 70016;  ///< more than 16 bits, and a multiple of 128

/// Copies row `from` of `rows` to row `to` of `t`. Both have rows of the same width.
void copy_token(const HostTensor& rows, std::int64_t from, HostTensor& t, std::int64_t to) {
  const std::int64_t width = rows.size(1);
  std::memcpy(t.element(to * width), rows.element(from * width), static_cast<std::size_t>(width * size_of(rows.dtype)));
}

/// The large call must give what the reference gives for the small call. Both have the same records, apart from the
/// numbers of rows, and the same state. So the reference need not make the large call.
void expect_as_small(ScenarioContext& x, const std::string& where, const Call& large, Call small) {
  x.op.fit(small);
  const CallResult result = x.call(where, large);
  const Observation got = x.op.observe(x.c, large, result);
  x.expect_agree(where, got, x.expected(small), x.op.tolerances(x.c, small, result, got, x.reference));
}

void run_many_tokens(ScenarioContext& x) {
  // A plan numbers at most 65536 tokens. The other tokens are zeros, so a segment of other tokens has another result.
  constexpr std::int64_t kTokens = 65536, kSegment = 3;
  const std::vector<std::int64_t> last{2, 32768, 40000, kTokens - 1};
  const OnlineTokens tokens(x.c.params, x.c.seed);
  const std::int64_t count = std::ssize(last);
  const HostTensor rows = tokens.input(Batch{{1}, {kSegment * count}, {kSegment * count}});
  HostTensor input = HostTensor::make(kF32, {kTokens, kOnlineRow});
  std::vector<layout::CompressPlan> complete, open;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t token = last[static_cast<std::size_t>(i)];
    for (std::int64_t k = 0; k < kSegment; ++k) copy_token(rows, kSegment * i + k, input, token - kSegment + 1 + k);
    const auto slot = static_cast<std::int32_t>(i);
    complete.push_back({kManyLength, static_cast<std::uint16_t>(token), kSegment, slot, -1});
    open.push_back({kManyLength + 5, static_cast<std::uint16_t>(token), kSegment, slot, -1});
  }
  const HostTensor state = tokens.state(count, OnlineTokens::read_by(complete));
  const std::string& op = x.op.info().name;
  Call large = tokens.call(op, state, std::move(input), {plan_tensor(complete), plan_tensor(open)});
  x.op.fit(large);
  for (std::int64_t i = 0; i < count; ++i) {
    for (auto* plan : {&complete, &open}) {
      (*plan)[static_cast<std::size_t>(i)].ragged_id = static_cast<std::uint16_t>(kSegment * i + kSegment - 1);
    }
  }
  expect_as_small(x, "65536 tokens", large, tokens.call(op, state, rows, {plan_tensor(complete), plan_tensor(open)}));
}

void run_many_requests(ScenarioContext& x) {
  constexpr std::int64_t kRequests = 65540;
  const std::vector<std::int64_t> chosen{1, 32768, kRequests - 1};
  const OnlineTokens tokens(x.c.params, x.c.seed);
  const HostTensor rows = tokens.input(Batch{{1}, {std::ssize(chosen)}, {std::ssize(chosen)}});
  HostTensor input = HostTensor::make(kF32, {kRequests, kOnlineRow});
  // The other requests have no token.
  std::vector<layout::DecodePlan> plan(kRequests, layout::kNoRequest), few;
  for (std::int64_t i = 0; i < std::ssize(chosen); ++i) {
    const std::int64_t request = chosen[static_cast<std::size_t>(i)];
    copy_token(rows, i, input, request);
    const auto slot = static_cast<std::int32_t>(i + 1);
    few.push_back({i == 0 ? kManyLength - 7 : kManyLength, slot, slot, -1});
    plan[static_cast<std::size_t>(request)] = few.back();
  }
  const HostTensor state = tokens.state(std::ssize(chosen) + 1, {{0, 1}, {1, 120}, {2, 127}, {3, 127}});
  const std::string& op = x.op.info().name;
  Call large = tokens.call(op, state, std::move(input), {plan_tensor(plan)});
  x.op.fit(large);
  large.arg("kv_output").footprint.clear();  // a kernel may take a length of 0 for a complete group
  expect_as_small(x, "65540 requests", large, tokens.call(op, state, rows, {plan_tensor(few)}));
}

/// A V1 plan numbers tokens and requests with 32 bits.
void run_many_tokens_v1(ScenarioContext& x) {
  constexpr std::int64_t kRows = 65540, kSegment = 3;  // tokens, and requests
  const std::vector<std::int64_t> last{2, 32768, 40000, kRows - 1}, requests{1, 32768, 40001, kRows - 1};
  const OnlineTokens tokens(x.c.params, x.c.seed);
  const std::int64_t count = std::ssize(last);
  const HostTensor rows = tokens.input(Batch{{1}, {kSegment * count}, {kSegment * count}});
  HostTensor input = HostTensor::make(kF32, {kRows, kOnlineRow});
  std::vector<layout::TokenPlan> complete, open, few_complete, few_open;
  std::vector<OpenSlot> read;
  // The other requests have a slot of their own.
  HostTensor slots = numbers(std::vector<std::int64_t>(kRows, count), kI32), few_slots = numbers({0, 1, 2, 3}, kI32);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i);
    for (std::int64_t k = 0; k < kSegment; ++k) copy_token(rows, kSegment * i + k, input, last[at] - kSegment + 1 + k);
    set_integer(slots, requests[at], i);
    read.push_back({i, kOnlineGroup - kSegment});
    const auto token = static_cast<std::uint32_t>(last[at]), request = static_cast<std::uint32_t>(requests[at]);
    complete.push_back({token, request, kManyLength - 1, kSegment});
    open.push_back({token, request, kManyLength + 4, kSegment});
    for (const auto& [plan, few] : {std::pair{&complete, &few_complete}, {&open, &few_open}}) {
      few->push_back(plan->back());
      few->back().ragged_id = static_cast<std::uint32_t>(kSegment * (i + 1) - 1);
      few->back().batch_id = static_cast<std::uint32_t>(i);
    }
  }
  const HostTensor state = tokens.state(count + 1, read);
  const std::string& op = x.op.info().name;
  Call large =
      online_v1_call(op, tokens, state, std::move(input), {slots, slots}, {plan_tensor(complete), plan_tensor(open)});
  x.op.fit(large);
  expect_as_small(x, "65540 tokens of 65540 requests", large,
                  online_v1_call(op, tokens, state, rows, {few_slots, few_slots},
                                 {plan_tensor(few_complete), plan_tensor(few_open)}));
}

void run_many_requests_v1(ScenarioContext& x) {
  constexpr std::int64_t kRequests = 65540;
  const std::vector<std::int64_t> chosen{1, 32768, kRequests - 1};
  const OnlineTokens tokens(x.c.params, x.c.seed);
  const HostTensor rows = tokens.input(Batch{{1}, {std::ssize(chosen)}, {std::ssize(chosen)}});
  HostTensor input = HostTensor::make(kF32, {kRequests, kOnlineRow});
  // The other requests have no token. A kernel may keep a token of theirs in slot 0.
  HostTensor slots = numbers(std::vector<std::int64_t>(kRequests, 0), kI32), lengths = slots;
  HostTensor few_slots = numbers({1, 2, 3}, kI32), few_lengths = few_slots;
  for (std::int64_t i = 0; i < std::ssize(chosen); ++i) {
    const std::int64_t request = chosen[static_cast<std::size_t>(i)];
    copy_token(rows, i, input, request);
    for (const auto& [t, row] : {std::pair{&lengths, request}, {&few_lengths, i}})
      set_integer(*t, row, i == 0 ? kManyLength - 7 : kManyLength);
    set_integer(slots, request, i + 1);
  }
  const HostTensor state = tokens.state(std::ssize(chosen) + 1, {{0, 1}, {1, 120}, {2, 127}, {3, 127}});
  const std::string& op = x.op.info().name;
  Call large = online_v1_call(op, tokens, state, std::move(input), {slots, None{}}, {lengths});
  x.op.fit(large);
  large.arg("kv_buffer").footprint.clear();
  expect_as_small(x, "65540 requests", large,
                  online_v1_call(op, tokens, state, rows, {few_slots, None{}}, {few_lengths}));
}

}  // namespace

Scenario online_many_tokens(const OnlineOp& op) {
  return relation("many_tokens", "segments that end at tokens 32768 and 65535 have the rows of these tokens",
                  op.at({}, {""}), run_many_tokens);
}

Scenario online_many_requests(const OnlineOp& op) {
  return relation("many_requests", "the results of requests 32768 and 65539 come from the rows of these requests",
                  op.at({}, {""}), run_many_requests);
}

Scenario online_many_tokens_v1(const OnlineOp& op) {
  return relation("many_tokens",
                  "segments of tokens and requests up to 65539 have the rows of these tokens and requests",
                  op.at({}, {""}), run_many_tokens_v1);
}

Scenario online_many_requests_v1(const OnlineOp& op) {
  return relation("many_requests", "the results of requests 32768 and 65539 come from the rows of these requests",
                  op.at({}, {""}), run_many_requests_v1);
}

}  // namespace dsv4
