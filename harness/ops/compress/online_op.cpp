#include "harness/ops/compress/online_op.h"

#include <algorithm>
#include <limits>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

/// Spreads out the slots of the state. Changes the slots that the call names to match; -1 (none) stays.
void spread_slots(const OnlineOp& op, Call& call) {
  Arg& state = call.arg("kv_buffer");
  const HostTensor& t = state.tensor();
  state.far_layout = far_pool(t, far_rows(t.size(0), t.strides[0], far_edges(t.dtype)));
  op.change_slots(call, [far = state.far_layout->rows](std::int32_t& slot) {
    if (slot >= 0) slot = static_cast<std::int32_t>(far.at(static_cast<std::size_t>(slot)));
  });
}

}  // namespace

ParamSpec online_fill_param() { return word("fill", kOnlineFills, "values of kv, scores and bias"); }

Space online_space() { return {word("state", {"f32"}, "dtype of the state"), online_fill_param()}; }

float OnlineTokens::kv(Random& random) const {
  if (fill_ == "equal" || fill_ == "steps") return static_cast<float>(random.between(-8, 8));
  return fill_ == "wide" ? random.wide(-40, 40) : random.gauss();
}

float OnlineTokens::score(Random& random) const {
  if (fill_ == "equal") return 1;
  if (fill_ == "steps") return 16.0f * static_cast<float>(random.between(-6, 6));
  return random.gauss() * (fill_ == "large" ? 3000.0f : 1.0f);
}

HostTensor OnlineTokens::ape() const {
  HostTensor t = HostTensor::make(kF32, {kOnlineGroup, kOnlineHeadDim});
  Random random(seed_, "ape");
  fill_floats(t, [&]() -> double {
    if (fill_ == "equal") return 0;
    if (fill_ == "steps") return 16.0 * static_cast<double>(random.between(-1, 1));
    return 0.5 * random.gauss();
  });
  return t;
}

bool OnlineTokens::is_cleared(std::int64_t request_id, std::int64_t position) const {
  // The first token of a group is never reset: if all scores of a group were minus infinity, it would have no mean.
  const auto drawn = [&](std::int64_t p) {
    return p % kOnlineGroup != 0 && Random(seed_, fmt::format("row {} {}", request_id, p)).chance(3);
  };
  if (fill_ != "cleared" || !drawn(position)) return false;
  if (position % kPartOfGroup != kPartOfGroup - 1) return true;
  for (std::int64_t before = 1; before < kPartOfGroup; ++before) {
    if (!drawn(position - before)) return true;
  }
  return false;
}

void OnlineTokens::fill_row(float* row, std::int64_t request_id, std::int64_t position) const {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Random random(seed_, fmt::format("row {} {}", request_id, position));
  const bool first = position % kOnlineGroup == 0;
  const bool cleared = is_cleared(request_id, position);
  if (fill_ == "cleared" && !first) (void)random.chance(3);  // the draw of is_cleared
  for (std::int64_t k = 0; k < kOnlineRow; ++k) {
    const bool is_kv = k < kOnlineHeadDim;
    if (cleared) {
      row[k] = is_kv ? 0.0f : -std::numeric_limits<float>::infinity();
    } else {
      row[k] = is_kv ? kv(random) : score(random);
    }
    if (fill_ == "nan" && (is_kv || !first) && random.chance(64)) row[k] = kNan;
  }
}

HostTensor OnlineTokens::input(const Batch& batch) const {
  HostTensor t = HostTensor::make(kF32, {batch.tokens(), kOnlineRow});
  for (const BatchToken& token : tokens_of(batch)) fill_row(&t.at<float>(token.row, 0), token.id, token.position);
  return t;
}

HostTensor OnlineTokens::state(std::int64_t slots, const std::vector<OpenSlot>& open) const {
  HostTensor t = HostTensor::make(kF32, {slots, 1, kOnlineSlot});
  for (std::int64_t i = 0, n = t.numel(); i < n; ++i) t.data<float>()[i] = poison_float(static_cast<std::size_t>(i));
  for (const OpenSlot& o : open) {
    Random random(seed_, fmt::format("slot {}", o.slot));
    float* largest = &t.at<float>(o.slot, 0, 0);
    for (std::int64_t d = 0; d < kOnlineHeadDim; ++d) {
      largest[d] = score(random);
      // The largest weight is 1, so the sum is from 1 to the number of tokens.
      float& sum = largest[kOnlineHeadDim + d];
      if (fill_ == "equal") {
        sum = static_cast<float>(o.tokens);
      } else if (fill_ == "steps") {
        sum = static_cast<float>(random.between(1, o.tokens));
      } else {
        sum = 1.0f + random.unit() * static_cast<float>(o.tokens - 1);
      }
      float& mean = largest[2 * kOnlineHeadDim + d];
      mean = kv(random);
      if (fill_ == "nan" && random.chance(64)) {
        (random.chance(2) ? sum : mean) = std::numeric_limits<float>::quiet_NaN();
      }
    }
  }
  return t;
}

std::vector<OpenSlot> OnlineTokens::read_by(const std::vector<layout::CompressPlan>& plan) {
  std::vector<OpenSlot> open;
  for (const layout::CompressPlan& r : plan) {
    if (is_sentinel(r)) continue;
    const std::int64_t earlier = (std::int64_t{r.seq_len} - 1) % kOnlineGroup + 1 - r.buffer_len;
    if (earlier > 0) open.push_back({r.read_page_0, earlier});
  }
  return open;
}

std::vector<OpenSlot> OnlineTokens::read_by(const std::vector<layout::DecodePlan>& plan) {
  std::vector<OpenSlot> open;
  for (const layout::DecodePlan& r : plan) {
    const std::int64_t earlier = (std::int64_t{r.seq_len} - 1) % kOnlineGroup;
    if (earlier > 0) open.push_back({r.read_page_0, earlier});
  }
  return open;
}

Call OnlineTokens::call(const std::string& op, HostTensor state, HostTensor input,
                        const std::vector<HostTensor>& plans) const {
  std::vector<Value> values{std::move(state), std::move(input),
                            HostTensor::make(kF32, {plans.at(0).size(0), kOnlineHeadDim}), ape()};
  values.insert(values.end(), plans.begin(), plans.end());
  return call_of(op, std::move(values), Params().set("head_dim", kOnlineHeadDim).set("state", "f32"));
}

std::optional<std::string> OnlineOp::too_large(const Params& p) const {
  constexpr std::int64_t kMostBytes = std::int64_t{256} << 20;
  const std::int64_t batch = p.integer("batch");
  const std::int64_t slots = batch * (longest_request(p) / 256 + 1);
  if (std::max(slots * kOnlineSlot, batch * longest_extend(p) * kOnlineRow) * 4 > kMostBytes) {
    return fmt::format("the state or the batch exceeds {} MiB", kMostBytes >> 20);
  }
  return too_many_slots(p);
}

void OnlineOp::fit(Call& call) const {
  const OnlineWritten rows = written(call);
  call.arg("kv_output").footprint = footprint_of_rows(call.tensor("kv_output"), rows.entries, kOnlineHeadDim);
  call.arg("kv_buffer").footprint = footprint_of_rows(call.tensor("kv_buffer"), rows.kept, kOnlineSlot);
}

Observation OnlineOp::observe(const Case&, const Call& call, const CallResult& result) const {
  const OnlineWritten rows = written(call);
  return Observation()
      .add("kv_output", gather_rows(result.tensor("kv_output"), rows.entries, kOnlineHeadDim))
      .add("kept_rows", gather_rows(result.tensor("kv_buffer"), rows.kept, kOnlineSlot));
}

OnlineBounds online_bounds(const Call& call, Caller& reference, std::int64_t merges) {
  std::vector<Arg> more;
  for (const std::string name : {"kv_output", "kv_buffer"}) {
    more.push_back(out(name + "_bound", HostTensor::make(kF32, call.tensor(name).shape)));
  }
  const bool prefills = has_argument(call, "plan_w") || has_argument(call, "write_plan");
  if (prefills) more.push_back(scalar("merges", merges));
  const CallResult result = auxiliary(call, "bound", reference, std::move(more));
  return {result.tensor("kv_output_bound"), result.tensor("kv_buffer_bound")};
}

Tolerances OnlineOp::tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                Caller& reference) const {
  const OnlineWritten rows = written(call);
  const OnlineBounds bounds = online_bounds(call, reference);
  return {
      {"kv_output", Tolerance::within(gather_rows(bounds.output, rows.entries, kOnlineHeadDim), kOnlineBoundReason)},
      {"kept_rows", Tolerance::within(gather_rows(bounds.state, rows.kept, kOnlineSlot), kOnlineBoundReason)}};
}

Cost OnlineOp::cost(const Case&, const Call& call) const {
  const OnlineWritten rows = written(call);
  const auto entries = static_cast<double>(rows.entries.size()), kept = static_cast<double>(rows.kept.size());
  const auto tokens = static_cast<double>(added(call));
  const auto reads = static_cast<double>(read(call).size());
  double bytes = 0;
  for (const Arg& arg : call.args) {  // plans, slots and lengths
    if (arg.is_tensor() && arg.tensor().dtype != kF32) bytes += static_cast<double>(arg.tensor().storage.size());
  }
  // A token is read once. Slots are read, and written. The bias is read once by the call.
  bytes += 4 * (tokens * kOnlineRow + (kept + reads) * kOnlineSlot + entries * kOnlineHeadDim);
  bytes += 4 * static_cast<double>(call.tensor("ape").numel());
  // For each column of a token: four operations on the score (bias, maximum, exponential, sum) and two on kv.
  return {.bytes = bytes, .flops = tokens * kOnlineHeadDim * 6};
}

std::vector<Scenario> OnlineOp::scenarios() const {
  std::vector<Scenario> list{far_relation("kv_buffer", "slots of the state beyond 2^32 elements",
                                          at({info().smoke[0], info().smoke[1]}),
                                          [this](Call& call) { spread_slots(*this, call); })};
  Contracts contracts(list);
  contracts.reshaped("state_of_a_page", "a state of 128 rows for each slot (offline compression) is refused",
                     "kv_buffer", [](Shape& s) { s[1] = kOnlineGroup; });
  return list;
}

}  // namespace dsv4
