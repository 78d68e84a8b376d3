/// hash_topk: experts looked up by token id and weighted by sqrt(softplus(logit)), normalised per token.
///
/// Ids are exact. Weights pass through expf and log1pf, whose accuracy is documented; the reference derives from it a
/// bound for every weight.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "harness/case/covering.h"
#include "harness/core/error.h"
#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/far.h"
#include "harness/op/op.h"
#include "harness/op/rows.h"
#include "harness/op/scenarios.h"

namespace dsv4 {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

const std::vector<std::string>& logit_fills() {
  static const std::vector<std::string> kFills{"gauss",    "integers",  "near_zero", "positive",
                                               "negative", "saturated", "subnormal", "underflow",
                                               "mixed",    "minus_inf", "one_inf",   "one_nan"};
  return kFills;
}

/// A logit of a referenced expert. Between about -103.98 and -102.5 expf may or may not underflow, and for a token with
/// no other logit any weights are right: no fill draws from there.
float logit(const std::string& fill, Random& r, std::int64_t j) {
  const auto uniform = [&](float low, float high) { return low + (high - low) * r.unit(); };
  if (fill == "gauss") return 3.0f * r.gauss();
  if (fill == "integers") return static_cast<float>(r.between(-8, 8));
  if (fill == "near_zero") return r.wide(-40, -20);
  if (fill == "positive") return uniform(0.0f, 200.0f);
  if (fill == "negative") return uniform(-80.0f, -10.0f);
  if (fill == "saturated") return r.chance(2) ? std::abs(r.wide(6, 120)) : uniform(88.0f, 104.0f);
  if (fill == "subnormal") return uniform(-102.0f, -87.0f);
  if (fill == "underflow") return r.chance(2) ? -200.0f : uniform(-1e6f, -105.0f);
  if (fill == "mixed") {
    static constexpr float kEdges[] = {0.0f,  -0.0f,  1e-8f,  -1e-8f, 20.0f, -20.0f,
                                       88.0f, -88.0f, 104.0f, -16.7f, 88.7f, -200.0f};
    return kEdges[static_cast<std::size_t>(r.below(std::ssize(kEdges)))];
  }
  if (fill == "minus_inf") return r.chance(2) ? -kInf : r.gauss();
  if (fill == "one_inf") return j == 0 ? kInf : r.gauss();
  if (fill == "one_nan") return j == 0 ? kNan : r.gauss();
  throw Error(fmt::format("unknown logit fill '{}'", fill));
}

/// Scale factors as integers in a case id: thousandths.
double scale_of(const Params& p) { return static_cast<double>(p.integer("scale")) / 1000.0; }

class HashTopK final : public Op {
 public:
  HashTopK()
      : Op({.name = "hash_topk",
            .family = "moe",
            .summary = "experts looked up by token id, weighted by sqrt(softplus(logit)), normalised per token",
            .upstream = "hash_topk",
            .abis = {"hash_topk/1"},
            .space = {ParamSpec::integer("tokens", 1, 1 << 17, "tokens", {1, 3, 4, 5, 127, 257, 4096}),
                      ParamSpec::integer("k", 1, 32, "routed experts of a token", {1, 2, 6, 8, 31, 32}),
                      ParamSpec::integer("shared", 0, 8, "shared experts after the routed ones", {0, 1, 2}),
                      ParamSpec::integer("experts", 1, 4096, "routed experts", {8, 256, 384}),
                      ParamSpec::integer("vocab", 1, 1 << 18, "rows of the lookup table", {1, 1000, 129280}),
                      ParamSpec::integer("scale", -1000000, 1000000, "routed scaling factor, in thousandths",
                                         {0, 1000, 1500, 2500}),
                      ParamSpec::choice("table", {"distinct", "duplicates"}, "whether a token's experts may repeat"),
                      ParamSpec::choice("fill", logit_fills(), "distribution of the logits that count")},
            .host_note = "expf and log1pf are those of the C library, not of the GPU"}) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.integer("k") + p.integer("shared") > 32) return "k + shared must be at most 32: a warp handles a token";
    if (p.is("table", "distinct") && p.integer("experts") < p.integer("k")) return "fewer experts than k distinct ones";
    if (p.integer("experts") * std::max(p.integer("tokens"), p.integer("vocab")) > 1 << 24) {
      return "experts times tokens, and times vocab, must be at most 2^24: larger cases try patience, not kernels";
    }
    return std::nullopt;
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point(5, 6, 1, 256, 1500, "distinct", "gauss"), point(3, 8, 0, 384, 1000, "duplicates", "mixed")};
    }
    const auto valid = [this](const Params& p) { return !reject(p).has_value(); };
    const auto axes = [](std::vector<std::int64_t> tokens) {
      return std::vector<Axis>{axis("tokens", tokens),
                               axis("k", {1, 2, 6, 8, 31, 32}),
                               axis("shared", {0, 1, 2}),
                               axis("experts", {40, 256, 384}),
                               axis("vocab", {1, 1000}),
                               axis("scale", {0, 1500, 2500}),
                               axis("table", {std::string("distinct"), "duplicates"}),
                               axis("fill", logit_fills())};
    };
    if (tier == Tier::kQuick) return pairwise(axes({1, 3, 4, 5, 127, 257}), valid);
    std::vector<Params> all = pairwise(axes({255, 256, 1024, 4097}), valid);
    all.push_back(point(32768, 6, 1, 256, 1500, "distinct", "gauss"));
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t tokens = p.integer("tokens"), k = p.integer("k"), experts = p.integer("experts");
    const std::int64_t columns = k + p.integer("shared");
    HostTensor ids = ids_of(c);
    HostTensor table = table_of(c);
    HostTensor logits = HostTensor::make(DType::kF32, {tokens, experts});
    Random random(c.seed, "router_logits");
    for (std::int64_t t = 0; t < tokens; ++t) {
      // What is not looked up may hold anything.
      for (std::int64_t e = 0; e < experts; ++e) logits.at<float>(t, e) = e % 2 == 0 ? kNan : kInf;
      for (std::int64_t j = k; j-- > 0;) {  // j = 0 last: with duplicates it still sets the special value
        const std::int32_t e = table.at<std::int32_t>(ids.at<std::int64_t>(t), j);
        logits.at<float>(t, e) = logit(p.text("fill"), random, j);
      }
    }
    return {"hash_topk",
            "",
            {},
            {in("router_logits", std::move(logits)), in("input_id", std::move(ids)), in("tid2eid", std::move(table)),
             out("topk_weights", HostTensor::make(DType::kF32, {tokens, columns})),
             out("topk_ids", HostTensor::make(DType::kI32, {tokens, columns})),
             scalar("routed_scaling_factor", scale_of(p))}};
  }

  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    Observation o;
    o.add("ids", result.tensor("topk_ids"));
    o.add("weights", result.tensor("topk_weights"));
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    Call bound = call;
    bound.aux = "bound";
    const CallResult r = reference.call(bound);
    if (r.refusal) throw Error("hash_topk: the reference refused to compute its bound: " + *r.refusal);
    return {{"ids", Tolerance::exact("ids are copied")},
            {"weights", Tolerance::within(r.tensor("topk_weights"),
                                          "expf to 2 ulp, log1pf to 1, and correctly rounded sqrt, sum and division")}};
  }

  /// `empty_tokens`: tokens all of whose weights underflow, so that their sum is 0.
  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    constexpr float kUnderflow = -103.98f;
    const HostTensor& ids = call.tensor("input_id");
    const HostTensor& table = call.tensor("tid2eid");
    std::int64_t empty = 0;
    for (std::int64_t t = 0; t < ids.numel(); ++t) {
      bool all = true;
      for (std::int64_t j = 0; j < table.size(1); ++j) {
        const std::int32_t e = table.at<std::int32_t>(ids.at<std::int64_t>(t), j);
        all = all && call.tensor("router_logits").at<float>(t, e) < kUnderflow;
      }
      empty += all ? 1 : 0;
    }
    return {{"empty_tokens", empty}};
  }

  /// Without shared experts all ids may be one: a single expert a token, or duplicates of few. Then its weights are
  /// alike as well.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    const Params& p = c.params;
    if (p.integer("shared") != 0 || (p.integer("k") > 1 && p.is("table", "distinct"))) return false;
    const HostTensor ids = ids_of(c);
    const HostTensor table = table_of(c);
    const std::int32_t first = table.at<std::int32_t>(ids.at<std::int64_t>(0), 0);
    for (std::int64_t t = 0; t < ids.numel(); ++t) {
      for (std::int64_t j = 0; j < table.size(1); ++j) {
        if (table.at<std::int32_t>(ids.at<std::int64_t>(t), j) != first) return false;
      }
    }
    return true;
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const auto k = static_cast<double>(c.params.integer("k"));
    const auto columns = k + static_cast<double>(c.params.integer("shared"));
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    return {.bytes = tokens * (8.0 + 4.0 * k + 4.0 * k + 8.0 * columns), .flops = tokens * k * 5.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{batch_permutation(), exact_normalisation(), far_table(), far_logits()};
    Contracts contracts(list);
    // The first smoke point: 5 tokens, 6 + 1 experts of 256, 1000 table rows.
    contracts.replaced("logits_dtype", "half-width logits are refused", "router_logits",
                       HostTensor::make(DType::kBF16, {5, 256}));
    contracts.replaced("logits_rank", "logits must be a matrix", "router_logits",
                       HostTensor::make(DType::kF32, {5 * 256}));
    contracts.replaced("ids_dtype", "32-bit token ids are refused, not read as halves", "input_id",
                       HostTensor::make(DType::kI32, {5}));
    contracts.replaced("ids_count", "one id per token", "input_id", HostTensor::make(DType::kI64, {6}));
    contracts.replaced("table_dtype", "64-bit experts are refused", "tid2eid",
                       HostTensor::make(DType::kI64, {1000, 6}));
    contracts.replaced("weights_dtype", "weights are float", "topk_weights", HostTensor::make(DType::kF64, {5, 7}));
    contracts.replaced("ids_out_shape", "ids and weights have one shape", "topk_ids",
                       HostTensor::make(DType::kI32, {5, 6}));
    contracts.replaced("logits_strided", "logits must be contiguous", "router_logits",
                       HostTensor::strided(DType::kF32, {5, 256}, {257, 1}));
    const auto widen = [&](const char* name, const char* meaning, const char* argument, std::int64_t columns,
                           std::int64_t k) {
      contracts.refused(name, meaning, argument, [columns, k](Call& call) {
        call.arg("tid2eid").tensor() = HostTensor::make(DType::kI32, {1000, k});
        call.arg("topk_weights").tensor() = HostTensor::make(DType::kF32, {5, columns});
        call.arg("topk_ids").tensor() = HostTensor::make(DType::kI32, {5, columns});
      });
    };
    widen("too_wide", "33 experts a token are more than a warp holds", "topk_ids", 33, 32);
    widen("narrower_than_table", "outputs must hold the table's experts", "tid2eid", 5, 6);
    contracts.misplaced("ids_on_host", "token ids in host memory are refused", "input_id", Place::kHost);
    contracts.edge("no_tokens", "no tokens: nothing to do, or a clean refusal", [](Call& call) {
      keep_rows(call, {"router_logits", "input_id", "topk_weights", "topk_ids"}, {});
    });
    return list;
  }

 private:
  /// Token ids; the first and the last row of the table are among them.
  static HostTensor ids_of(const Case& c) {
    const std::int64_t tokens = c.params.integer("tokens"), vocab = c.params.integer("vocab");
    HostTensor ids = HostTensor::make(DType::kI64, {tokens});
    Random random(c.seed, "input_id");
    for (std::int64_t t = 0; t < tokens; ++t) {
      ids.at<std::int64_t>(t) = t == 0 ? vocab - 1 : (t == 1 ? 0 : random.below(vocab));
    }
    return ids;
  }

  /// The experts of each token id.
  static HostTensor table_of(const Case& c) {
    const Params& p = c.params;
    const std::int64_t k = p.integer("k"), experts = p.integer("experts"), vocab = p.integer("vocab");
    HostTensor table = HostTensor::make(DType::kI32, {vocab, k});
    Random random(c.seed, "tid2eid");
    for (std::int64_t v = 0; v < vocab; ++v) {
      const bool distinct = p.is("table", "distinct");
      const auto order = distinct ? random.permutation(experts) : std::vector<std::int64_t>{};
      for (std::int64_t j = 0; j < k; ++j) {
        table.at<std::int32_t>(v, j) = static_cast<std::int32_t>(
            distinct ? order[static_cast<std::size_t>(j)] : random.below(std::min<std::int64_t>(experts, 5)));
      }
    }
    return table;
  }

  static Params point(std::int64_t tokens, std::int64_t k, std::int64_t shared, std::int64_t experts,
                      std::int64_t scale, const char* table, const char* fill) {
    return Params()
        .set("tokens", tokens)
        .set("k", k)
        .set("shared", shared)
        .set("experts", experts)
        .set("vocab", std::int64_t{1000})
        .set("scale", scale)
        .set("table", table)
        .set("fill", fill);
  }

  static Scenario far_table() {
    return far_relation(
        "tid2eid", "rows of the lookup table beyond 2^32 elements",
        only({point(10, 6, 1, 256, 1500, "distinct", "gauss")}), [](Call& call) {
          HostTensor& ids = call.arg("input_id").tensor();
          Arg& table = call.arg("tid2eid");
          const std::vector<std::int64_t> looked_up{ids.data<std::int64_t>(), ids.data<std::int64_t>() + ids.numel()};
          table.tensor() = rows_of(table.tensor(), looked_up);  // a row for each token
          table.placement =
              far_pool(table.tensor(), far_rows(ids.numel(), table.tensor().size(1), far_edges(DType::kI32)));
          for (std::int64_t t = 0; t < ids.numel(); ++t)
            ids.at<std::int64_t>(t) = table.placement->rows[static_cast<std::size_t>(t)];
        });
  }

  /// Few rows of very many experts stand for very many rows: it is their product that counts. Without shared experts,
  /// whose ids follow from the number of experts.
  static Scenario far_logits() {
    return far_relation("router_logits", "logits beyond 2^32 elements",
                        only({point(5, 6, 0, 256, 1500, "distinct", "gauss")}), [](Call& call) {
                          constexpr std::int64_t kExperts = std::int64_t{1} << 30;
                          Arg& logits = call.arg("router_logits");
                          Placement far{{logits.tensor().size(0), kExperts}, {kExperts, 1}, {}};
                          for (std::int64_t t = 0; t < far.shape[0]; ++t) far.rows.push_back(t);
                          logits.placement = std::move(far);
                        });
  }

  static Scenario batch_permutation() {
    return call_relation("batch_permutation", "tokens in another order give the same rows in that order, to the bit",
                         kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                           std::vector<std::int64_t> backwards;
                           for (std::int64_t t = call.tensor("input_id").size(0); t-- > 0;) backwards.push_back(t);
                           keep_rows(call, {"router_logits", "input_id"}, backwards);
                           for (Output& output : want.outputs) output.value = rows_of(output.value, backwards);
                         });
  }

  /// Equal logits share a token's weight equally: with k a power of two every sum and quotient is exact. At every
  /// width, with and without a column more: kernels that give a token more lanes than it has experts choose by it.
  static Scenario exact_normalisation() {
    return relation("equal_logits",
                    "k equal logits give weights of exactly 1/k for k = 1, 2, 4, ... 32, whatever the logit",
                    kFirstSmokePoint, [](ScenarioContext& x) {
                      for (const std::int64_t k : {1, 2, 4, 8, 16, 32}) {
                        for (const std::int64_t shared : {0, 1}) {
                          Case c = x.c;
                          c.params.set("k", k).set("shared", shared);
                          if (x.op.reject(c.params)) continue;
                          for (const float value : {0.0f, 1.0f, -20.0f, 80.0f, -90.0f, 3.0e38f}) {
                            Call call = x.op.make(c);
                            fill_floats(call.arg("router_logits").tensor(), [&] { return value; });
                            Observation want = x.expected(c, call);
                            for (Output& output : want.outputs) {
                              if (output.name != "weights") continue;
                              for (std::int64_t i = 0; i < output.value.numel(); ++i) {
                                if (i % (k + shared) < k) set_float(output.value, i, 1.0 / static_cast<double>(k));
                              }
                            }
                            const std::string where = fmt::format("k={}, shared={}, logit {}", k, shared, value);
                            x.expect_agree(where, x.observed(c, where, call), want);
                          }
                        }
                      }
                    });
  }
};

DSV4_REGISTER_OP(HashTopK);

}  // namespace
}  // namespace dsv4
