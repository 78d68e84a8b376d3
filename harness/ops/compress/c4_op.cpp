#include "harness/ops/compress/c4_op.h"

#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/compress/c4_tokens.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

/// Changes each record of a plan, where the call has this plan.
template <class Record, class Change>
void change_records(Call& call, const char* name, Change change) {
  if (!has_argument(call, name)) return;
  std::vector<Record> records = records_of<Record>(call.tensor(name));
  std::ranges::for_each(records, change);
  call.arg(name).tensor() = plan_tensor(records);
}

/// Spreads out the pages of the state, and makes the plans name the far pages and rows. -1 names none and stays.
void spread_state(Call& call) {
  Arg& state = call.arg("kv_buffer");
  const HostTensor& t = state.tensor();
  state.placement = far_pool(t, far_rows(t.size(0), t.strides[0], far_edges(t.dtype)));
  const auto far_page = [&far = state.placement->rows](std::int32_t page) {
    return page < 0 ? page : static_cast<std::int32_t>(far.at(static_cast<std::size_t>(page)));
  };
  const auto move_pages = [&](auto& entry) {
    entry.read_page_0 = far_page(entry.read_page_0);
    entry.read_page_1 = far_page(entry.read_page_1);
  };
  const auto move_row = [&](auto& kept) {
    if (kept.write_loc >= 0) kept.write_loc = far_page(kept.write_loc / 4) * 4 + kept.write_loc % 4;
  };
  change_records<layout::DecodePlan>(call, "plan_d", move_row);
  change_records<layout::DecodePlan>(call, "plan_d", move_pages);
  change_records<layout::CompressPlan>(call, "plan_c", move_pages);
  change_records<layout::WritePlan>(call, "plan_w", move_row);
}

}  // namespace

const char* const kC4BoundReason =
    "float softmax over eight entries: rounding of the biased scores, fast exponential (2 + 1.173 |x| ulp, weighted), "
    "eight products, division of 2 ulp; computed per element beside the value";

Space c4_space() {
  return {word("head_dim", {"128", "512"}, "columns of an entry"),
          word("ring", {"8", "16"}, "state rows per cache page"),
          word("fill", c4_fills(), "values of kv, scores and bias")};
}

Params c4_compile(const Params& p) { return Params().set("head_dim", p.integer("head_dim")).set("dtype", "f32"); }

std::optional<std::string> C4Op::too_large(const Params& p) const {
  constexpr std::int64_t kMostBytes = std::int64_t{256} << 20;
  const std::int64_t batch = p.integer("batch"), row_bytes = 16 * p.integer("head_dim");
  const std::int64_t state_rows = batch * (longest_request(p) / kC4CachePage + 1) * p.integer("ring");
  if (std::max(state_rows, batch * longest_extend(p)) * row_bytes > kMostBytes) {
    return fmt::format("the state or the batch exceeds {} MiB", kMostBytes >> 20);
  }
  return too_many_slots(p);
}

void C4Op::fit(Call& call) const {
  const std::int64_t head_dim = call.tensor("ape").size(1);
  const C4Written rows = written(call);
  Arg& entries = call.arg("kv_output");
  entries.footprint = footprint_of_rows(entries.tensor(), rows.entries, head_dim);
  Arg& state = call.arg("kv_buffer");
  state.footprint = footprint_of_rows(state.tensor(), rows.kept, 4 * head_dim);
}

Observation C4Op::observe(const Case&, const Call& call, const CallResult& result) const {
  const std::int64_t head_dim = result.tensor("ape").size(1);
  const C4Written rows = written(call);
  return Observation()
      .add("kv_output", gather_rows(result.tensor("kv_output"), rows.entries, head_dim))
      .add("kept_rows", gather_rows(result.tensor("kv_buffer"), rows.kept, 4 * head_dim));
}

Tolerances C4Op::tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                            Caller& reference) const {
  Tolerance bound = bounded(call, reference, "kv_output", kC4BoundReason);
  bound.bound = gather_rows(bound.bound, written(call).entries, bound.bound.size(1));
  return {{"kv_output", std::move(bound)}, {"kept_rows", Tolerance::exact("kept rows are copies")}};
}

Cost C4Op::cost(const Case&, const Call& call) const {
  const auto head_dim = static_cast<double>(call.tensor("ape").size(1));
  const C4Written rows = written(call);
  const auto entries = static_cast<double>(rows.entries.size()), kept = static_cast<double>(rows.kept.size());
  // In rows of 4H f32: an entry is a quarter as wide as a row, a kept row is read and written, the bias takes two rows.
  const double moved = entries * (rows.rows_of_entry + 0.25) + 2 * kept + 2;
  // For each column of an entry: the window's eight scores are biased, compared, exponentiated and summed, and its
  // eight kv weighted and summed.
  return {.bytes = moved * 16 * head_dim + rows.plan_bytes, .flops = entries * head_dim * 8 * 6};
}

std::vector<Scenario> C4Op::scenarios() const {
  std::vector<Scenario> list{far_relation("kv_buffer", "pages of the state beyond 2^32 elements",
                                          at({info().smoke[0], info().smoke[1]}), spread_state)};
  Contracts(list).reshaped("state_page_8", "state pages of eight rows are those of an older kernel", "kv_buffer",
                           [](Shape& s) { s[1] = 8; });
  return list;
}

}  // namespace dsv4
