#include "harness/ops/topk/topk_v1_scenarios.h"

#include <fmt/format.h>

#include <functional>
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

Scenario batch_permutation() {
  Scenario s;
  s.kind = Scenario::Kind::kRelation;
  s.name = "batch_permutation";
  s.meaning = "rows in another order give the same rows in that order";
  s.points = [](Tier tier) {
    const Params p{{"k", "512"}, {"batch", "9"}, {"len", "1500"},   {"page", "64"},
                   {"raw", "1"}, {"tail", "3"},  {"lens", "mixed"}, {"fill", "gauss"}};
    return tier == Tier::kSmoke ? std::vector<Params>{p} : std::vector<Params>{};
  };
  s.run = [](ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const auto rows = Random(x.c.seed, "permutation").permutation(x.c.params.integer("batch"));
    Call shuffled = call;
    for (const char* name : {"scores", "seq_lens", "page_table"}) {
      shuffled.arg(name).tensor() = permuted(call.tensor(name), rows);
    }
    Observation want = x.op.observe(x.c, call, x.call("original order", call));
    for (Output& output : want.outputs) output.value = permuted(output.value, rows);
    x.expect_agree("permuted", x.op.observe(x.c, shuffled, x.call("permuted", shuffled)), want);
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
  std::vector<Scenario> list{batch_permutation(), both_widths()};
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
