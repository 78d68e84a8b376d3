#include "harness/ops/compress/offline_op.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/core/poison.h"
#include "harness/op/define.h"
#include "harness/ops/compress/plan_pairs.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

/// Rows of a window at ratio 128 whose sums upstream computes together.
constexpr std::int64_t kPartOfWindow = 8;

/// Applies `change` to each record of the plan `name`, if the call has this plan.
template <class Record, class Change>
void change_records(Call& call, const char* name, Change change) {
  if (!has_argument(call, name)) return;
  std::vector<Record> records = records_of<Record>(call.tensor(name));
  std::ranges::for_each(records, change);
  call.arg(name).tensor() = plan_tensor(records);
}

/// Spreads out the pages of the state. Changes page and row numbers in the plans to match; -1 (none) stays.
void spread_state(Call& call) {
  Arg& state = call.arg("kv_buffer");
  const HostTensor& t = state.tensor();
  const auto ratio = static_cast<std::int32_t>(t.size(1));
  state.far_layout = far_pool(t, far_rows(t.size(0), t.strides[0], far_edges(t.dtype)));
  const auto far_page = [&far = state.far_layout->rows](std::int32_t page) {
    return page < 0 ? page : static_cast<std::int32_t>(far.at(static_cast<std::size_t>(page)));
  };
  const auto move_pages = [&](auto& entry) {
    entry.read_page_0 = far_page(entry.read_page_0);
    entry.read_page_1 = far_page(entry.read_page_1);
  };
  const auto move_row = [&](auto& kept) {
    if (kept.write_loc >= 0) kept.write_loc = far_page(kept.write_loc / ratio) * ratio + kept.write_loc % ratio;
  };
  change_records<layout::DecodePlan>(call, "plan_d", [&](auto& request) {
    move_row(request);
    move_pages(request);
  });
  change_records<layout::CompressPlan>(call, "plan_c", move_pages);
  change_records<layout::WritePlan>(call, "plan_w", move_row);
}

}  // namespace

Space offline_space(std::int64_t ratio) {
  const bool c4 = ratio == 4;
  return {word("head_dim", {"128", "512"}, "columns of an entry"),
          word("ring", c4 ? std::vector<std::string>{"8", "16"} : std::vector<std::string>{"128", "256"},
               "state rows per cache page"),
          word("fill", offline_fills(ratio), "values of kv, scores and bias")};
}

std::vector<std::string> offline_fills(std::int64_t ratio) {
  std::vector<std::string> fills{"gauss", "equal", "steps", "large", "cleared", "wide", "nan"};
  if (ratio == 128) fills.insert(fills.begin() + 5, "emptied");
  return fills;
}

OfflineTokens::OfflineTokens(std::int64_t ratio, const Params& p, std::uint64_t seed)
    : ratio_(ratio), fill_(p.text("fill")), head_dim_(p.integer("head_dim")), seed_(seed) {}

HostTensor OfflineTokens::ape() const {
  HostTensor t = HostTensor::make(kF32, {window_of(ratio_), head_dim_});
  Random random(seed_, "ape");
  fill_floats(t, [&]() -> double {
    if (fill_ == "equal") return 0;
    if (fill_ == "steps") return 16.0 * static_cast<double>(random.between(-1, 1));
    return 0.5 * random.gauss();
  });
  return t;
}

bool OfflineTokens::is_cleared(Random& of_row, std::int64_t request_id, std::int64_t position) const {
  // The last token of a group is never reset: if all scores of an entry were minus infinity, it would have no mean.
  if (fill_ == "cleared") return position % 4 != 3 && of_row.chance(3);
  if (fill_ != "emptied" || position % ratio_ >= ratio_ - kPartOfWindow) return false;
  return Random(seed_, fmt::format("part {} {}", request_id, position / kPartOfWindow)).chance(8);
}

void OfflineTokens::fill_row(float* row, std::int64_t request_id, std::int64_t position) const {
  Random random(seed_, fmt::format("row {} {}", request_id, position));
  const bool cleared = is_cleared(random, request_id, position);
  const auto kv = [&]() -> float {
    if (cleared) return 0;
    if (fill_ == "equal" || fill_ == "steps") return static_cast<float>(random.between(-8, 8));
    return fill_ == "wide" ? random.wide(-40, 40) : random.gauss();
  };
  const auto score = [&]() -> float {
    if (cleared) return -std::numeric_limits<float>::infinity();
    if (fill_ == "equal") return 1;
    if (fill_ == "steps") return 16.0f * static_cast<float>(random.between(-6, 6));
    return random.gauss() * (fill_ == "large" ? 3000.0f : 1.0f);
  };
  for (std::int64_t k = 0; k < width(); ++k) {
    row[k] = k < width() / 2 ? kv() : score();
    // In each window, many columns have a NaN, and many have none.
    if (fill_ == "nan" && random.chance(8 * window_of(ratio_))) row[k] = std::numeric_limits<float>::quiet_NaN();
  }
}

HostTensor OfflineTokens::input(const Batch& batch, const std::vector<std::int64_t>& rejected_from) const {
  constexpr std::int64_t kElsewhere = std::int64_t{1} << 40;  // longer than any request
  HostTensor t = HostTensor::make(kF32, {batch.tokens(), width()});
  for (const BatchToken& token : tokens_of(batch)) {
    const bool rejected =
        !rejected_from.empty() && token.position >= rejected_from[static_cast<std::size_t>(token.request)];
    fill_row(&t.at<float>(token.row, 0), token.id, token.position + (rejected ? kElsewhere : 0));
  }
  return t;
}

Call OfflineTokens::call(const std::string& op, HostTensor state, HostTensor input,
                         const std::vector<HostTensor>& plans) const {
  std::vector<Value> values{std::move(state), std::move(input),
                            HostTensor::make(kF32, {plans.at(0).size(0), head_dim_}), ape()};
  values.insert(values.end(), plans.begin(), plans.end());
  return call_of(op, std::move(values), Params().set("head_dim", head_dim_).set("dtype", "f32"));
}

HostTensor OfflineTokens::state(std::int64_t rows, const RowOf& row, const std::vector<std::int64_t>& request_ids,
                                const std::vector<std::int64_t>& lengths, std::int64_t page_rows) const {
  const std::int64_t per_page = page_rows == 0 ? ratio_ : page_rows;
  HostTensor t = HostTensor::make(kF32, {rows / per_page, per_page, width()});
  for (std::int64_t i = 0, n = t.numel(); i < n; ++i) t.data<float>()[i] = poison_float(static_cast<std::size_t>(i));
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    for (const std::int64_t p : live_positions(lengths[b], ratio_)) {
      fill_row(t.data<float>() + row(request_ids[b], p) * width(), request_ids[b], p);
    }
  }
  return t;
}

std::vector<Pair> offline_pairs(std::int64_t ratio, const std::vector<std::string>& planners, const Points& points) {
  return pairs_with(planners, ratio, points, [ratio](const Case& c, const Planned& planned) {
    const OfflineTokens tokens(ratio, c.params, c.seed);
    const Batch& batch = planned.batch;
    return tokens.call(c.op, tokens.state(planned.state_rows, planned.row, batch.request_ids, batch.prefixes()),
                       tokens.input(batch), planned.plans);
  });
}

void set_low_scores(HostTensor& rows) {
  constexpr float kLowScore = -1e15f;
  const std::int64_t width = rows.shape.back();
  for (std::int64_t i = 0; i < rows.numel(); ++i) {
    if (i % width >= width / 2 && !std::isnan(rows.get<float>(i))) rows.set(i, kLowScore);
  }
}

Scenario offline_absent_places(const Points& points) {
  return call_relation("absent_places", "if all scores are -1e15, entries do not change", points,
                       [](Case&, Call& call, Observation& want) {
                         set_low_scores(call.arg("kv_buffer").tensor());
                         set_low_scores(call.arg("kv_input").tensor());
                         for (Output& output : want.outputs) {
                           if (output.name == "kept_rows") set_low_scores(output.value);
                         }
                       });
}

const OfflineOp& offline_op(const ScenarioContext& x) { return dynamic_cast<const OfflineOp&>(x.op); }

const char* OfflineOp::bound_reason() const {
  return ratio_ == 4
             ? "float softmax over eight tokens: rounding of the biased scores, fast exponential (weighted 2 + 1.173 "
               "|x| ulp), eight products, division (2 ulp); the reference computes the bound of each element"
             : "float softmax over 128 tokens in 16 parts: rounding of the biased scores, two fast exponentials "
               "(weighted 4 + 1.173 |x| ulp), eight products for each part, sums of the parts, division (2 ulp); the "
               "reference computes the bound of each element";
}

std::optional<std::string> OfflineOp::too_large(const Params& p) const {
  constexpr std::int64_t kMostBytes = std::int64_t{256} << 20;
  const std::int64_t batch = p.integer("batch"), row_bytes = 8 * windows_of_token(ratio_) * p.integer("head_dim");
  const std::int64_t state_rows = batch * (longest_request(p) / kCachePage + 1) * p.integer("ring");
  if (std::max(state_rows, batch * longest_extend(p)) * row_bytes > kMostBytes) {
    return fmt::format("the state or the batch exceeds {} MiB", kMostBytes >> 20);
  }
  return too_many_slots(p);
}

void OfflineOp::fit(Call& call) const {
  const std::int64_t head_dim = call.tensor("ape").size(1);
  const OfflineWritten rows = written(call);
  call.arg("kv_output").footprint = footprint_of_rows(call.tensor("kv_output"), rows.entries, head_dim);
  call.arg("kv_buffer").footprint =
      footprint_of_rows(call.tensor("kv_buffer"), rows.kept, call.tensor("kv_buffer").size(2));
}

Observation OfflineOp::observe(const Case&, const Call& call, const CallResult& result) const {
  const std::int64_t head_dim = result.tensor("ape").size(1);
  const OfflineWritten rows = written(call);
  return Observation()
      .add("kv_output", gather_rows(result.tensor("kv_output"), rows.entries, head_dim))
      .add("kept_rows", gather_rows(result.tensor("kv_buffer"), rows.kept, result.tensor("kv_buffer").size(2)));
}

Tolerances OfflineOp::tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                 Caller& reference) const {
  Tolerance bound = bounded(call, reference, "kv_output", bound_reason());
  bound.bound = gather_rows(bound.bound, written(call).entries, bound.bound.size(1));
  return {{"kv_output", std::move(bound)}, {"kept_rows", Tolerance::exact("kept rows are copies")}};
}

Cost OfflineOp::cost(const Case&, const Call& call) const {
  const auto head_dim = static_cast<double>(call.tensor("ape").size(1));
  const OfflineWritten rows = written(call);
  const auto entries = static_cast<double>(rows.entries.size()), kept = static_cast<double>(rows.kept.size());
  const auto windows = static_cast<double>(windows_of_token(ratio_)), window = static_cast<double>(window_of(ratio_));
  // Unit: head_dim f32. An entry reads a kv and a score of each row of its window, from the state or from the input. In
  // a decode step, the newest row is already counted as a kept row. A kept row is read and written.
  const double rows_of_entry = window - (has_argument(call, "plan_d") || has_argument(call, "seq_lens") ? 1 : 0);
  double bytes = (entries * (2 * rows_of_entry + 1) + 2 * kept * 2 * windows + window) * 4 * head_dim;
  for (const Arg& arg : call.args) {
    if (!arg.is_tensor() || arg.tensor().dtype == kF32) continue;
    bytes += static_cast<double>(arg.tensor().storage.size());  // a plan, pages or lengths
  }
  // Each column of an entry takes six operations for each token of the window: four on the score (bias, maximum,
  // exponential, sum) and two on kv (product, sum).
  return {.bytes = bytes, .flops = entries * head_dim * window * 6};
}

ElementFacts OfflineOp::element_facts(const Case&, const Call& call) const {
  if (ratio_ != 128) return {};
  const OfflineWritten rows = written(call);
  const std::int64_t head_dim = call.tensor("ape").size(1);
  HostTensor empty = HostTensor::make(kI64, {std::ssize(rows.entries), head_dim});
  for (std::int64_t k = 0; k < empty.size(0); ++k) {
    const std::vector<const float*> window = window_rows(call, rows.entries[static_cast<std::size_t>(k)]);
    for (std::int64_t d = 0; d < head_dim; ++d) {
      std::int64_t infinite = 0;
      for (std::int64_t j = 0; j < std::ssize(window); ++j) {
        if (j % kPartOfWindow == 0) infinite = 0;
        const float score = window[static_cast<std::size_t>(j)][head_dim + d];
        if (score == -std::numeric_limits<float>::infinity()) ++infinite;
        if (infinite == kPartOfWindow) empty.at<std::int64_t>(k, d) = 1;
      }
    }
  }
  return {{"empty_part", std::move(empty)}};
}

std::vector<Scenario> OfflineOp::scenarios() const {
  std::vector<Scenario> list{far_relation("kv_buffer", "pages of the state beyond 2^32 elements",
                                          at({info().smoke[0], info().smoke[1]}), spread_state)};
  if (ratio_ == 4) {
    Contracts(list).reshaped("state_page_8", "state pages of eight rows (an older kernel) are refused", "kv_buffer",
                             [](Shape& s) { s[1] = 8; });
  } else {
    Contracts(list).reshaped("state_page_1", "state pages of one row (online compression) are refused", "kv_buffer",
                             [](Shape& s) { s[1] = 1; });
  }
  append(list, offline_plan_contracts(*this));
  return list;
}

}  // namespace dsv4
