#include "harness/ops/compress/v1_op.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

/// Spreads out the pages or rings of the state, and changes their numbers in the call to match.
void spread_v1_state(Call& call) {
  Arg& state = call.arg("kv_buffer");
  const HostTensor& t = state.tensor();
  state.far_layout = far_pool(t, far_rows(t.size(0), t.strides[0], far_edges(t.dtype)));
  const auto move = [&far = state.far_layout->rows](HostTensor& numbers, std::int64_t i) {
    set_integer(numbers, i, far.at(static_cast<std::size_t>(integer_at(numbers, i))));
  };
  HostTensor& indices = call.arg("indices").tensor();
  for (std::int64_t b = 0; b < indices.numel(); ++b) move(indices, b);
  if (!call.arg("extra").is_tensor()) return;
  HostTensor& extra = call.arg("extra").tensor();
  const std::int64_t columns = extra.numel() / extra.size(0);
  for (std::int64_t i = 0; i < extra.numel(); ++i) {
    if (i % columns != 3) move(extra, i);  // the last column of a prefill call of ratio 4 is a position
  }
}

/// If all scores are equal, an entry does not depend on them. But if they are far below the score of the places before
/// a request's first token, -1e9, then these places have all the weight, and their kv is 0.
Scenario absent_places(const V1Op& op, std::vector<std::string> points) {
  return call_relation("absent_places",
                       "if all scores are -1e15, entries of first groups are 0, and others do not change",
                       op.at(std::move(points)), [&op](Case&, Call& call, Observation& want) {
                         const auto entries = op.written_by(call).entries;
                         set_low_scores(call.arg("kv_buffer").tensor());
                         set_low_scores(call.arg("kv_input").tensor());
                         for (Output& output : want.outputs) {
                           if (output.name == "kept_rows") set_low_scores(output.value);
                           if (output.name != "kv_output") continue;
                           const std::int64_t width = output.value.size(1);
                           for (std::int64_t i = 0; i < output.value.numel(); ++i) {
                             if (entries[static_cast<std::size_t>(i / width)].first_group) output.value.set(i, 0.0f);
                           }
                         }
                       });
}

}  // namespace

Space v1_space(std::int64_t ratio) { return offline_space(ratio).with({v1_state_param()}); }

Argument v1_state_argument(std::int64_t ratio) {
  return inout("kv_buffer", {kF32}, fmt::format("pages {}:page width", ratio == 4 ? "page!" : "128"),
               {.names = {{"page", "state_page"}, {"width", "state_width"}}});
}

OfflineWritten V1Op::written(const Call& call) const {
  const V1Written by = written_by(call);
  OfflineWritten rows;
  std::ranges::transform(by.entries, std::back_inserter(rows.entries), &V1Row::row);
  std::ranges::transform(by.kept, std::back_inserter(rows.kept), &V1Row::row);
  return rows;
}

std::int64_t v1_row(const Call& call, std::int64_t page, std::int64_t position) {
  const HostTensor& state = call.tensor("kv_buffer");
  if (page < 0 || page >= state.size(0)) return -1;
  return page * state.size(1) + position % state.size(1);
}

Call v1_call(const std::string& op, const OfflineTokens& tokens, HostTensor state, HostTensor input, V1Pages pages,
             std::vector<HostTensor> lengths_or_plans) {
  HostTensor output = HostTensor::make(kF32, {input.size(0), tokens.head_dim()});
  std::vector<Value> values{std::move(state), std::move(input), std::move(output), tokens.ape(),
                            std::move(pages.indices)};
  values.insert(values.end(), lengths_or_plans.begin(), lengths_or_plans.end());
  values.push_back(std::move(pages.extra));
  return call_of(op, std::move(values), Params().set("head_dim", tokens.head_dim()).set("dtype", "f32"));
}

HostTensor v1_rows(const OfflineTokens& tokens, const V1State& state, const std::vector<std::int64_t>& request_ids,
                   const std::vector<std::int64_t>& lengths) {
  return tokens.state(state.rows(), state.row_of(), request_ids, lengths, state.page_rows());
}

std::vector<Scenario> V1Op::scenarios() const {
  std::vector<Scenario> list{far_relation("kv_buffer", "pages of the state beyond 2^32 elements",
                                          at({info().smoke[0], info().smoke[1]}), spread_v1_state)};
  if (ratio() == 4) {
    Contracts(list).refused("extra_missing", "a state with pages of four rows is refused if there is no extra",
                            "kv_buffer", [](Call& call) { call.arg("extra").value = None{}; });
    list.push_back(
        absent_places(*this, {"fill=equal len=1 batch=9", "state=rings head_dim=512 fill=equal len=4 batch=3"}));
  } else {
    Contracts(list).reshaped("state_page_1", "state pages of one row (online compression) are refused", "kv_buffer",
                             [](Shape& s) { s[1] = 1; });
  }
  append(list, v1_outside(*this));
  return list;
}

}  // namespace dsv4
