#include "harness/ops/topk/topk_v1_scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string_view>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

/// Rows that select among rows that do not. The many rows are more than a GPU holds at once: those that wait find
/// whatever the first ones left behind, and kernels that have a form of their own for many rows use it.
Scenario batch_permutation(const Op& op) {
  return relation(
      "batch_permutation", "rows in another order give the same rows in that order, and the right ones",
      op.at({"batch=9 len=1500 raw=1 tail=3 lens=mixed"},
            {"batch=450 len=600 raw=1 tail=3 lens=mixed", "k=1024 batch=450 len=1100 raw=1 tail=3 lens=mixed"}),
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
Scenario wide_matrix(const Op& op) {
  return relation(
      "wide_matrix", "rows in a matrix far wider than they are long give what they give in a narrow one",
      op.at(each({"k={} batch=9 len=1500 raw=1 tail=3 lens=mixed"}, {"512", "1024"})), [](ScenarioContext& x) {
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
Scenario column_order(const Op& op) {
  return relation("column_order",
                  "where in a row the scores lie changes nothing: ascending, descending, the best at every 16th column",
                  // Ascending, the 1024 best of a chunk of 8192 and 3840 more fill the list of kernels/topk/select.cuh,
                  // which holds 4864, to the last place; the next one is too many.
                  op.at(each({"k=1024 len={} raw=1 tail=3"}, {"12032", "12033"}),
                        each({"k={} len=140001 raw=1 tail=3"}, {"512", "1024"})),
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

std::vector<Scenario> topk_v1_scenarios(const Op& op) {
  std::vector<Scenario> list{batch_permutation(op), wide_matrix(op), column_order(op), any_page(), both_widths()};
  list.push_back(params_relation("page_size", "the page size changes addresses, not the selection", kFirstSmokePoint,
                                 [](Params& p) { p.set("page", "1"); }));
  list.push_back(params_relation("raw_output", "asking for positions too changes nothing else", kFirstSmokePoint,
                                 [](Params& p) { p.set("raw", p.flag("raw") ? "0" : "1"); }));
  list.push_back(params_relation("row_padding", "columns past the lengths do not matter", kFirstSmokePoint,
                                 [](Params& p) { p.set("tail", "64"); }));

  // Rows so long that they are divided: their parts meet in memory that the function allocates.
  list.push_back(late_allocation_relation(op.at({"len=40000 raw=1 tail=3", "k=1024 batch=2 len=40000 raw=1 tail=3"})));
  for (const std::string argument : {"scores", "page_table"}) {
    list.push_back(far_relation(argument, fmt::format("rows of '{}' 2^31 elements apart", argument),
                                op.at({"batch=3 len=1500 raw=1 tail=3", "k=1024 batch=3 len=40000 raw=1 tail=3"}),
                                move_apart(argument)));
  }

  Contracts contracts(list);
  contracts.reshaped("raw_width", "positions of the other selection's width are refused", "raw_indices",
                     [](Shape& s) { s[1] *= 2; });
  for (const std::int64_t size : {0, 48}) {
    contracts.integer(fmt::format("page_size_{}", size), "the page size must be a power of two", "page_size", size);
  }
  contracts.edge("negative_length", "a negative length is an empty row, or a clean refusal",
                 [](Call& call) { set_integer(call.arg("seq_lens").tensor(), 1, -1); });
  contracts.edge("length_past_the_row", "a length beyond the columns is cut, or a clean refusal", [](Call& call) {
    set_integer(call.arg("seq_lens").tensor(), 2, 1 << 20);
    // Pages for every column, so that a cut length reads no page that is absent.
    HostTensor& table = call.arg("page_table").tensor();
    table = HostTensor::make(kI32, {table.size(0), table.size(1) + 1});
    for (std::int64_t i = 0; i < table.numel(); ++i) set_integer(table, i, i);
  });
  return list;
}

}  // namespace dsv4
