/// mega_moe_pre_dispatch quantises tokens to E4M3 with UE8M0 scales into a buffer of slots, copies their routing, and
/// blanks the routing of the slots without a token. Every output is exact.
#include <algorithm>
#include <limits>

#include "harness/op/define.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {
namespace {

/// Fills of a group of elements that share a scale.
const Fills kGroupFills{fills::gauss(),
                        fills::scaled_integers(),
                        fills::e4m3_midpoints(),
                        fills::scale_edges(),
                        fills::zeros(),
                        fills::tiny_groups(1e-10),
                        fills::wide(-133, -127, "denormal"),
                        fills::wide(-130, 120),
                        fills::wide(100, 127, "huge"),
                        fills::bits(),
                        fills::nan_groups(),
                        fills::inf_groups()};

/// An expert id. With `edges`, about half of the ids are ones that a cast or a check of the range would change.
std::int32_t expert_id(Random& random, bool edges) {
  using Limits = std::numeric_limits<std::int32_t>;
  constexpr std::int32_t kEdges[] = {-1, 0, -2, 1 << 16, Limits::min(), Limits::max()};
  return edges && random.chance(2) ? kEdges[random.below(6)] : static_cast<std::int32_t>(random.below(256));
}

class MegaMoePreDispatch final : public Op {
 public:
  MegaMoePreDispatch()
      : Op({
            .name = "mega_moe_pre_dispatch",
            .family = "moe",
            .summary = "quantise tokens into the slots of a dispatch buffer, copy their routing, blank unused slots",
            .upstream = "mega_moe_pre_dispatch, _jit_mega_moe_pre_dispatch_module",
            .space = {word("group", {"32", "64", "128"}, "elements that share a scale"),
                      word("buffer", {"i8", "e4m3"}, "type of the buffer of codes"),
                      number("tokens", 0, 1 << 17, "tokens, each in its slot",
                             {.usual = 5, .quick = {0, 1, 2, 3, 5}, .full = {1, 33, 128, 257}}),
                      number("spare", 0, 1 << 17, "slots without a token",
                             {.usual = 3, .quick = {0, 1, 3, 40}, .full = {0, 1, 127, 1000}}),
                      number("hidden", 128, 8192, "columns, a multiple of four groups",
                             {.usual = 512, .quick = {128, 256, 384, 512}, .full = {128, 512, 4096, 5120, 7168, 8192}}),
                      number("k", 0, 1024, "experts of a token", {.usual = 6, .both = {1, 6, 7, 8, 16}}),
                      word("routing", {"plain", "edges"}, "expert ids and weights"),
                      word("fill", kGroupFills.names(), "distribution of the elements")},
            .signature = {{in("x", {kBF16}, "tokens hidden"), in("topk_idx", {kI32}, "tokens k", {.index = Index{}}),
                           in("topk_weights", {kF32}, "tokens k"),
                           out("buf_x", {kI8, kE4M3}, "slots hidden", {.dtype_of = "buffer", .output = "codes"}),
                           out("buf_x_sf", {kI32}, "slots words!", {.output = "scales"}),
                           out("buf_topk_idx", {kI64}, "slots k", {.output = "ids"}),
                           out("buf_topk_weights", {kF32}, "slots k", {.output = "weights"})},
                          "tokens"},
            .smoke = {"", "group=128 buffer=e4m3 tokens=3 spare=9 k=8 routing=edges fill=one_inf",
                      "group=64 tokens=2 spare=0 hidden=256 k=32 fill=scale_edges",
                      "tokens=2 spare=20 hidden=128 k=16 fill=midpoints"},
            .quick = {"cover", "tokens=2 hidden=8192 k=1000 routing=edges", "group=128 tokens=1 hidden=7168",
                      "tokens=1 spare=0 hidden=128 k=1", "k=0", "tokens=0 spare=1 hidden=128 k=1"},
            .full = {"cover", "tokens=1024 spare=1024 hidden=7168", "buffer=e4m3 tokens=1 spare=2047 hidden=7168 k=8"},
            .bench = each({"tokens={} spare={} hidden=7168"}, {"64", "1024"}, {"0", "7168"}),
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (p.integer("hidden") % (4 * p.integer("group")) != 0)
      return "a word holds four scales: hidden must be a multiple of four groups";
    if (p.integer("k") > p.integer("hidden") / 8) return "a thread copies one id: k must be at most hidden / 8";
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if ((p.integer("tokens") + p.integer("spare")) * std::max(p.integer("hidden"), p.integer("k")) <= 1 << 24)
      return std::nullopt;
    return "this case would take too long: slots times hidden must be at most 2^24";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    if (p.integer("tokens") == 0) return {"group", "buffer", "routing", "fill"};
    return {};
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t group = p.integer("group"), hidden = p.integer("hidden");
    Call call = allocate(c, {{"slots", p.integer("tokens") + p.integer("spare")}, {"words", hidden / (4 * group)}},
                         Params().set("group", group).set("buffer", p.text("buffer")));
    HostTensor& x = call.arg("x").tensor();
    Random random(c.seed, "x");
    for (std::int64_t i = 0; i < x.numel(); i += group) {
      kGroupFills.apply(p.text("fill"), random, Elements(x, i, group));
    }
    const bool edges = p.is("routing", "edges");
    Random ids(c.seed, "topk_idx"), weights(c.seed, "topk_weights");
    HostTensor& weight = call.arg("topk_weights").tensor();
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      set_integer(call.arg("topk_idx").tensor(), i, expert_id(ids, edges));
      // A weight with random bits may be NaN. Its payload must be copied too.
      if (edges) {
        Elements(weight, i, 1).set_bits(0, weights.u32());
      } else {
        set_float(weight, i, weights.unit());
      }
    }
    fit(call);
    return call;
  }

  /// Only slots with a token get codes and scales.
  void fit(Call& call) const override {
    const auto tokens = static_cast<std::size_t>(call.tensor("x").size(0));
    for (const char* name : {"buf_x", "buf_x_sf"}) {
      Arg& arg = call.arg(name);
      const HostTensor& t = arg.tensor();
      const auto row = static_cast<std::size_t>(t.size(1) * size_of(t.dtype));
      arg.footprint.assign(t.storage.size(), 0);
      std::fill_n(arg.footprint.begin(), std::min(tokens * row, t.storage.size()), 1);
    }
  }

  /// Codes and scale bytes of the tokens, and the routing of all slots.
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const std::int64_t tokens = call.tensor("x").size(0);
    const auto rows = [&](const char* name, DType dtype) {
      const HostTensor& t = result.tensor(name);
      HostTensor top = HostTensor::make(dtype, {tokens, t.size(1) * size_of(t.dtype)});
      std::copy_n(t.storage.begin(), top.storage.size(), top.storage.begin());
      return top;
    };
    Observation o;
    o.add("codes", rows("buf_x", kE4M3)).add("scales", rows("buf_x_sf", kU8));
    return std::move(o.add("ids", result.tensor("buf_topk_idx")).add("weights", result.tensor("buf_topk_weights")));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call&, const CallResult&, const Observation&,
                                      Caller&) const override {
    return {{"codes", Tolerance::exact("products with powers of two, and one conversion, which is specified")},
            {"scales", Tolerance::exact("the exponent of a maximum divided by 448")},
            {"ids", Tolerance::exact("ids are copied")},
            {"weights", Tolerance::exact("weights are copied")}};
  }

  /// Without tokens all slots are blank.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return c.params.integer("tokens") == 0; }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const Params& p = c.params;
    const auto tokens = static_cast<double>(p.integer("tokens")), spare = static_cast<double>(p.integer("spare"));
    const auto hidden = static_cast<double>(p.integer("hidden")), k = static_cast<double>(p.integer("k"));
    const double groups = hidden / static_cast<double>(p.integer("group"));
    return {.bytes = tokens * (3.0 * hidden + groups + 20.0 * k) + spare * 12.0 * k, .flops = tokens * hidden * 2.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return mega_moe_scenarios(*this); }
};

DSV4_REGISTER_OP(MegaMoePreDispatch);

}  // namespace
}  // namespace dsv4
