#include "harness/op/define.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {

Scenario unaligned_relation(std::vector<std::pair<std::string, std::int64_t>> moves) {
  return relation("unaligned", "rows that are not aligned for vector access give the same bits, or the call is refused",
                  kFirstSmokePoint, [moves = std::move(moves)](ScenarioContext& x) {
                    const Call call = x.op.make(x.c);
                    Call moved = call;
                    for (const auto& [argument, bytes] : moves) moved.arg(argument).misalign = bytes;
                    const CallResult got = attempt(x, "unaligned", moved);
                    if (got.refusal) return;
                    x.expect_agree("unaligned", x.op.observe(x.c, moved, got), x.observed("aligned", call));
                  });
}

}  // namespace dsv4
