#include "harness/op/define.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

/// Observed entries by request id and position. Both stay the same when requests change their places in a batch.
Observation by_request(const Batch& batch, const Observation& o) {
  using Columns = std::vector<std::int64_t>;
  Observation entries;
  const auto tokens = tokens_of(batch);
  for (const auto& [name, columns] : {std::pair{"compress_plan", Columns{1, 2, 3, 4}}, {"write_plan", Columns{1}}}) {
    const HostTensor& plan = o.output(name);
    KeyedRows rows;
    for (std::int64_t i = 0; i < plan.size(0); ++i) {
      const auto token = static_cast<std::size_t>(plan.at<std::int32_t>(i, 0));
      if (token >= tokens.size()) continue;  // already a finding
      rows[{tokens[token].id, tokens[token].position}] = columns_of(gather_rows(plan, {i}, plan.size(1)), columns);
    }
    entries.add(fmt::format("{}_keys", name), keys_of(rows)).add(name, stacked(rows));
  }
  entries.findings = o.findings;
  return entries;
}

void batch_permutation(ScenarioContext& x) {
  const Call call = x.op.make(x.c);
  const Batch batch = batch_of(call);
  const Batch other = batch.permuted(Random(x.c.seed, "permutation").permutation(batch.size()));
  Call permuted = call;
  permuted.arg("req_pool_indices").tensor() = numbers(other.request_ids);
  permuted.arg("seq_lens").tensor() = numbers(other.seq_lens);
  permuted.arg("extend_lens").tensor() = numbers(other.extend_lens);
  x.expect_agree("permuted", by_request(other, x.observed("permuted", permuted)),
                 by_request(batch, x.observed("original", call)));
}

/// Those entries of both plans whose token is one of the batch's first `tokens` tokens.
Observation entries_of_first(const Observation& o, std::int64_t tokens) {
  Observation kept;
  for (const char* name : {"compress_plan", "write_plan"}) {
    const HostTensor& plan = o.output(name);
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < plan.size(0) && plan.at<std::int32_t>(i, 0) < tokens; ++i) rows.push_back(i);
    kept.add(name, rows_of(plan, rows));
  }
  kept.findings = o.findings;
  return kept;
}

void one_request_differs(ScenarioContext& x) {
  const Call call = x.op.make(x.c);
  Batch batch = batch_of(call);
  const std::int64_t before_last = batch.tokens() - batch.extend_lens.back();
  // The new tokens of the last request begin one position earlier. Its length stays the same, so no map changes.
  ++batch.extend_lens.back();
  Call longer = call;
  longer.arg("extend_lens").tensor() = numbers(batch.extend_lens);
  longer.arg("num_q_tokens").value = batch.tokens();
  x.expect_agree("other requests", entries_of_first(x.observed("one token more", longer), before_last),
                 entries_of_first(x.observed("uniform", call), before_last));
}

/// Makes a call with more requests than a thread block has threads.
void make_1025_requests(Call& call) {
  Batch batch;
  for (std::int64_t b = 0; b < 1025; ++b) {
    batch.request_ids.push_back(b);
    batch.seq_lens.push_back(1 + b % 9);
    batch.extend_lens.push_back(1);
  }
  const CacheMaps maps = make_maps(batch, {.pool = 1025, .page_size = 16, .ring_size = 8}, 1);
  call = prefill_plan_call({.ratio = 4, .lens_on_device = true, .use_cuda_graph = true}, batch, maps);
}

}  // namespace

std::vector<Scenario> plan_prefill_relations(const Op& op) {
  std::vector<Scenario> list = far_map_relations(
      op.at({"batch=9 len=250 extend=9", "ratio=128 ring=128 lens=device graph=1 batch=9 len=124 extend=9"}));
  Contracts contracts(list);
  contracts.integer("ratio_0", "a ratio of zero is refused before any division by it", "compress_ratio", 0);
  contracts.misplaced("extend_lens_on_device", "extend_lens on the device and seq_lens on the host are refused",
                      "extend_lens", Place::kDevice);

  // The harness derives these contracts for lengths on the host. Here the lengths are on the device.
  Contracts device(list, op.at({"lens=device graph=1"}));
  device.misplaced("device_req_pool_indices_on_host", "a tensor in the wrong memory is refused, not dereferenced",
                   "req_pool_indices", Place::kHost);
  device.edge("device_no_requests", "a batch without requests: nothing is written, or the call is refused",
              [&op](Call& call) { keep_batch(op, call, {}); });
  device.edge("device_requests_1025",
              "more requests than a block has threads: the plan is right, or the call is refused", make_1025_requests);

  // On a device, many threads make one plan. Some points have more requests than a warp, or than a thread block, has
  // threads. There, the lengths of requests differ from warp to warp.
  list.push_back(
      repeat_relation(op.at({"", "ratio=128 ring=256 lens=device graph=1 batch=40 len=250 extend=5 mix=last_differs",
                             "ring=16 lens=device graph=1 batch=300 len=9 extend=5 slack=3",
                             "lens=device graph=1 batch=1024 len=9 spread=random extend=3 mix=some_empty"})));
  list.push_back(host_equals_device(
      op.at({"graph=1 batch=9 len=250 extend=9", "ring=16 graph=1 batch=9 len=1 extend=4 mix=uniform",
             "ratio=128 ring=128 graph=1 batch=9 len=124 extend=130",
             "ratio=128 ring=256 graph=1 batch=9 len=124 extend=4 mix=uniform",
             "ratio=128 ring=256 graph=1 batch=40 len=250 extend=5 mix=last_differs"})));
  list.push_back(relation("batch_permutation",
                          "if requests change places, entries stay the same, except for the token's row in the batch",
                          op.at({"batch=9 len=250 extend=9",
                                 "ratio=128 ring=256 lens=device graph=1 batch=40 len=250 spread=random extend=5"}),
                          batch_permutation));
  list.push_back(relation(
      "one_request_differs",
      "one more token of the last request may select another path of the planner, but changes no other request",
      op.at({"ring=16 lens=device graph=1 batch=9 len=250 extend=4 mix=uniform",
             "ratio=128 ring=256 lens=device graph=1 batch=33 len=120 extend=8 mix=uniform",
             "lens=device graph=1 len=60 extend=32 mix=uniform"}),
      one_request_differs));
  return list;
}

}  // namespace dsv4
