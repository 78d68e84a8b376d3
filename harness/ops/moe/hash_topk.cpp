/// hash_topk looks up the experts of a token by its token id. The weight of an expert is sqrt(softplus(logit)),
/// normalised per token.
///
/// Ids are exact. Weights are computed with expf and log1pf, whose accuracy is documented. From this accuracy the
/// reference derives a bound for every weight.
#include <algorithm>
#include <limits>

#include "harness/generate/router_fills.h"
#include "harness/op/define.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {
namespace {

using Limits = std::numeric_limits<float>;

/// The scaling factor. A case id gives it as an integer, in thousandths.
double scale_of(const Params& p) { return static_cast<double>(p.integer("scale")) / 1000.0; }

class HashTopK final : public Op {
 public:
  HashTopK()
      : Op({
            .name = "hash_topk",
            .family = "moe",
            .summary = "experts looked up by token id, weighted by sqrt(softplus(logit)), normalised per token",
            .upstream = "hash_topk, _jit_hash_topk_module",
            .space = {number("tokens", 1, 1 << 17, "tokens",
                             {.usual = 5, .quick = {1, 3, 4, 5, 127, 257}, .full = {255, 256, 1024, 4097}}),
                      number("k", 1, 32, "routed experts of a token", {.usual = 6, .both = {1, 2, 6, 8, 31, 32}}),
                      number("shared", 0, 8, "shared experts after the routed ones", {.usual = 1, .both = {0, 1, 2}}),
                      number("experts", 1, 4096, "routed experts", {.usual = 256, .both = {40, 256, 384}}),
                      number("vocab", 1, 1 << 18, "rows of the lookup table",
                             {.usual = 1000, .both = {1, 1000}, .soak = {129280}}),
                      number("scale", -1000000, 1000000, "routed scaling factor, in thousandths",
                             {.usual = 1500, .both = {0, 1500, 2500}, .soak = {1000}}),
                      word("table", {"distinct", "duplicates"}, "whether the experts of a token may repeat"),
                      word("fill", router_fills().names(), "distribution of the logits of each token's experts")},
            .signature = {{in("router_logits", {kF32}, "tokens experts", {.called = "logits"}),
                           in("input_id", {kI64}, "tokens:count", {.called = "ids", .index = Index{.limit = "vocab"}}),
                           in("tid2eid", {kI32}, "vocab k", {.called = "table", .index = Index{.limit = "experts"}}),
                           out("topk_weights", {kF32}, "tokens columns", {.called = "weights"}),
                           out("topk_ids", {kI32}, "tokens columns:shape", {.called = "ids_out"}),
                           real("routed_scaling_factor")},
                          "tokens"},
            .smoke = {"", "tokens=3 k=8 shared=0 experts=384 scale=1000 table=duplicates fill=mixed"},
            .quick = {"cover"},
            .full = {"cover", "tokens=32768"},
            .bench = each({"tokens={} shared=0 vocab=129280"}, {"64", "4096"}),
            .host_note = "a CPU runs expf and log1pf of the C library, not those of the GPU",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.integer("k") + p.integer("shared") > 32)
      return "k + shared must be at most 32, because a warp handles a token";
    if (p.is("table", "distinct") && p.integer("experts") < p.integer("k"))
      return "a table of distinct experts needs at least k experts";
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("experts") * std::max(p.integer("tokens"), p.integer("vocab")) <= 1 << 24) return std::nullopt;
    return "this case would take too long: experts times tokens, and experts times vocab, must be at most 2^24";
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t k = p.integer("k");
    Call call = allocate(c, {{"columns", k + p.integer("shared")}});
    fill_ids(call.arg("input_id").tensor(), p.integer("vocab"), Random(c.seed, "input_id"));
    fill_table(call.arg("tid2eid").tensor(), p, Random(c.seed, "tid2eid"));
    call.arg("routed_scaling_factor").value = scale_of(p);
    HostTensor& logits = call.arg("router_logits").tensor();
    HostTensor values = HostTensor::make(kF32, {k});
    Random random(c.seed, "router_logits");
    for (std::int64_t t = 0; t < logits.size(0); ++t) {
      // Logits of experts that the token does not use must have no effect, so they are NaN and infinity.
      for (std::int64_t e = 0; e < logits.size(1); ++e)
        logits.at<float>(t, e) = e % 2 == 0 ? Limits::quiet_NaN() : Limits::infinity();
      router_fills().apply(p.text("fill"), random, Elements(values));
      // If an expert repeats, the last value written to its logit stays. The special value of a fill is the last value,
      // so it always stays.
      const std::vector<std::int32_t> experts = experts_of(call, t);
      for (std::int64_t j = 0; j < k; ++j)
        logits.at<float>(t, experts[static_cast<std::size_t>(k - 1 - j)]) = values.at<float>(j);
    }
    return call;
  }

  /// A token uses its row of the lookup table.
  [[nodiscard]] std::vector<std::int64_t> indices_of(const Call& call, const std::string& argument,
                                                     std::int64_t row) const override {
    if (argument != "tid2eid") return Op::indices_of(call, argument, row);
    return Op::indices_of(call, argument, call.tensor("input_id").at<std::int64_t>(row));
  }

  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult& result) const override {
    Observation o;
    o.add("ids", result.tensor("topk_ids"));
    o.add("weights", result.tensor("topk_weights"));
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return {{"ids", Tolerance::exact("ids are copied")},
            {"weights",
             bounded(call, reference, "topk_weights",
                     "errors of 2 ulp in expf and 1 ulp in log1pf; sqrt, sum and division are correctly rounded")}};
  }

  /// `empty_tokens` is the number of tokens whose weights all underflow, so that the sum of their weights is 0.
  [[nodiscard]] Facts facts(const Case& c, const Call& call) const override {
    const HostTensor empty = element_facts(c, call).at("empty_token");
    std::int64_t tokens = 0;
    for (std::int64_t t = 0; t < empty.size(0); ++t) tokens += empty.at<std::int64_t>(t, 0);
    return {{"empty_tokens", tokens}};
  }

  /// `empty_token`, for each weight: 1 if it is a routed weight of a token whose weights all underflow.
  /// `far_logits`, for each token: 1 if it has a logit at an offset of 2^32 elements or more.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    constexpr float kUnderflow = -103.98f;
    const HostTensor& logits = call.tensor("router_logits");
    const auto& far = call.arg("router_logits").far_layout;
    const std::int64_t stride = far ? far->strides.at(0) : logits.size(1);
    HostTensor empty = HostTensor::make(kI64, call.tensor("topk_weights").shape);
    HostTensor beyond = HostTensor::make(kI64, {logits.size(0)});
    for (std::int64_t t = 0; t < logits.size(0); ++t) {
      const std::int64_t id = call.tensor("input_id").at<std::int64_t>(t);
      if (id < 0 || id >= call.tensor("tid2eid").size(0)) continue;  // a call of a contract
      const std::vector<std::int32_t> experts = experts_of(call, t);
      const auto unknown = [&](std::int32_t e) { return e < 0 || e >= logits.size(1); };
      if (std::ranges::any_of(experts, unknown)) continue;
      const bool none =
          std::ranges::all_of(experts, [&](std::int32_t e) { return logits.at<float>(t, e) < kUnderflow; });
      for (std::int64_t j = 0; none && j < std::ssize(experts); ++j) empty.at<std::int64_t>(t, j) = 1;
      const std::int64_t row = far ? far->rows.at(static_cast<std::size_t>(t)) : t;
      const bool wraps =
          std::ranges::any_of(experts, [&](std::int32_t e) { return row * stride + e >= std::int64_t{1} << 32; });
      beyond.at<std::int64_t>(t) = wraps ? 1 : 0;
    }
    return {{"empty_token", std::move(empty)}, {"far_logits", std::move(beyond)}};
  }

  /// `divisor_1e-20`: the sum of the weights is increased by 1e-20 before the division.
  /// `quotient_nan`: the weights of a token without a weight are 0 / 0.
  [[nodiscard]] std::optional<Alternative> variant(const std::string& name, const Case&, const Call& call,
                                                   Caller& reference) const override {
    if (name == "quotient_nan") {
      HostTensor nan = HostTensor::make(DType::kF32, call.tensor("topk_weights").shape);
      fill_floats(nan, [] { return std::numeric_limits<float>::quiet_NaN(); });
      Alternative other;
      other.outputs.push_back({"weights", std::move(nan)});
      other.tolerances["weights"] = Tolerance::exact_nan("0 / 0 is NaN");
      return other;
    }
    if (name != "divisor_1e-20" || reference.call(call).refusal) return std::nullopt;
    Alternative other;
    other.outputs.push_back({"weights", auxiliary(call, name, reference).tensor("topk_weights")});
    other.tolerances["weights"] = Tolerance::within(auxiliary(call, name + "_bound", reference).tensor("topk_weights"),
                                                    "the same errors as without the addition, and one more rounding");
    return other;
  }

  /// Without shared experts, all ids of a case may be equal: if each token has one expert, or if experts repeat. Then
  /// all weights are equal too.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    const Params& p = c.params;
    if (p.integer("shared") != 0 || (p.integer("k") > 1 && p.is("table", "distinct"))) return false;
    const Call call = make(c);
    const std::int32_t first = experts_of(call, 0).front();
    for (std::int64_t t = 0; t < p.integer("tokens"); ++t) {
      if (!std::ranges::all_of(experts_of(call, t), [&](std::int32_t e) { return e == first; })) return false;
    }
    return true;
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const auto k = static_cast<double>(c.params.integer("k"));
    const auto columns = k + static_cast<double>(c.params.integer("shared"));
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    return {.bytes = tokens * (8.0 + 4.0 * k + 4.0 * k + 8.0 * columns), .flops = tokens * k * 5.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return hash_topk_scenarios(*this); }

 private:
  /// The experts of token `t`, in the order of the lookup table.
  static std::vector<std::int32_t> experts_of(const Call& call, std::int64_t t) {
    const HostTensor& table = call.tensor("tid2eid");
    const HostTensor row = gather_rows(table, {call.tensor("input_id").at<std::int64_t>(t)}, table.size(1));
    return {row.data<std::int32_t>(), row.data<std::int32_t>() + row.numel()};
  }

  /// Random token ids. The first id names the last row of the table, and the second id names the first row.
  static void fill_ids(HostTensor& ids, std::int64_t vocab, Random random) {
    for (std::int64_t t = 0; t < ids.numel(); ++t)
      ids.at<std::int64_t>(t) = t == 0 ? vocab - 1 : (t == 1 ? 0 : random.below(vocab));
  }

  /// The lookup table: the experts of each token id.
  static void fill_table(HostTensor& table, const Params& p, Random random) {
    const std::int64_t experts = p.integer("experts");
    for (std::int64_t v = 0; v < table.size(0); ++v) {
      const bool distinct = p.is("table", "distinct");
      const auto order = distinct ? random.permutation(experts) : std::vector<std::int64_t>{};
      for (std::int64_t j = 0; j < table.size(1); ++j) {
        table.at<std::int32_t>(v, j) = static_cast<std::int32_t>(
            distinct ? order[static_cast<std::size_t>(j)] : random.below(std::min<std::int64_t>(experts, 5)));
      }
    }
  }
};

DSV4_REGISTER_OP(HashTopK);

}  // namespace
}  // namespace dsv4
