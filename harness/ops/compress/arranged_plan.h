/// Plans whose records are in any order, with sentinels after them or among them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "harness/case/case.h"
#include "harness/generate/random.h"
#include "harness/op/rows.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {

/// A plan of these records, followed by as many sentinels as the parameter `slack` says. The records are in random
/// order if order=shuffled.
template <class Record>
HostTensor arranged_plan(std::vector<Record> records, const Case& c, const char* stream) {
  if (c.params.is("order", "shuffled")) {
    const auto order = Random(c.seed, stream).permutation(std::ssize(records));
    records = records_of<Record>(rows_of(plan_tensor(records), order));
  }
  records.insert(records.end(), static_cast<std::size_t>(c.params.integer("slack")), kSentinel<Record>);
  return plan_tensor(records);
}

/// The numbers of those rows of the plan that are records, sorted by token.
template <class Record>
std::vector<std::int64_t> rows_in_token_order(const std::vector<Record>& plan) {
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (!is_sentinel(plan[i])) rows.push_back(static_cast<std::int64_t>(i));
  }
  std::ranges::sort(rows, {},
                    [&](std::int64_t i) { return std::uint32_t{plan[static_cast<std::size_t>(i)].ragged_id}; });
  return rows;
}

}  // namespace dsv4
