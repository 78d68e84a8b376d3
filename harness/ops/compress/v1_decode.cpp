#include "harness/ops/compress/v1_decode.h"

#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

/// The fields that all V1 decode ops have in common.
OpInfo v1_decode_info(std::int64_t ratio, OpInfo info, Argument extra) {
  info.signature = {
      {v1_state_argument(ratio), in("kv_input", {kF32}, "requests width"),
       out("kv_output", {kF32}, "requests:rows head_dim", {.names = {{"rows", "output_rows"}}}),
       in("ape", {kF32}, fmt::format("{}:rows head_dim", window_of(ratio))), in("indices", {kI32}, "requests:count"),
       in("seq_lens", {kI32}, "requests:count", {.names = {{"count", "lens_count"}}}), std::move(extra)},
      "requests"};
  info.without.insert({"relation:any_batch", "the op writes state rows, which are not rows of the batch"});
  info.host_note = "the fast exponential and division of the GPU";
  return info;
}

}  // namespace

V1Decode::V1Decode(std::int64_t ratio, OpInfo info, Argument extra)
    : V1Op(ratio, v1_decode_info(ratio, std::move(info), std::move(extra))) {}

Call V1Decode::make(const Case& c) const {
  const Batch batch = make_batch(c.params, c.seed);
  const V1State state(ratio(), c.params, make_maps(batch, c.params, c.seed));
  const OfflineTokens tokens = this->tokens(c);
  Call decode = v1_call(c.op, tokens, v1_rows(tokens, state, batch.request_ids, batch.prefixes()), tokens.input(batch),
                        state.decode(batch), {numbers(batch.seq_lens, kI32)});
  fit(decode);
  return decode;
}

std::vector<Scenario> V1Decode::scenarios() const {
  std::vector<Scenario> list = V1Op::scenarios();
  list.push_back(offline_many_requests(*this));
  return list;
}

/// Row b of the batch belongs to request b. Its token is kept. If the length is a multiple of the ratio, the call also
/// writes row b of kv_output. A request of length 0 has no token.
V1Written V1Decode::written_by(const Call& call) const {
  const auto lengths = numbers_of(call, "seq_lens"), pages = numbers_of(call, "indices");
  const bool has_page_before = ratio() == 4 && call.arg("extra").is_tensor();
  V1Written rows;
  for (std::int64_t b = 0; b < std::ssize(lengths); ++b) {
    const std::int64_t length = lengths[static_cast<std::size_t>(b)], page = pages[static_cast<std::size_t>(b)];
    if (length <= 0 || v1_row(call, page, 0) < 0) continue;
    rows.kept.push_back({b, v1_row(call, page, length - 1)});
    const std::int64_t before = has_page_before ? integer_at(call.tensor("extra"), b) : page;
    const bool first_group = length == ratio();
    if (length % ratio() == 0 && (first_group || v1_row(call, before, 0) >= 0))
      rows.entries.push_back({b, b, first_group});
  }
  return rows;
}

std::vector<const float*> V1Decode::window_rows(const Call& call, std::int64_t entry) const {
  const HostTensor &state = call.tensor("kv_buffer"), &input = call.tensor("kv_input");
  const std::int64_t page = integer_at(call.tensor("indices"), entry);
  if (page < 0 || page >= state.size(0)) return {};
  std::vector<const float*> rows;
  for (std::int64_t j = 0; j < ratio() - 1; ++j) rows.push_back(&state.at<float>(page, j, 0));
  rows.push_back(&input.at<float>(entry, 0));
  return rows;
}

}  // namespace dsv4
