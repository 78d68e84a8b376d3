#include "harness/ops/elementwise/compressed_rows.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/elementwise/entry_plans.h"
#include "harness/ops/elementwise/norm_rows.h"

namespace dsv4 {
namespace {

const Fills& row_weights() {
  static const Fills kFills{fills::each("ones", [](Random&) { return 1.0f; }), fills::gauss(), fills::wide(-20, 20),
                            fills::zeros()};
  return kFills;
}

OpInfo completed(OpInfo info, Argument records, const std::string& batch) {
  info.space = {word("head_dim", {"128", "512"}, "elements of a row"),
                word("ratio", {"4", "128"}, "tokens per entry"),
                number("records", 0, 1 << 13, "records of the plan, or requests",
                       {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 129, 257}}),
                number("spare", 0, 1 << 13, "rows beyond the number of records", {.both = {0, 3}}),
                unused_records(),
                number("table", 1, 1 << 17, "positions in the angle table",
                       {.usual = 300, .quick = {1, 2, 300}, .full = {300, 4099}, .soak = {65537}}),
                word("angles", angle_tables(), "points of the unit circle, quarter turns, or any numbers"),
                word("at", position_places(), "which positions the entries have"),
                eps_values(),
                word("weight", row_weights().names(), "distribution of the weights"),
                word("fill", norm_row_fill_names(), "distribution of the rows")};
  info.signature = {
      {inout("input", {kF32}, "rows? head_dim:dim", {.any_nan = true}), in("weight", {kF32}, "head_dim:dim"),
       std::move(records), in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}), integer("mode"), real("eps"),
       integer("ratio")},
      batch};
  // These numbers of records are even, so that relation:late_plan moves whole records. A part of another record in its
  // place could name any row.
  info.smoke = {"records=6 unused=some weight=gauss",
                "head_dim=512 ratio=128 records=4 spare=3 at=last eps=0 fill=signs",
                "head_dim=512 records=10 unused=ends eps=1e-2 weight=wide fill=small",
                "ratio=128 records=6 spare=3 unused=some at=last weight=gauss fill=integers"};
  info.quick = {"cover"};
  info.full = {"cover", "records=1025 unused=some table=65537 weight=gauss",
               "head_dim=512 records=1500 table=4099 weight=wide fill=wide"};
  info.host_note = "the error of rsqrtf, and which products nvcc fuses";
  return info;
}

}  // namespace

CompressedRowsOp::CompressedRowsOp(OpInfo info, Argument records, const std::string& batch, std::int64_t mode)
    : Op(completed(std::move(info), records, batch)), records_(records.name), mode_(mode) {}

std::vector<std::string> CompressedRowsOp::idle(const Params& p) const {
  if (used_records(p).empty()) return {"angles", "at", "table", "eps", "weight", "fill"};
  if (has_trivial_rows(p)) return {"angles", "at", "table", "eps", "weight"};
  if (p.is("weight", "zeros")) return {"angles", "at", "table", "eps", "fill"};
  Params groups = p;
  if (p.integer("table") <= p.integer("ratio")) groups.set("table", 1);  // only position 0 is used
  return idle_angles(groups);
}

Call CompressedRowsOp::make(const Case& c) const {
  const Params& p = c.params;
  const std::int64_t dim = p.integer("head_dim"), ratio = p.integer("ratio");
  const std::int64_t rows = p.integer("records") + p.integer("spare");
  const HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
  HostTensor weight = HostTensor::make(kF32, {dim});
  Random weight_random(c.seed, "weight");
  row_weights().apply(p.text("weight"), weight_random, Elements(weight));
  Call made = call({HostTensor::make(kF32, {rows, dim}), std::move(weight), records(c, entry_positions(p, c.seed)),
                    table, mode_, eps_of(p), ratio},
                   Params().set("head_dim", dim));

  std::vector<std::int64_t> position(static_cast<std::size_t>(rows), 0);
  for (const ChangedRow& r : changed(made)) position.at(static_cast<std::size_t>(r.row)) = r.position;
  Random random(c.seed, "input");
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* const angles = &table.at<float>(position[static_cast<std::size_t>(r)], 0);
    norm_row_fills(angles).apply(p.text("fill"), random, Elements(made.arg("input").tensor(), r * dim, dim));
  }
  fit(made);
  return made;
}

void CompressedRowsOp::fit(Call& call) const {
  Arg& input = call.arg("input");
  std::vector<std::int64_t> rows;
  for (const ChangedRow& r : changed(call)) rows.push_back(r.row);
  input.footprint = footprint_of_rows(input.tensor(), rows, input.tensor().size(1));
}

/// A row that is not changed has its input at both ends. As in the outputs, every NaN gets the same bits.
Tolerances CompressedRowsOp::tolerances(const Case& c, const Call& call, const CallResult&, const Observation&,
                                        Caller& reference) const {
  Tolerances ends =
      intervals(call, reference, {"input"},
                "sums of squares and rsqrtf within their errors; either product of a*b + c*d may be fused");
  Tolerance& t = ends.at("input");
  for (HostTensor* const end : {&t.low, &t.high}) {
    CallResult as_result;
    as_result.args.push_back(out("input", *end));
    *end = observe(c, call, as_result).output("input");
  }
  return ends;
}

bool CompressedRowsOp::trivial_by_design(const Case& c) const {
  return used_records(c.params).empty() || has_trivial_rows(c.params) || c.params.is("weight", "zeros");
}

Cost CompressedRowsOp::cost(const Case&, const Call& call) const {
  const auto dim = static_cast<double>(call.tensor("input").size(1)), rows = static_cast<double>(changed(call).size());
  const auto records = static_cast<double>(call.tensor(records_).storage.size());
  return {.bytes = rows * (8.0 * dim + 4.0 * kRotaryDim) + records, .flops = rows * (4.0 * dim + 3.0 * kRotaryDim)};
}

ElementFacts CompressedRowsOp::element_facts(const Case&, const Call& call) const {
  std::vector<std::int64_t> outside(static_cast<std::size_t>(call.tensor("input").size(0)), 0);
  for (const ChangedRow& r : changed(call)) {
    const bool is_inside = r.position >= 0 && r.position < call.tensor("freqs_cis").size(0);
    outside.at(static_cast<std::size_t>(r.row)) = is_inside ? 0 : 1;
  }
  return {{"position_outside", numbers(outside)}};
}

PositionsOf CompressedRowsOp::positions() const {
  return {[this](const Call& call) {
            std::vector<std::int64_t> positions;
            for (const ChangedRow& r : changed(call)) positions.push_back(r.position);
            return positions;
          },
          [this](Call& call, const std::vector<std::int64_t>& values) {
            const std::vector<ChangedRow> rows = changed(call);
            for (std::size_t i = 0; i < rows.size(); ++i)
              set_position(call.arg(records_).tensor(), rows[i].record, values.at(i), integer_of(call, "ratio"));
          }};
}

void CompressedRowsOp::try_record(ScenarioContext& x, const std::string& what, const Call& bad, const Call& good,
                                  const std::function<const Observation&()>& usual, std::int64_t own) const {
  const auto part = [own](bool is_own) {
    return [own, is_own](const Observation& o) {
      std::vector<std::int64_t> rows;
      for (std::int64_t r = 0; r < o.output("input").size(0); ++r) {
        if ((r == own) == is_own) rows.push_back(r);
      }
      return Observation().add("input", rows_of(o.output("input"), rows));
    };
  };
  try_outside(x, what, bad, good, usual, part(false), part(true));
}

/// The three rows and records of a call become the rows and records 0, 32768 and 65539 of 65540. The others have no
/// entry.
void CompressedRowsOp::run_many_rows(ScenarioContext& x) const {
  constexpr std::int64_t kRows = 65540;
  const std::vector<std::int64_t> places{0, 32768, kRows - 1};
  const Call few = make(x.c);
  Call many = few;
  HostTensor& input = many.arg("input").tensor();
  const std::int64_t dim = input.size(1);
  input = HostTensor::make(kF32, {kRows, dim});
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::memcpy(input.element(places[i] * dim), few.tensor("input").element(static_cast<std::int64_t>(i) * dim),
                static_cast<std::size_t>(4 * dim));
  }
  many.arg(records_).tensor() = spread(few.tensor(records_), places, kRows);
  fit(many);
  CallResult result = x.call("65540 rows", many);
  for (Arg& arg : result.args) {
    if (arg.name == "input") arg.tensor() = rows_of(arg.tensor(), places);
  }
  x.about(few);
  const Observation got = observe(x.c, few, result);
  x.expect_agree("65540 rows", got, x.expected(few), tolerances(x.c, few, result, got, x.reference));
}

std::vector<Scenario> CompressedRowsOp::scenarios() const {
  std::vector<Scenario> list{
      angles_further_down(positions()),
      // The first four far places are multiples of both ratios, as the positions of requests are.
      far_angles(at({"records=4 weight=gauss", "head_dim=512 ratio=128 records=4 weight=gauss"}), positions()),
      relation("many_rows", "rows are right if there are more records and rows than 16 bits can number",
               at({}, {"records=3 at=last weight=gauss", "head_dim=512 ratio=128 records=3 weight=gauss"}),
               [this](ScenarioContext& x) { run_many_rows(x); }),
      call_relation("row_alignment", "rows that do not start at a multiple of 16 bytes give the same results",
                    at({"weight=gauss", "head_dim=512 weight=gauss"}),
                    [](Case&, Call& call, Observation&) { call.arg("input").misalign = 4; }),
      batch_relation("the result of a row does not depend on other rows: the rows are shuffled and computed in two "
                     "calls",
                     at({"records=9 weight=gauss", "head_dim=512 ratio=128 records=9 weight=gauss"}),
                     [this](Call& call, const std::vector<std::int64_t>& rows) {
                       keep(call, rows);
                       fit(call);
                     })};
  Contracts contracts(list);
  for (const std::int64_t other :
       {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, std::int64_t{3}}) {
    if (other == mode_) continue;
    contracts.integer(other < 0 ? "mode_negative" : fmt::format("mode_{}", other),
                      "a mode that does not exist, or that names rows in another form, is refused", "mode", other);
  }
  contracts.integer("ratio_0", "a ratio of 0 is refused", "ratio", 0);
  return list;
}

}  // namespace dsv4
