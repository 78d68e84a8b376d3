#include "harness/ops/topk/selection_scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <string_view>
#include <utility>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kSparseParts = 512;
constexpr std::int64_t kBeforeGap = 4;  ///< a gap begins so many columns before a part
constexpr std::int64_t kGap = 16;

/// The columns of a row of `n` scores, from the best score to the worst.
std::vector<std::int64_t> best_first(std::string_view arrangement, std::int64_t n) {
  std::vector<std::int64_t> columns(static_cast<std::size_t>(n));
  std::iota(columns.begin(), columns.end(), 0);
  if (arrangement == "ascending") std::ranges::reverse(columns);
  if (arrangement == "stripes") {
    std::ranges::stable_sort(columns, {}, [](std::int64_t column) { return column % 16; });
  }
  // The columns of a part of the row are numbered from 0.
  const auto column_of_part = [&](std::int64_t column) { return column * kSparseParts % n / kSparseParts; };
  if (arrangement == "sparse") std::ranges::stable_sort(columns, {}, column_of_part);
  if (arrangement == "gaps") {
    std::ranges::reverse(columns);
    std::ranges::stable_sort(columns, {},
                             [&](std::int64_t column) { return column_of_part(column + kBeforeGap) < kGap; });
  }
  return columns;
}

}  // namespace

/// Mixes rows of more than k scores with shorter rows.
Scenario batch_permutation(Points points) {
  return relation("batch_permutation",
                  "if the rows are permuted, the outputs are permuted in the same way, and both results are right",
                  std::move(points), [](ScenarioContext& x) {
                    const Call call = x.op.make(x.c);
                    const auto rows = Random(x.c.seed, "permutation").permutation(x.c.params.integer("batch"));
                    Call shuffled = call;
                    for (const char* name : {"scores", "seq_lens", "page_table"}) {
                      shuffled.arg(name).tensor() = reordered(call.tensor(name), rows);
                    }
                    x.op.fit(shuffled);
                    Observation want = x.expected(call);
                    x.expect_agree("original order", x.observed("original order", call), want);
                    for (Output& output : want.outputs) output.value = rows_of(output.value, rows);
                    x.expect_agree("permuted", x.observed("permuted", shuffled), want);
                  });
}

/// Serving engines pass score matrices that are as wide as the longest possible request. A kernel that divides its work
/// by the width must still respect the length of a row.
Scenario wide_matrix(Points points) {
  return relation(
      "wide_matrix",
      "rows give the same outputs in a matrix that is far wider than their lengths as in a narrow matrix",
      std::move(points), [](ScenarioContext& x) {
        const Call narrow = x.op.make(x.c);
        const HostTensor& scores = narrow.tensor("scores");
        const HostTensor& table = narrow.tensor("page_table");
        const std::int64_t columns = scores.size(1) + 40000;
        Call wide = narrow;
        HostTensor& wide_scores = wide.arg("scores").tensor();
        HostTensor& wide_table = wide.arg("page_table").tensor();
        wide_scores = HostTensor::make(DType::kF32, {scores.size(0), columns});
        wide_table = HostTensor::make(DType::kI32, {scores.size(0), columns / x.c.params.integer("page") + 1});
        // A kernel that reads columns after the end of a row selects them, because they hold infinity.
        fill_floats(wide_scores, [] { return std::numeric_limits<float>::infinity(); });
        copy_columns(scores, wide_scores);
        copy_columns(table, wide_table);
        x.expect_agree("wide", x.observed("wide", wide), x.expected(narrow));
      });
}

/// Each arrangement is the worst case of some algorithm. With ascending scores, a kernel that keeps a running bound
/// must raise the bound at every score. A kernel that drops the last columns loses the best scores. With stripes,
/// one lane holds all of the best scores. If the best scores are sparse, a sample of evenly spaced scores may consist
/// of them. So a bound that is estimated from it is too high. With gaps, the sample has none of the best scores. This
/// holds for a sample of 512 groups.
Scenario column_order(Points points) {
  return relation(
      "column_order",
      "the order of the scores in a row does not matter: ascending, descending, the best in every 16th column, at the "
      "beginnings of 512 equal parts, or away from these",
      std::move(points), [](ScenarioContext& x) {
        std::uint64_t schedule = x.c.seed * 1000;
        for (const char* arrangement : {"ascending", "descending", "stripes", "sparse", "gaps"}) {
          Call call = x.op.make(x.c);
          HostTensor& scores = call.arg("scores").tensor();
          const auto order = best_first(arrangement, x.c.params.integer("len"));
          std::vector<float> sorted;
          for (const std::int64_t column : order) sorted.push_back(scores.at<float>(0, column));
          std::ranges::sort(sorted, std::greater<>());
          for (std::size_t rank = 0; rank < order.size(); ++rank) scores.at<float>(0, order[rank]) = sorted[rank];
          const Observation want = x.expected(call);
          x.expect_agree(arrangement, x.observed(arrangement, call, {.schedule = ++schedule}), want);
        }
      });
}

/// Slots are computed from page numbers in int32. A negative page number gives negative slots, and a large page number
/// wraps. No page number is special.
Scenario any_page() {
  return relation(
      "any_page",
      "slots are computed in int32 for negative and large page numbers too, and the selection does not change",
      kFirstSmokePoint, [](ScenarioContext& x) {
        const Call call = x.op.make(x.c);
        Call odd = call;
        HostTensor& table = odd.arg("page_table").tensor();
        for (std::int64_t row = 0; row < table.size(0); ++row) {
          for (std::int64_t i = 0; i < table.size(1); ++i) {
            // Page numbers go down from -2 and from below 2^31. So no slot is -1, the value that means padding. Slots
            // wrap, and those of the second kind must differ from those of the first.
            const auto n = static_cast<std::int32_t>(i / 2);
            table.at<std::int32_t>(row, i) = i % 2 == 0 ? -2 - n : 0x7ffeffff - n;
          }
        }
        x.expect_agree("odd pages", x.observed("odd pages", odd), x.expected(call));
      });
}

/// Calls both widths in one process, in both orders. This finds state that two modules share.
Scenario both_widths() {
  return sequence("both_widths", "selections of 512 and of 1024 positions are right in one process, in both orders",
                  kFirstSmokePoint, [](ScenarioContext& x) {
                    for (const char* k : {"512", "1024", "512"}) {
                      Case c = x.c;
                      c.params.set("k", k);
                      const Call call = x.op.make(c);
                      const Observation want = x.expected(c, call);
                      x.expect_agree(fmt::format("k={}", k), x.observed(c, fmt::format("k={}", k), call), want);
                    }
                  });
}

void add_selection_contracts(Contracts& contracts) {
  contracts.integer("page_size_0", "pages without positions are refused", "page_size", 0);
  contracts.edge("page_size_48", "a page size that is not a power of two is used right, or the call is refused",
                 [](Call& call) {
                   call.arg("page_size").value = std::int64_t{48};
                   HostTensor& table = call.arg("page_table").tensor();
                   table = HostTensor::make(kI32, {table.size(0), call.tensor("scores").size(1) / 48 + 1});
                   for (std::int64_t i = 0; i < table.numel(); ++i) set_integer(table, i, 3 * i);
                 });
  contracts.edge("negative_length", "a negative length means an empty row, or the call is refused",
                 [](Call& call) { set_integer(call.arg("seq_lens").tensor(), 1, -1); });
  contracts.edge("length_past_the_row", "a length beyond the columns is cut, or the call is refused", [](Call& call) {
    set_integer(call.arg("seq_lens").tensor(), 2, 1 << 20);
    // The page table covers every column, so that a length that is cut to the columns needs no further page.
    HostTensor& table = call.arg("page_table").tensor();
    table = HostTensor::make(kI32, {table.size(0), table.size(1) + 1});
    for (std::int64_t i = 0; i < table.numel(); ++i) set_integer(table, i, i);
  });
}

}  // namespace dsv4
