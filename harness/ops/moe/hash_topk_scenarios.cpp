#include "harness/ops/moe/scenarios.h"

#include <fmt/format.h>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

Scenario far_table(const Op& op) {
  return far_relation(
      "tid2eid", "rows of the lookup table at offsets beyond 2^32 elements", op.at({"tokens=10"}), [](Call& call) {
        HostTensor& ids = call.arg("input_id").tensor();
        Arg& table = call.arg("tid2eid");
        table.tensor() = rows_of(table.tensor(), numbers_of(call, "input_id"));  // a row for each token
        table.far_layout =
            far_pool(table.tensor(), far_rows(ids.numel(), table.tensor().size(1), far_edges(DType::kI32)));
        ids = numbers(table.far_layout->rows);
      });
}

/// The offset of a row is its index times the number of experts. So few rows with very many experts test the same as
/// very many rows. There are no shared experts, because their ids depend on the number of experts.
Scenario far_logits(const Op& op) {
  return far_relation("router_logits", "logits at offsets beyond 2^32 elements", op.at({"shared=0"}), [](Call& call) {
    constexpr std::int64_t kExperts = std::int64_t{1} << 30;
    Arg& logits = call.arg("router_logits");
    FarLayout far{{logits.tensor().size(0), kExperts}, {kExperts, 1}, {}};
    for (std::int64_t t = 0; t < far.shape[0]; ++t) far.rows.push_back(t);
    logits.far_layout = std::move(far);
  });
}

Scenario batch_permutation() {
  return call_relation("batch_permutation",
                       "if the tokens are in another order, the output rows are in that order and have the same bits",
                       kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                         std::vector<std::int64_t> backwards;
                         for (std::int64_t t = call.tensor("input_id").size(0); t-- > 0;) backwards.push_back(t);
                         keep_rows(call, {"router_logits", "input_id"}, backwards);
                         for (Output& output : want.outputs) output.value = rows_of(output.value, backwards);
                       });
}

/// Equal logits give equal weights. If k is a power of two, every sum and quotient is exact. All these k are tried,
/// with and without a shared expert, because some kernels choose the number of lanes by the number of columns.
Scenario exact_normalisation() {
  return relation("equal_logits",
                  "k equal logits give weights of exactly 1/k for k = 1, 2, 4, ... 32, whatever the logit",
                  kFirstSmokePoint, [](ScenarioContext& x) {
                    for (const std::int64_t k : {1, 2, 4, 8, 16, 32}) {
                      for (const std::int64_t shared : {0, 1}) {
                        Case c = x.c;
                        c.params.set("k", k).set("shared", shared);
                        if (why_not(x.op, c.params)) continue;
                        for (const float value : {0.0f, 1.0f, -20.0f, 80.0f, -90.0f, 3.0e38f}) {
                          Call call = x.op.make(c);
                          fill_floats(call.arg("router_logits").tensor(), [&] { return value; });
                          Observation want = x.expected(c, call);
                          for (Output& output : want.outputs) {
                            if (output.name != "weights") continue;
                            for (std::int64_t i = 0; i < output.value.numel(); ++i) {
                              if (i % (k + shared) < k) set_float(output.value, i, 1.0 / static_cast<double>(k));
                            }
                          }
                          const std::string where = fmt::format("k={}, shared={}, logit {}", k, shared, value);
                          x.expect_agree(where, x.observed(c, where, call), want);
                        }
                      }
                    }
                  });
}

/// Gives the call a table with `k` experts per token, and outputs with `columns` columns.
Change widened(std::int64_t k, std::int64_t columns) {
  return [k, columns](Call& call) {
    const std::int64_t tokens = call.tensor("input_id").size(0);
    call.arg("tid2eid").value = HostTensor::make(kI32, {call.tensor("tid2eid").size(0), k});
    call.arg("topk_weights").value = HostTensor::make(kF32, {tokens, columns});
    call.arg("topk_ids").value = HostTensor::make(kI32, {tokens, columns});
  };
}

}  // namespace

std::vector<Scenario> hash_topk_scenarios(const Op& op) {
  std::vector<Scenario> list{batch_permutation(), exact_normalisation(), far_table(op), far_logits(op),
                             many_rows_relation(op, {"tokens=65540 k=2 shared=0 experts=4 vocab=70000"})};
  Contracts contracts(list);
  contracts.edge("too_wide", "33 columns per token, more than a warp handles, are right, or the call is refused",
                 [](Call& call) {
                   widened(32, 33)(call);
                   fill_integers(call.arg("tid2eid").tensor(), 0, call.tensor("router_logits").size(1) - 1,
                                 Random(1, "wide table"));
                   Random random(1, "logits");
                   fill_floats(call.arg("router_logits").tensor(), [&] { return random.gauss(); });
                 });
  contracts.refused("narrower_than_table", "outputs with fewer columns than the table are refused", "tid2eid",
                    widened(6, 5));
  return list;
}

}  // namespace dsv4
