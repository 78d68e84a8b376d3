#include "harness/ops/topk/topk_v2_scenarios.h"

#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/topk/selection_scenarios.h"
#include "harness/ops/topk/topk_plan.h"

namespace dsv4 {
namespace {

/// The planner's call for the rows and the threshold of the case.
Call planner_call(const Case& c, const Call& selection) {
  return call_of("plan_topk_v2",
                 {selection.tensor("seq_lens"), HostTensor::make(kI32, selection.tensor("metadata").shape),
                  c.params.integer("threshold")});
}

/// The planner of the set under test makes the plan for its selection. Both are compared with the reference.
Scenario planned(const Op& op) {
  return sequence("planned", "the selection is right with the plan of the set's own planner",
                  op.at({"batch=17 len=32769 tail=4 lens=few", "batch=16 len=32770 threshold=262144 lens=few"},
                        {"k=1024 batch=40 len=41000 lens=few"}),
                  [](ScenarioContext& x) {
                    Call call = x.op.make(x.c);
                    const Call plan = planner_call(x.c, call);
                    const Op& planner = *find_op("plan_topk_v2");
                    const CallResult made = x.call("plan", plan);
                    x.expect_agree("plan", planner.observe(x.c, plan, made),
                                   planner.observe(x.c, plan, x.reference.call(plan)));
                    call.arg("metadata").value = made.tensor("metadata");
                    const Observation want = x.expected(call);
                    x.expect_agree("selection", x.observed("selection", call), want);
                  });
}

/// Puts the items of a plan into another order. A planner may list them in any order. The flags belong to the places.
void shuffle_items(Call& call, Random& random) {
  HostTensor& plan = call.arg("metadata").tensor();
  const std::int64_t items = plan.at<std::int32_t>(0, 1);
  const HostTensor before = plan;
  const auto order = random.permutation(items);
  for (std::int64_t i = 0; i < items; ++i) {
    for (const std::int64_t j : {0, 1})
      plan.at<std::int32_t>(1 + i, j) = before.at<std::int32_t>(1 + order[static_cast<std::size_t>(i)], j);
  }
}

/// There are more items than clusters, so some clusters select for a second row.
Scenario item_order(const Op& op) {
  return relation("item_order", "the selection is right for every order of the plan's items",
                  op.at({"batch=20 len=32769"}, {"k=1024 batch=33 len=33001 fill=last_best"}), [](ScenarioContext& x) {
                    Call call = x.op.make(x.c);
                    const Observation want = x.expected(call);
                    x.expect_agree("items by rows", x.observed("items by rows", call), want);
                    Random random(x.c.seed, "items");
                    shuffle_items(call, random);
                    x.expect_agree("items in another order", x.observed("items in another order", call), want);
                  });
}

/// Upstream supports rows of up to 262144 scores. Each of the 8 blocks of a cluster takes 32768 of them. The best
/// scores are where the first block has more.
void make_too_long(Call& call) {
  constexpr std::int64_t kColumns = kLongestRow + 64, kBest = 32764;
  const std::int64_t rows = call.tensor("scores").size(0), k = call.tensor("page_indices").size(1);
  HostTensor scores = HostTensor::make(kF32, {rows, kColumns});
  for (std::int64_t i = 0; i < kColumns; ++i)
    scores.at<float>(0, i) = static_cast<float>(i >= kBest && i < kBest + k ? kColumns - i : -i);
  HostTensor table = HostTensor::make(kI32, {rows, kColumns / integer_of(call, "page_size")});
  for (std::int64_t i = 0; i < table.numel(); ++i) set_integer(table, i, i % table.size(1));
  call.arg("scores").value = scores;
  call.arg("page_table").value = table;
  HostTensor& lengths = call.arg("seq_lens").tensor();
  for (std::int64_t row = 0; row < rows; ++row) set_integer(lengths, row, row == 0 ? kColumns : 5);
}

}  // namespace

std::vector<Pair> topk_v2_pairs(const Op& op) {
  return {{.producer = "plan_topk_v2",
           .takes = {"metadata"},
           .points = op.at({"batch=17 len=32769 tail=4 lens=few"}, {"k=1024 batch=40 len=41000 lens=few"}),
           .produce = [&op](const Case& c) { return planner_call(c, op.make(c)); },
           .consume =
               [&op](const Case& c, const std::vector<HostTensor>& made) {
                 Call call = op.make(c);
                 call.arg("metadata").value = made.at(0);
                 return call;
               },
           .makes = {"metadata"}}};
}

std::vector<Scenario> topk_v2_scenarios(const Op& op) {
  std::vector<Scenario> list{
      batch_permutation(
          op.at({"batch=17 len=16385 tail=4 lens=mixed"}, {"k=1024 batch=40 len=1100 tail=4 lens=mixed"})),
      // The rows take another path in the wide matrix.
      wide_matrix(op.at(each({"k={} batch=9 len=1500 tail=4 lens=mixed"}, {"512", "1024"}),
                        {"k=1024 batch=17 len=1500 tail=4 lens=mixed"})),
      // One point for each path. topk_v1_scenarios.cpp says what the first two lengths are for.
      column_order(op.at(each({"k=1024 len={} tail=4"}, {"8000", "17000"}),
                         {"k=1024 len=40001 tail=4", "batch=16 len=17001 lens=mixed",
                          "batch=16 len=32769 threshold=262144 lens=mixed"})),
      any_page(), both_widths(), planned(op), item_order(op),
      params_relation("page_size", "the page size changes the addresses but not the selection", kFirstSmokePoint,
                      [](Params& p) { p.set("page", "1"); }),
      params_relation("row_padding", "columns after the end of a row do not matter", kFirstSmokePoint,
                      [](Params& p) { p.set("tail", "64"); }),
      params_relation("threshold", "the threshold of the plan does not change the selection",
                      op.at({"batch=16 len=33001 lens=few"}, {"k=1024 batch=16 len=40001 lens=few fill=plateau"}),
                      [](Params& p) { p.set("threshold", "262144"); }),
      // Such rows are divided into parts. Their results are combined in memory that the function allocates.
      late_allocation_relation(op.at({"len=40000 tail=4", "k=1024 batch=2 len=40000 tail=4"}))};
  for (const std::string argument : {"scores", "page_table", "workspace"}) {
    list.push_back(far_relation(argument, fmt::format("rows of '{}' that lie 2^31 elements apart", argument),
                                op.at({"batch=3 len=1500 tail=4", "k=1024 batch=3 len=17000 tail=4"}),
                                move_apart(argument)));
  }

  Contracts contracts(list);
  add_selection_contracts(contracts);
  for (const std::int64_t more : {-1, 1}) {
    contracts.reshaped(more < 0 ? "metadata_short" : "metadata_long",
                       "a plan must have one entry more than there are rows", "metadata",
                       [more](Shape& shape) { shape[0] += more; });
  }
  Contracts with_plan(list, op.at({"batch=17 len=32769 tail=4 lens=few"}));
  with_plan.edge("metadata_outside", "a plan that names a row outside the batch is refused, or nothing is read there",
                 [](Call& call) { call.arg("metadata").tensor().at<std::int32_t>(1, 0) = 1 << 30; });
  contracts.edge("scores_stride_odd", "rows at a distance that is not a multiple of 4 are used right, or are refused",
                 [](Call& call) {
                   HostTensor& scores = call.arg("scores").tensor();
                   HostTensor odd = HostTensor::with_gaps(kF32, scores.shape, 1);
                   copy_columns(scores, odd);
                   scores = odd;
                 });
  contracts.edge("scores_misaligned",
                 "scores at an address that is not a multiple of 16 are used right, or are refused",
                 [](Call& call) { call.arg("scores").misalign = 4; });
  contracts.edge("longer_than_262144", "a row of more than 262144 scores is used right, or is refused", make_too_long);
  return list;
}

}  // namespace dsv4
