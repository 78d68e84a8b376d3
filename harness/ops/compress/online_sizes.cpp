#include "harness/op/define.h"
#include "harness/ops/compress/online_op.h"

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

}  // namespace

Scenario online_many_tokens(const OnlineOp& op) {
  return relation("many_tokens", "segments that end at tokens 32768 and 65535 have the rows of these tokens",
                  op.at({}, {""}), run_many_tokens);
}

Scenario online_many_requests(const OnlineOp& op) {
  return relation("many_requests", "the results of requests 32768 and 65539 come from the rows of these requests",
                  op.at({}, {""}), run_many_requests);
}

}  // namespace dsv4
