#include "harness/ops/topk/topk_v1_scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

#include "harness/generate/random.h"

namespace dsv4 {
namespace {

/// Observations of `call` with other parameters must be those of the case itself.
Scenario same_selection(std::string name, std::string meaning, std::function<void(Params&)> change) {
  Scenario s;
  s.kind = Scenario::Kind::kRelation;
  s.name = std::move(name);
  s.meaning = std::move(meaning);
  s.run = [change = std::move(change)](ScenarioContext& x) {
    const Call first = x.op.make(x.c);
    Case other = x.c;
    change(other.params);
    const Call second = x.op.make(other);
    x.expect_agree("changed call", x.op.observe(other, second, x.call("changed call", second)),
                   x.op.observe(x.c, first, x.call("original call", first)));
  };
  return s;
}

/// The rows of `tensor` in the order `rows`.
HostTensor permuted(const HostTensor& tensor, const std::vector<std::int64_t>& rows) {
  HostTensor out = tensor;
  const std::int64_t row_bytes = tensor.rank() < 2 ? size_of(tensor.dtype) : tensor.strides[0] * size_of(tensor.dtype);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(out.storage.data() + static_cast<std::int64_t>(i) * row_bytes,
                tensor.storage.data() + rows[i] * row_bytes, static_cast<std::size_t>(row_bytes));
  }
  return out;
}

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
  Scenario s;
  s.kind = Scenario::Kind::kRelation;
  s.name = "batch_permutation";
  s.meaning = "rows in another order give the same rows in that order, and the right ones";
  s.points = [](Tier tier) -> std::vector<Params> {
    if (tier == Tier::kSmoke) return {long_point(512, 9, 1500, "mixed")};
    if (tier == Tier::kQuick) return {long_point(512, 450, 600, "mixed"), long_point(1024, 450, 1100, "mixed")};
    return {};
  };
  s.run = [](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const auto rows = Random(x.c.seed, "permutation").permutation(x.c.params.integer("batch"));
    Call shuffled = call;
    for (const char* name : {"scores", "seq_lens", "page_table"}) {
      shuffled.arg(name).tensor() = permuted(call.tensor(name), rows);
    }
    Observation want = x.op.observe(x.c, call, x.reference.call(call));
    x.expect_agree("original order", x.op.observe(x.c, call, x.call("original order", call)), want);
    for (Output& output : want.outputs) output.value = permuted(output.value, rows);
    x.expect_agree("permuted", x.op.observe(x.c, shuffled, x.call("permuted", shuffled)), want);
  };
  return s;
}

/// Serving engines pass score matrices as wide as the longest request may become. A kernel that divides its work by the
/// width must still find that a row is short.
Scenario wide_matrix() {
  Scenario s;
  s.kind = Scenario::Kind::kRelation;
  s.name = "wide_matrix";
  s.meaning = "rows in a matrix far wider than they are long give what they give in a narrow one";
  s.points = [](Tier tier) -> std::vector<Params> {
    if (tier != Tier::kSmoke) return {};
    return {long_point(512, 9, 1500, "mixed"), long_point(1024, 9, 1500, "mixed")};
  };
  s.run = [](ScenarioContext& x) {
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
    x.expect_agree("wide", x.op.observe(x.c, wide, x.call("wide", wide)),
                   x.op.observe(x.c, narrow, x.reference.call(narrow)));
  };
  return s;
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
  Scenario s;
  s.kind = Scenario::Kind::kRelation;
  s.name = "column_order";
  s.meaning = "where in a row the scores lie changes nothing: ascending, descending, the best at every 16th column";
  s.points = [](Tier tier) -> std::vector<Params> {
    // 8192 + 2048 scores fill the list of kernels/topk/select.cuh to the last place, the next one is too many.
    if (tier == Tier::kSmoke) return {long_point(1024, 1, 10240, "full"), long_point(1024, 1, 10241, "full")};
    if (tier == Tier::kQuick) return {long_point(512, 1, 140001, "full"), long_point(1024, 1, 140001, "full")};
    return {};
  };
  s.run = [](ScenarioContext& x) {
    std::uint64_t schedule = x.c.seed * 1000;
    for (const char* arrangement : {"ascending", "descending", "stripes"}) {
      Call call = x.op.make(x.c);
      HostTensor& scores = call.arg("scores").tensor();
      const auto order = best_first(arrangement, x.c.params.integer("len"));
      std::vector<float> sorted;
      for (const std::int64_t column : order) sorted.push_back(scores.at<float>(0, column));
      std::ranges::sort(sorted, std::greater<>());
      for (std::size_t rank = 0; rank < order.size(); ++rank) scores.at<float>(0, order[rank]) = sorted[rank];
      const Observation want = x.op.observe(x.c, call, x.reference.call(call));
      x.expect_agree(arrangement, x.op.observe(x.c, call, x.call(arrangement, call, {.schedule = ++schedule})), want);
    }
  };
  return s;
}

/// A page number is shifted as an int32: a negative one gives negative slots, a great one wraps. None is special.
Scenario any_page() {
  Scenario s;
  s.kind = Scenario::Kind::kRelation;
  s.name = "any_page";
  s.meaning = "page numbers are multiplied in int32, negative and great ones as well, and do not touch the selection";
  s.run = [](ScenarioContext& x) {
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
    x.expect_agree("odd pages", x.op.observe(x.c, odd, x.call("odd pages", odd)),
                   x.op.observe(x.c, call, x.reference.call(call)));
  };
  return s;
}

/// Both widths in one process, in both orders: state that two modules share shows here.
Scenario both_widths() {
  Scenario s;
  s.kind = Scenario::Kind::kSequence;
  s.name = "both_widths";
  s.meaning = "selections of 512 and of 1024 in one process, in both orders, are both right";
  s.run = [](ScenarioContext& x) {
    for (const char* k : {"512", "1024", "512"}) {
      Case c = x.c;
      c.params.set("k", k);
      const Call call = x.op.make(c);
      const Observation want = x.op.observe(c, call, x.reference.call(call));
      x.expect_agree(fmt::format("k={}", k), x.op.observe(c, call, x.call(fmt::format("k={}", k), call)), want);
    }
  };
  return s;
}

}  // namespace

std::vector<Scenario> topk_v1_scenarios() {
  std::vector<Scenario> list{batch_permutation(), wide_matrix(), column_order(), any_page(), both_widths()};
  list.push_back(same_selection("page_size", "the page size changes addresses, not the selection",
                                [](Params& p) { p.set("page", "1"); }));
  list.push_back(same_selection("raw_output", "asking for positions too changes nothing else",
                                [](Params& p) { p.set("raw", p.flag("raw") ? "0" : "1"); }));
  list.push_back(
      same_selection("row_padding", "columns past the lengths do not matter", [](Params& p) { p.set("tail", "64"); }));

  const auto replace = [&](const char* name, const char* meaning, const char* argument, DType dtype, Shape shape) {
    list.push_back(contract(name, meaning, argument, [argument = std::string(argument), dtype, shape](Call& call) {
      call.arg(argument).tensor() = HostTensor::make(dtype, shape);
    }));
  };
  // The first smoke point: k = 512, 3 rows of 2048 + 5 columns, pages of 64.
  replace("scores_dtype", "half-width scores are refused", "scores", DType::kBF16, {3, 2053});
  replace("scores_rank", "scores must be a matrix", "scores", DType::kF32, {3 * 2053});
  replace("lengths_dtype", "64-bit lengths are refused, not read as pairs", "seq_lens", DType::kI64, {3});
  replace("lengths_count", "one length per row", "seq_lens", DType::kI32, {4});
  replace("table_dtype", "64-bit pages are refused", "page_table", DType::kI64, {3, 32});
  replace("table_rows", "one row of pages per row", "page_table", DType::kI32, {2, 32});
  replace("output_width", "an output of another width than k is refused", "page_indices", DType::kI32, {3, 513});
  replace("output_dtype", "a 64-bit output is refused", "page_indices", DType::kI64, {3, 512});
  replace("raw_width", "positions must have the slots' shape", "raw_indices", DType::kI32, {3, 1024});
  list.push_back(contract("scores_columns_strided", "scores of a row must be adjacent", "scores", [](Call& call) {
    call.arg("scores").tensor() = HostTensor::strided(DType::kF32, {3, 2053}, {2 * 2053, 2});
  }));
  list.push_back(contract("lengths_strided", "lengths must be adjacent", "seq_lens", [](Call& call) {
    call.arg("seq_lens").tensor() = HostTensor::strided(DType::kI32, {3}, {2});
  }));
  list.push_back(device_only(contract("lengths_on_host", "lengths in host memory are refused", "seq_lens",
                                      [](Call& call) { call.arg("seq_lens").place = Place::kHost; })));
  for (const std::int64_t size : {0, 48}) {
    list.push_back(contract(fmt::format("page_size_{}", size), "the page size must be a power of two", "page_size",
                            [size](Call& call) { call.arg("page_size").value = size; }));
  }
  list.push_back(edge_contract("no_rows", "no rows: nothing to do, or a clean refusal", [](Call& call) {
    for (const char* name : {"scores", "page_table", "page_indices", "raw_indices"}) {
      HostTensor& t = call.arg(name).tensor();
      t = HostTensor::make(t.dtype, {0, t.size(1)});
    }
    call.arg("seq_lens").tensor() = HostTensor::make(DType::kI32, {0});
  }));
  list.push_back(edge_contract("negative_length", "a negative length is an empty row, or a clean refusal",
                               [](Call& call) { call.arg("seq_lens").tensor().at<std::int32_t>(1) = -1; }));
  list.push_back(
      edge_contract("length_past_the_row", "a length beyond the columns is cut, or a clean refusal", [](Call& call) {
        call.arg("seq_lens").tensor().at<std::int32_t>(2) = 1 << 20;
        // Pages for every column, so that a cut length reads no page that is absent.
        HostTensor table = HostTensor::make(DType::kI32, {3, 33});
        for (std::int64_t i = 0; i < table.numel(); ++i) {
          const auto page = static_cast<std::int32_t>(i);
          std::memcpy(table.element(i), &page, sizeof page);
        }
        call.arg("page_table").tensor() = table;
      }));
  return list;
}

}  // namespace dsv4
