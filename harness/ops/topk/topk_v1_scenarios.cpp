#include "harness/ops/topk/topk_v1_scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string_view>

#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/far.h"
#include "harness/op/rows.h"
#include "harness/op/scenarios.h"

namespace dsv4 {
namespace {

Params long_point(std::int64_t k, std::int64_t batch, std::int64_t len, const char* lens) {
  return Params()
      .set("k", k)
      .set("batch", batch)
      .set("len", len)
      .set("page", "64")
      .set("raw", "1")
      .set("tail", "3")
      .set("lens", lens)
      .set("fill", "gauss");
}

/// Rows that select among rows that do not. The many rows are more than a GPU holds at once: those that wait find
/// whatever the first ones left behind, and kernels that have a form of their own for many rows use it.
Scenario batch_permutation() {
  return relation("batch_permutation", "rows in another order give the same rows in that order, and the right ones",
                  only({long_point(512, 9, 1500, "mixed")},
                       {long_point(512, 450, 600, "mixed"), long_point(1024, 450, 1100, "mixed")}),
                  [](ScenarioContext& x) {
                    const Call call = x.op.make(x.c);
                    const auto rows = Random(x.c.seed, "permutation").permutation(x.c.params.integer("batch"));
                    Call shuffled = call;
                    for (const char* name : {"scores", "seq_lens", "page_table"}) {
                      shuffled.arg(name).tensor() = reordered(call.tensor(name), rows);
                    }
                    Observation want = x.expected(call);
                    x.expect_agree("original order", x.observed("original order", call), want);
                    for (Output& output : want.outputs) output.value = rows_of(output.value, rows);
                    x.expect_agree("permuted", x.observed("permuted", shuffled), want);
                  });
}

/// Serving engines pass score matrices as wide as the longest request may become. A kernel that divides its work by the
/// width must still find that a row is short.
Scenario wide_matrix() {
  return relation(
      "wide_matrix", "rows in a matrix far wider than they are long give what they give in a narrow one",
      only({long_point(512, 9, 1500, "mixed"), long_point(1024, 9, 1500, "mixed")}), [](ScenarioContext& x) {
        const Call narrow = x.op.make(x.c);
        const HostTensor& scores = narrow.tensor("scores");
        const HostTensor& table = narrow.tensor("page_table");
        const std::int64_t columns = scores.size(1) + 40000;
        Call wide = narrow;
        HostTensor& wide_scores = wide.arg("scores").tensor();
        HostTensor& wide_table = wide.arg("page_table").tensor();
        wide_scores = HostTensor::make(DType::kF32, {scores.size(0), columns});
        wide_table = HostTensor::make(DType::kI32, {scores.size(0), columns / x.c.params.integer("page") + 1});
        for (std::int64_t row = 0; row < scores.size(0); ++row) {
          for (std::int64_t i = 0; i < columns; ++i) {
            // Past the row, too, lies what would win if it were looked at.
            wide_scores.at<float>(row, i) =
                i < scores.size(1) ? scores.at<float>(row, i) : std::numeric_limits<float>::infinity();
          }
          for (std::int64_t i = 0; i < table.size(1); ++i)
            wide_table.at<std::int32_t>(row, i) = table.at<std::int32_t>(row, i);
        }
        x.expect_agree("wide", x.observed("wide", wide), x.expected(narrow));
      });
}

/// The columns of a row of `n`, the one with the best score first.
std::vector<std::int64_t> best_first(std::string_view arrangement, std::int64_t n) {
  std::vector<std::int64_t> columns;
  const std::int64_t stride = arrangement == "stripes" ? 16 : 1;
  for (std::int64_t stripe = 0; stripe < stride; ++stripe) {
    for (std::int64_t column = stripe; column < n; column += stride) columns.push_back(column);
  }
  if (arrangement == "ascending") std::ranges::reverse(columns);
  return columns;
}

/// Each arrangement is somebody's worst case: a kernel that raises a bound as it goes along never gets to rest on
/// ascending scores, one that drops the tail loses the best of them, and one that guesses the bound from a sample, or
/// divides columns among lanes, meets all of the best in one lane.
Scenario column_order() {
  return relation("column_order",
                  "where in a row the scores lie changes nothing: ascending, descending, the best at every 16th column",
                  // Ascending, the 1024 best of a chunk of 8192 and 3840 more fill the list of kernels/topk/select.cuh,
                  // which holds 4864, to the last place; the next one is too many.
                  only({long_point(1024, 1, 12032, "full"), long_point(1024, 1, 12033, "full")},
                       {long_point(512, 1, 140001, "full"), long_point(1024, 1, 140001, "full")}),
                  [](ScenarioContext& x) {
                    std::uint64_t schedule = x.c.seed * 1000;
                    for (const char* arrangement : {"ascending", "descending", "stripes"}) {
                      Call call = x.op.make(x.c);
                      HostTensor& scores = call.arg("scores").tensor();
                      const auto order = best_first(arrangement, x.c.params.integer("len"));
                      std::vector<float> sorted;
                      for (const std::int64_t column : order) sorted.push_back(scores.at<float>(0, column));
                      std::ranges::sort(sorted, std::greater<>());
                      for (std::size_t rank = 0; rank < order.size(); ++rank)
                        scores.at<float>(0, order[rank]) = sorted[rank];
                      const Observation want = x.expected(call);
                      x.expect_agree(arrangement, x.observed(arrangement, call, {.schedule = ++schedule}), want);
                    }
                  });
}

/// A page number is shifted as an int32: a negative one gives negative slots, a great one wraps. None is special.
Scenario any_page() {
  return relation(
      "any_page",
      "page numbers are multiplied in int32, negative and great ones as well, and do not touch the selection",
      kFirstSmokePoint, [](ScenarioContext& x) {
        const Call call = x.op.make(x.c);
        Call odd = call;
        HostTensor& table = odd.arg("page_table").tensor();
        for (std::int64_t row = 0; row < table.size(0); ++row) {
          for (std::int64_t i = 0; i < table.size(1); ++i) {
            // From -2 down and from 2^31 - 2 down, so that no slot is -1, which stands for none.
            const auto n = static_cast<std::int32_t>(i / 2);
            table.at<std::int32_t>(row, i) = i % 2 == 0 ? -2 - n : 0x7ffffffe - n;
          }
        }
        x.expect_agree("odd pages", x.observed("odd pages", odd), x.expected(call));
      });
}

/// Both widths in one process, in both orders: state that two modules share shows here.
Scenario both_widths() {
  return sequence("both_widths", "selections of 512 and of 1024 in one process, in both orders, are both right",
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

}  // namespace

std::vector<Scenario> topk_v1_scenarios() {
  std::vector<Scenario> list{batch_permutation(), wide_matrix(), column_order(), any_page(), both_widths()};
  list.push_back(params_relation("page_size", "the page size changes addresses, not the selection", kFirstSmokePoint,
                                 [](Params& p) { p.set("page", "1"); }));
  list.push_back(params_relation("raw_output", "asking for positions too changes nothing else", kFirstSmokePoint,
                                 [](Params& p) { p.set("raw", p.flag("raw") ? "0" : "1"); }));
  list.push_back(params_relation("row_padding", "columns past the lengths do not matter", kFirstSmokePoint,
                                 [](Params& p) { p.set("tail", "64"); }));

  // Rows so long that they are divided: their parts meet in memory that the function allocates.
  list.push_back(
      late_allocation_relation(only({long_point(512, 1, 40000, "full"), long_point(1024, 2, 40000, "full")})));

  for (const std::string argument : {"scores", "page_table"}) {
    list.push_back(far_relation(argument, fmt::format("rows of '{}' 2^31 elements apart", argument),
                                only({long_point(512, 3, 1500, "full"), long_point(1024, 3, 40000, "full")}),
                                move_apart(argument)));
  }

  Contracts contracts(list);
  // The first smoke point: k = 512, 3 rows of 2048 + 5 columns, pages of 64.
  contracts.replaced("scores_dtype", "half-width scores are refused", "scores",
                     HostTensor::make(DType::kBF16, {3, 2053}));
  contracts.replaced("scores_rank", "scores must be a matrix", "scores", HostTensor::make(DType::kF32, {3 * 2053}));
  contracts.replaced("lengths_dtype", "64-bit lengths are refused, not read as pairs", "seq_lens",
                     HostTensor::make(DType::kI64, {3}));
  contracts.replaced("lengths_count", "one length per row", "seq_lens", HostTensor::make(DType::kI32, {4}));
  contracts.replaced("table_dtype", "64-bit pages are refused", "page_table", HostTensor::make(DType::kI64, {3, 32}));
  contracts.replaced("table_rows", "one row of pages per row", "page_table", HostTensor::make(DType::kI32, {2, 32}));
  contracts.replaced("output_width", "an output of another width than k is refused", "page_indices",
                     HostTensor::make(DType::kI32, {3, 513}));
  contracts.replaced("output_dtype", "a 64-bit output is refused", "page_indices",
                     HostTensor::make(DType::kI64, {3, 512}));
  contracts.replaced("raw_width", "positions must have the slots' shape", "raw_indices",
                     HostTensor::make(DType::kI32, {3, 1024}));
  contracts.replaced("scores_columns_strided", "scores of a row must be adjacent", "scores",
                     HostTensor::strided(DType::kF32, {3, 2053}, {2 * 2053, 2}));
  contracts.replaced("lengths_strided", "lengths must be adjacent", "seq_lens",
                     HostTensor::strided(DType::kI32, {3}, {2}));
  contracts.misplaced("lengths_on_host", "lengths in host memory are refused", "seq_lens", Place::kHost);
  for (const std::int64_t size : {0, 48}) {
    contracts.integer(fmt::format("page_size_{}", size), "the page size must be a power of two", "page_size", size);
  }
  contracts.edge("no_rows", "no rows: nothing to do, or a clean refusal", [](Call& call) {
    keep_rows(call, {"scores", "seq_lens", "page_table", "page_indices", "raw_indices"}, {});
  });
  contracts.edge("negative_length", "a negative length is an empty row, or a clean refusal",
                 [](Call& call) { call.arg("seq_lens").tensor().at<std::int32_t>(1) = -1; });
  contracts.edge("length_past_the_row", "a length beyond the columns is cut, or a clean refusal", [](Call& call) {
    call.arg("seq_lens").tensor().at<std::int32_t>(2) = 1 << 20;
    // Pages for every column, so that a cut length reads no page that is absent.
    HostTensor table = HostTensor::make(DType::kI32, {3, 33});
    for (std::int64_t i = 0; i < table.numel(); ++i) {
      const auto page = static_cast<std::int32_t>(i);
      std::memcpy(table.element(i), &page, sizeof page);
    }
    call.arg("page_table").tensor() = table;
  });
  return list;
}

}  // namespace dsv4
