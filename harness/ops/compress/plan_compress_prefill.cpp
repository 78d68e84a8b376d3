/// plan_compress_prefill (V1): which tokens of a prefill batch complete a compressed entry and which are kept, by
/// request and position. Compared as sets in token order, as plan_prefill is; the plans are arguments, all on the host
/// or all on the device.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

/// Rows of the two plans that a batch fills.
struct Filled {
  std::int64_t compress = 0;
  std::int64_t write = 0;
};

Filled filled_rows(const Batch& batch, std::int64_t ratio) {
  Filled n;
  for (const BatchToken& t : tokens_of(batch)) {
    n.compress += (t.position + 1) % ratio == 0 ? 1 : 0;
    n.write += t.position >= first_live(batch.seq_lens[static_cast<std::size_t>(t.request)], ratio) ? 1 : 0;
  }
  return n;
}

Batch v1_batch(const Call& call) {
  Batch batch{{}, numbers_of(call, "seq_lens"), numbers_of(call, "extend_lens")};
  for (std::int64_t b = 0; b < batch.size(); ++b) batch.request_ids.push_back(b);
  return batch;
}

/// Allows a call to write the rows of its plans that the batch fills; the rows beyond them stay as they are.
void set_plan_footprints(Call& call) {
  const bool padded = call.arg("seq_lens").place == Place::kDevice || std::get<bool>(call.arg("use_cuda_graph").value);
  const Filled filled = filled_rows(v1_batch(call), integer_of(call, "compress_ratio"));
  for (const auto& [name, used] : {std::pair{"compress_plan", filled.compress}, {"write_plan", filled.write}}) {
    Arg& plan = call.arg(name);
    const auto bytes = static_cast<std::int64_t>(plan.tensor().storage.size());
    plan.footprint.assign(static_cast<std::size_t>(bytes), 0);
    const std::int64_t written = used * static_cast<std::int64_t>(sizeof(TokenPlan));
    std::fill_n(plan.footprint.begin(), padded ? bytes : std::min(bytes, written), std::uint8_t{1});
  }
}

/// Gives a call plans of so many rows.
void give_plans(Call& call, std::int64_t rows) {
  for (const char* name : {"compress_plan", "write_plan"}) {
    call.arg(name).value = HostTensor::make(kU8, {rows, static_cast<std::int64_t>(sizeof(TokenPlan))});
    call.arg(name).footprint.clear();
  }
}

void check_entries(const Batch& batch, const std::vector<BatchToken>& tokens, const std::vector<TokenPlan>& entries,
                   const char* name, Observation& o) {
  std::set<std::uint32_t> seen;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const TokenPlan& e = entries[i];
    if (e.ragged_id >= tokens.size()) {
      o.find("range", fmt::format("{} row {}: token {} of a batch of {}", name, i, e.ragged_id, tokens.size()));
      continue;
    }
    if (!seen.insert(e.ragged_id).second) {
      o.find("duplicate", fmt::format("{} row {}: token {} is there already", name, i, e.ragged_id));
    }
    const BatchToken& t = tokens[e.ragged_id];
    if (e.batch_id != t.request || e.position != t.position || e.position < batch.prefix(t.request)) {
      o.find("content", fmt::format("{} row {}: token {} is position {} of request {}; the entry says {} of {}", name,
                                    i, e.ragged_id, t.position, t.request, e.position, e.batch_id));
    }
  }
}

HostTensor canonical(std::vector<TokenPlan> entries) {
  std::ranges::sort(entries, {}, &TokenPlan::ragged_id);
  HostTensor t = HostTensor::make(DType::kI32, {std::ssize(entries), 4});
  if (!entries.empty()) std::memcpy(t.storage.data(), entries.data(), t.storage.size());
  return t;
}

std::vector<std::string> quick_lines() {
  const std::vector<std::string> ratios{"ratio=4", "ratio=128"};
  return joined(
      {each({"cover mix={}"}, {"uniform", "last_differs", "mixed", "some_empty"}),
       each(each({"{} lens=device graph=1 len=9 extend=3 mix=uniform {}"}, ratios),
            {"batch=31 slack=3", "batch=32 slack=4", "batch=33 slack=5", "batch=129 slack=3", "batch=1024 slack=2",
             "batch=1025 slack=3"}),
       each(each({"{} batch={} len=130 spread=random extend=9"}, ratios), {"31", "32", "33", "129", "1024", "1025"}),
       each({"{} lens=device graph=1 batch=1 len=7 spread=same mix=uniform slack=2042",
             "{} graph=1 batch=1 len=4096 spread=same extend=1500 mix=uniform"},
            ratios)});
}

/// V1 plans number tokens in 32 bits: 65536 of them are no limit.
std::vector<std::string> full_lines() {
  return joined({each(each({"ratio={} lens={} graph=1 batch=1 len=65535 spread=same extend=65535 mix=uniform",
                            "ratio={} lens={} graph=1 batch=1 len=65536 spread=same extend=65536 mix=uniform",
                            "ratio={} lens={} graph=1 batch=1 len=70000 spread=same extend=70000 mix=uniform",
                            "ratio={} lens={} graph=1 batch=1 len=1048576 spread=same extend=8192 mix=uniform",
                            "ratio={} lens={} graph=1 batch=1000 len=1000 spread=random extend=60",
                            "ratio={} lens={} graph=1 batch=2049 len=300 spread=random extend=20"},
                           {"4", "128"}),
                      {"host", "device"}),
                 each({"ratio={} lens=device graph=1 batch=1024 len=4096 spread=random extend=40 mix=some_empty "
                       "slack=1000"},
                      {"4", "128"})});
}

class PlanCompressPrefill final : public Op {
 public:
  PlanCompressPrefill()
      : Op({
            .name = "plan_compress_prefill",
            .family = "compress",
            .summary = "plan of a prefill batch by request and position, without addresses (V1)",
            .upstream = "CompressorPrefillPlan.generate of compress_old",
            .space = Space{word("ratio", {"4", "128"}, "tokens per compressed entry"),
                           word("lens", {"host", "device"}, "where lengths and plans lie"),
                           flag("graph", "plans of fixed size, as a captured graph needs them")}
                         .with(prefill_batch({.usual = 5, .quick = {9}},
                                             {.usual = 21, .quick = {1, 4, 12, 60, 124, 252, 508}},
                                             {.usual = 6, .quick = {1, 2, 4, 5, 8, 9, 33, 127, 128, 129, 300}}))
                         .with({number("slack", 0, 1 << 17, "rows of the plans beyond the batch's tokens",
                                       {.quick = {0, 7}, .soak = {0, 1, 6, 100, 2042}})}),
            .signature = {{in("extend_lens", {kI64}, "requests", {.place = std::nullopt}),
                           in("seq_lens", {kI64}, "requests:count",
                              {.place = std::nullopt, .names = {{"count", "lens_count"}}}),
                           out("compress_plan", {kU8}, "tokens:rows 16:columns", {.place = std::nullopt}),
                           out("write_plan", {kU8}, "tokens:rows 16:columns", {.place = std::nullopt}),
                           integer("compress_ratio"), truth("is_overlap"), truth("use_cuda_graph")},
                          "requests"},
            .smoke = {"", "lens=device graph=1 batch=4 len=250 extend=8 mix=uniform slack=3",
                      "ratio=128 graph=1 batch=3 len=255 extend=130 mix=last_differs",
                      "ratio=128 lens=device graph=1 batch=9 len=124 extend=9"},
            .quick = quick_lines(),
            .full = full_lines(),
            .bench = {"lens=device graph=1 batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .without = {{"relation:any_batch", "rows of a plan name tokens of the whole batch"}},
            .host_note = "the real order of atomics on the device path; the schedule seed varies it",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.is("lens", "host")) {
      if (p.integer("slack") != 0) return "lengths on the host must fill the plans' rows";
      if (p.is("mix", "some_empty")) return "lengths on the host must bring at least one token a request";
    } else if (!p.flag("graph")) {
      return "a plan made on the device always has a fixed size: graph=1";
    }
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("batch") * (p.integer("extend") + 1) > 1 << 20) return "more than a million tokens";
    return too_many_slots(p);
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    const std::int64_t ratio = p.integer("ratio"), rows = batch.tokens() + p.integer("slack");
    const HostTensor plan = HostTensor::make(kU8, {rows, static_cast<std::int64_t>(sizeof(TokenPlan))});
    Call v1 =
        call({numbers(batch.extend_lens), numbers(batch.seq_lens), plan, plan, ratio, ratio == 4, p.flag("graph")});
    for (const char* name : {"extend_lens", "seq_lens", "compress_plan", "write_plan"}) {
      v1.arg(name).place = p.is("lens", "device") ? Place::kDevice : Place::kHost;
    }
    set_plan_footprints(v1);
    return v1;
  }
  void fit(Call& call) const override { give_plans(call, v1_batch(call).tokens()); }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    Observation o;
    const Batch batch = v1_batch(call);
    const auto tokens = tokens_of(batch);
    const bool on_device = call.arg("seq_lens").place == Place::kDevice;
    const bool padded = on_device || std::get<bool>(call.arg("use_cuda_graph").value);
    for (const std::size_t i : {0, 1}) {
      const std::string name = i == 0 ? "compress_plan" : "write_plan";
      std::vector<TokenPlan> rows = records_of<TokenPlan>(result.tensor(name), name, o);
      const auto* count = i < result.returned.size() ? std::get_if<std::int64_t>(&result.returned[i]) : nullptr;
      const std::int64_t used = count == nullptr ? -1 : *count;
      if (used < 0 || used > std::ssize(rows) || (padded && used != std::ssize(rows))) {
        o.find("count", fmt::format("{}: {} of {} rows are said to be in use", name, used, rows.size()));
      }
      rows.resize(static_cast<std::size_t>(std::clamp<std::int64_t>(used, 0, std::ssize(rows))));
      const auto valid = valid_entries(rows, name, o);
      if (!padded && valid.size() != rows.size()) o.find("sentinel", name + ": a sentinel in a plan of exact size");
      if (!on_device && !std::ranges::is_sorted(valid, {}, &TokenPlan::ragged_id)) {
        o.find("order", name + " is not in token order, as a plan made on the host is");
      }
      check_entries(batch, tokens, valid, name.c_str(), o);
      o.add(name, canonical(valid));
      o.add(i == 0 ? "compress_count" : "write_count", numbers({used, std::ssize(valid)}));
    }
    return o;
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("batch") * c.params.integer("extend") < 2;
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    // Two lengths of each request, and the rows of both plans that the call fills.
    auto bytes = 16.0 * static_cast<double>(call.tensor("seq_lens").numel());
    for (const char* plan : {"compress_plan", "write_plan"}) {
      bytes += static_cast<double>(std::ranges::count(call.arg(plan).footprint, 1));
    }
    return {.bytes = bytes};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

/// V1 and the V2 planner over request rings name the same tokens; V2 says position + 1 and no request.
void legacy_equals_current(ScenarioContext& x) {
  const Call v1 = x.op.make(x.c);
  const Batch batch = v1_batch(v1);
  const std::int64_t ratio = x.c.params.integer("ratio");
  const Observation old = x.observed("V1", v1);
  const CallResult current = x.call("V2", legacy_prefill_plan_call(ratio, false, batch));
  const Observation now = observe_prefill_plan(
      {.batch = batch, .ratio = ratio, .state_rows = batch.size() * legacy_ring_rows(ratio), .in_token_order = true},
      returned_tensor(current, 0), returned_tensor(current, 1));
  // What both say: of an entry the token, its length and the window entries before the batch; of a kept row the token.
  const auto project = [](const HostTensor& t, std::vector<std::pair<std::int64_t, std::int32_t>> columns) {
    HostTensor p = HostTensor::make(DType::kI32, {t.size(0), std::ssize(columns)});
    for (std::int64_t i = 0; i < t.size(0); ++i) {
      for (std::size_t k = 0; k < columns.size(); ++k) {
        p.at<std::int32_t>(i, k) = t.at<std::int32_t>(i, columns[k].first) + columns[k].second;
      }
    }
    return p;
  };
  Observation got, want;
  got.findings = old.findings;
  got.add("compress_plan", project(old.output("compress_plan"), {{0, 0}, {2, 1}, {3, 0}}));
  got.add("write_plan", project(old.output("write_plan"), {{0, 0}}));
  want.add("compress_plan", project(now.output("compress_plan"), {{0, 0}, {1, 0}, {2, 0}}));
  want.add("write_plan", project(now.output("write_plan"), {{0, 0}}));
  for (const Finding& f : now.findings) x.fail(f.check, f.detail);
  x.expect_agree("V1 against V2", got, want);
}

std::vector<Scenario> PlanCompressPrefill::scenarios() const {
  std::vector<Scenario> list;
  Contracts contracts(list);
  add_extend_contracts(contracts);
  for (const std::string name : {"seq_lens", "compress_plan", "write_plan"}) {
    contracts.misplaced(name + "_on_device", "a tensor in the wrong memory is refused, not dereferenced", name,
                        Place::kDevice);
  }
  contracts.refused("sum_below", "lengths that do not fill the rows are refused", "extend_lens", [](Call& call) {
    call.arg("extend_lens").tensor() = numbers({1, 1, 1, 1, 1});
  });
  // Every token is kept, so a planner that counts only when it has written writes past the plan.
  contracts.refused("sum_above", "lengths that need more rows than the plans have are refused", "extend_lens",
                    [](Call& call) {
                      call.arg("extend_lens").tensor() = numbers({1, 1, 1, 1, 1});
                      give_plans(call, 4);
                    });
  // On a device many threads make one plan: more requests than a block has.
  list.push_back(
      repeat_relation(at({"", "lens=device graph=1 batch=300 len=9 extend=5 slack=7",
                          "ratio=128 lens=device graph=1 batch=1025 len=130 spread=random mix=last_differs"})));
  const Points both = at({"graph=1 batch=9 len=250 extend=9", "ratio=128 graph=1 batch=9 len=124 extend=130",
                          "ratio=128 graph=1 batch=40 len=250 extend=5 mix=last_differs"});
  list.push_back(host_equals_device(both));
  list.push_back(relation("legacy_equals_current",
                          "V1 and the V2 planner over request rings agree on what both of them say", both,
                          legacy_equals_current));
  return list;
}

DSV4_REGISTER_OP(PlanCompressPrefill);

}  // namespace
}  // namespace dsv4
