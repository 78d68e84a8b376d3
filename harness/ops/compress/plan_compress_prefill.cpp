/// plan_compress_prefill (V1): which tokens of a prefill batch complete a compressed entry and which are kept, by
/// request and position. Compared as sets in token order, as plan_prefill is; the plans are arguments, all on the host
/// or all on the device.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/case/covering.h"
#include "harness/generate/random.h"
#include "harness/op/op.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/planner_scenarios.h"

namespace dsv4 {
namespace {

using layout::TokenPlan;

Params point(std::int64_t ratio, const char* lens, int graph, std::int64_t batch, std::int64_t len, const char* spread,
             std::int64_t extend, const char* mix, std::int64_t slack) {
  return Params()
      .set("ratio", ratio)
      .set("lens", lens)
      .set("graph", std::int64_t{graph})
      .set("batch", batch)
      .set("len", len)
      .set("spread", spread)
      .set("extend", extend)
      .set("mix", mix)
      .set("slack", slack);
}

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

Call v1_call(std::int64_t ratio, bool on_device, bool graph, const Batch& batch, std::int64_t rows) {
  const Place place = on_device ? Place::kDevice : Place::kHost;
  const bool padded = on_device || graph;
  const Filled filled = padded ? Filled{rows, rows} : filled_rows(batch, ratio);
  const auto plan = [&](const char* name, std::int64_t used) {
    const HostTensor t = HostTensor::make(DType::kU8, {rows, static_cast<std::int64_t>(sizeof(TokenPlan))});
    std::vector<std::uint8_t> footprint(t.storage.size(), 0);  // rows beyond the batch's are to be left alone
    std::fill_n(footprint.begin(), used * static_cast<std::int64_t>(sizeof(TokenPlan)), std::uint8_t{1});
    Arg a = out(name, t, std::move(footprint));
    a.place = place;
    return a;
  };
  return {"plan_compress_prefill",
          "",
          {},
          {in("extend_lens", numbers(batch.extend_lens), place), in("seq_lens", numbers(batch.seq_lens), place),
           plan("compress_plan", filled.compress), plan("write_plan", filled.write), scalar("compress_ratio", ratio),
           scalar("is_overlap", ratio == 4), scalar("use_cuda_graph", graph)}};
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
  if (!entries.empty()) std::memcpy(t.data<std::uint8_t>(), entries.data(), t.storage.size());
  return t;
}

class PlanCompressPrefill final : public Op {
 public:
  PlanCompressPrefill()
      : Op([] {
          OpInfo info{
              .name = "plan_compress_prefill",
              .family = "compress",
              .summary = "plan of a prefill batch by request and position, without addresses (V1)",
              .upstream = "CompressorPrefillPlan.generate of compress_old",
              .abis = {"plan_compress_prefill/1"},
              .space = {ParamSpec::choice("ratio", {"4", "128"}, "tokens per compressed entry"),
                        ParamSpec::choice("lens", {"host", "device"}, "where lengths and plans lie"),
                        ParamSpec::choice("graph", {"0", "1"}, "plans of fixed size, as a captured graph needs them")},
              .host_note = "the real order of atomics on the device path; the schedule seed varies it"};
          for (ParamSpec& spec : prefill_batch_params()) info.space.add(std::move(spec));
          info.space.add(ParamSpec::integer("slack", 0, 1 << 17, "rows of the plans beyond the batch's tokens",
                                            {0, 1, 6, 100, 2042}));
          return info;
        }()) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.is("lens", "host")) {
      if (p.integer("slack") != 0) return "lengths on the host must fill the plans' rows";
      if (p.is("mix", "some_empty")) return "lengths on the host must bring at least one token a request";
    } else if (!p.flag("graph")) {
      return "a plan made on the device always has a fixed size: graph=1";
    }
    if (p.integer("batch") * (p.integer("extend") + 1) > 1 << 20) return "more than a million tokens";
    return reject_batch(p);
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override;

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    return v1_call(c.params.integer("ratio"), c.params.is("lens", "device"), c.params.flag("graph"), batch,
                   batch.tokens() + c.params.integer("slack"));
  }

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
    return {.bytes = bytes, .flops = 0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

std::vector<Params> PlanCompressPrefill::points(Tier tier) const {
  if (tier == Tier::kSmoke) {
    return {point(4, "host", 0, 5, 21, "stagger", 6, "mixed", 0),
            point(4, "device", 1, 4, 250, "stagger", 8, "uniform", 3),
            point(128, "host", 1, 3, 255, "stagger", 130, "last_differs", 0),
            point(128, "device", 1, 9, 124, "stagger", 9, "mixed", 0)};
  }
  std::vector<Params> all;
  if (tier == Tier::kQuick) {
    const auto valid = [this](const Params& p) { return !reject(p); };
    for (const char* mix : {"uniform", "last_differs", "mixed", "some_empty"}) {
      const auto rows =
          pairwise({integers("ratio", {4, 128}), words("lens", {"host", "device"}), integers("graph", {0, 1}),
                    integers("batch", {9}), integers("len", {1, 4, 12, 60, 124, 252, 508}),
                    words("spread", {"same", "stagger", "random"}),
                    integers("extend", {1, 2, 4, 5, 8, 9, 33, 127, 128, 129, 300}), words("mix", {mix}),
                    integers("slack", {0, 7})},
                   valid);
      all.insert(all.end(), rows.begin(), rows.end());
    }
    for (const std::int64_t ratio : {4, 128}) {
      for (const std::int64_t batch : {31, 32, 33, 129, 1024, 1025}) {
        all.push_back(point(ratio, "device", 1, batch, 9, "stagger", 3, "uniform", batch % 7));
        all.push_back(point(ratio, "host", 0, batch, 130, "random", 9, "mixed", 0));
      }
      all.push_back(point(ratio, "device", 1, 1, 7, "same", 6, "uniform", 2042));
      all.push_back(point(ratio, "host", 1, 1, 4096, "same", 1500, "uniform", 0));
    }
    return all;
  }
  for (const std::int64_t ratio : {4, 128}) {
    for (const char* lens : {"host", "device"}) {
      for (const std::int64_t tokens : {65535, 65536, 70000}) {  // no limit of 16 bits here
        all.push_back(point(ratio, lens, 1, 1, tokens, "same", tokens, "uniform", 0));
      }
      all.push_back(point(ratio, lens, 1, 1, 1 << 20, "same", 8192, "uniform", 0));
      all.push_back(point(ratio, lens, 1, 1000, 1000, "random", 60, "mixed", 0));
      all.push_back(point(ratio, lens, 1, 2049, 300, "random", 20, "mixed", 0));
    }
    all.push_back(point(ratio, "device", 1, 1024, 4096, "random", 40, "some_empty", 1000));
  }
  return all;
}

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
  Contracts contracts(list, only({point(4, "host", 0, 5, 21, "stagger", 6, "mixed", 0)}));
  contracts.wrong_form("extend_lens", DType::kI32);
  contracts.wrong_form("seq_lens", DType::kI32);
  contracts.strided("extend_lens");
  contracts.strided("seq_lens");
  contracts.strided("compress_plan");
  contracts.strided("write_plan");
  contracts.misplaced("seq_lens", Place::kDevice);
  contracts.misplaced("compress_plan", Place::kDevice);
  contracts.misplaced("write_plan", Place::kDevice);
  contracts.wrong_form("compress_plan", DType::kI32);
  contracts.wrong_form("write_plan", DType::kI32);
  contracts.reshaped("write_plan_columns", "a plan of 8-byte records is refused", "write_plan",
                     [](Shape& s) { s[1] = 8; });
  contracts.reshaped("write_plan_rows", "both plans have the same rows", "write_plan", [](Shape& s) { --s[0]; });
  contracts.refused("lens_count", "one length per request", "seq_lens", [](Call& call) {
    call.arg("seq_lens").tensor() = numbers({21, 22, 23, 24});
    call.arg("seq_lens").place = Place::kHost;
  });
  add_extend_contracts(contracts);
  contracts.refused("sum_below", "lengths that do not fill the rows are refused", "extend_lens", [](Call& call) {
    HostTensor& extend = call.arg("extend_lens").tensor();
    for (std::int64_t b = 0; b < extend.numel(); ++b) extend.at<std::int64_t>(b) = 1;
  });
  const auto give_plans = [](Call& call, std::int64_t rows) {
    for (const char* name : {"compress_plan", "write_plan"}) {
      call.arg(name).value = HostTensor::make(DType::kU8, {rows, static_cast<std::int64_t>(sizeof(TokenPlan))});
      call.arg(name).footprint.clear();
    }
  };
  // Every token is kept, so a planner that counts only when it has written writes past the plan.
  contracts.refused("sum_above", "lengths that need more rows than the plans have are refused", "extend_lens",
                    [give_plans](Call& call) {
                      call.arg("extend_lens").tensor() = numbers({1, 1, 1, 1, 1});
                      give_plans(call, 4);
                    });
  contracts.edge("no_requests", "a batch of nothing: empty plans, or a clean refusal", [give_plans](Call& call) {
    for (const char* name : {"extend_lens", "seq_lens"}) call.arg(name).tensor() = numbers({});
    give_plans(call, 0);
  });

  const std::vector<Params> both{point(4, "host", 1, 9, 250, "stagger", 9, "mixed", 0),
                                 point(128, "host", 1, 9, 124, "stagger", 130, "mixed", 0),
                                 point(128, "host", 1, 40, 250, "stagger", 5, "last_differs", 0)};
  // On a device many threads make one plan: more requests than a block has.
  list.push_back(repeat_relation(only({point(4, "host", 0, 5, 21, "stagger", 6, "mixed", 0),
                                       point(4, "device", 1, 300, 9, "stagger", 5, "mixed", 7),
                                       point(128, "device", 1, 1025, 130, "random", 6, "last_differs", 0)})));
  list.push_back(host_equals_device(both));
  list.push_back(relation("legacy_equals_current",
                          "V1 and the V2 planner over request rings agree on what both of them say", only(both),
                          legacy_equals_current));
  return list;
}

DSV4_REGISTER_OP(PlanCompressPrefill);

}  // namespace
}  // namespace dsv4
