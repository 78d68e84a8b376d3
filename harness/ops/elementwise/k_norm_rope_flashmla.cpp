/// k_norm_rope_flashmla: normalises the keys of tokens, rotates their last 64 elements, and stores them in the paged
/// FlashMLA cache.
///
/// A kernel's factor of a row is known to about 2^-20 of it. So nearly every code, scale byte and rotated element has
/// only one right value, and the reference computes an interval for the others. Padding, unused scale bytes and the
/// slots of other tokens must stay as they are.
#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/attn/cache_scenarios.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/many_rows.h"
#include "harness/ops/elementwise/norm_rows.h"
#include "harness/ops/elementwise/stored_keys.h"

namespace dsv4 {
namespace {

class KNormRopeFlashmla final : public Op {
 public:
  KNormRopeFlashmla()
      : Op({
            .name = "k_norm_rope_flashmla",
            .family = "elementwise",
            .summary = "normalise and rotate keys, quantise them to E4M3 and store them in a paged cache",
            .upstream = "fused_k_norm_rope_flashmla, _jit_main_k_norm_rope_flashmla_module",
            .space = {word("layout", {"flashmla"}, "layout of the cache"),
                      word("page", {"64", "256", "1"}, "slots per page"),
                      number("tokens", 0, 1 << 13, "tokens",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 129, 257}}),
                      number("gap", 0, 4096, "unused elements after each key", {.both = {0, 1024}}),
                      word("index", {"i32", "i64"}, "type of the positions"),
                      number("table", 1, 1 << 17, "positions in the angle table",
                             {.usual = 300, .quick = {1, 2, 300}, .full = {300, 4099}, .soak = {65537}}),
                      word("angles", angle_tables(), "points of the unit circle, quarter turns, or any numbers"),
                      word("at", position_places(), "which positions the tokens have"), eps_values(),
                      number("spare", 0, 64, "pages beyond what the tokens need", {.usual = 1, .both = {0, 1, 2}}),
                      word("order", slot_orders(), "order of the slots"),
                      word("weight", key_weight_fills().names(), "distribution of the weights"),
                      word("fill", norm_row_fill_names(), "distribution of the keys")},
            .signature = {{in("kv", {kBF16}, "tokens 512:dim", {.gap_of = "gap", .far = "tokens=3"}),
                           in("kv_weight", {kBF16}, "512:dim", {.called = "weight"}),
                           in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}),
                           in("positions", {kI32, kI64}, "tokens:count",
                              {.dtype_of = "index", .index = Index{.limit = "table"}}),
                           in("out_loc", {kI32}, "tokens:count", {.index = Index{.limit = "pages*page"}}),
                           inout("kvcache", {kU8}, "pages bytes?"), real("eps")},
                          "tokens"},
            .smoke = {"", "page=1 tokens=3 gap=1024 index=i64 eps=0 order=edges weight=midpoints fill=signs",
                      "page=256 tokens=9 at=last eps=1e-2 weight=gauss fill=small"},
            .quick = {"cover"},
            .full = {"cover", "page=256 tokens=1025 gap=1024 table=65537 weight=gauss",
                     "page=256 tokens=1500 eps=0 weight=scale_edges fill=signs"},
            .bench = each({"page=256 tokens={} gap=1024 index=i64 table=65536 weight=gauss"}, {"64", "512", "4096"}),
            .host_note = "the error of rsqrtf, and which products nvcc fuses",
        }) {}

  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    if (p.integer("tokens") == 0) return {"angles", "at", "table", "eps", "weight", "fill", "order"};
    if (has_trivial_rows(p)) return {"angles", "at", "table", "eps", "weight"};
    if (p.is("weight", "zeros")) return {"angles", "at", "table", "eps", "fill"};
    return idle_angles(p);
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const CacheGeometry g(p);
    const std::int64_t tokens = p.integer("tokens");
    const std::int64_t pages = (tokens + g.page_size - 1) / g.page_size + p.integer("spare");
    const Params compile = Params().set("layout", p.text("layout")).set("page", p.text("page"));
    Call call = allocate(c, {{"pages", pages}, {"bytes", g.page_bytes()}}, compile);
    const HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
    const HostTensor positions = positions_tensor(p, c.seed);
    HostTensor& keys = call.arg("kv").tensor();
    Random random(c.seed, "kv");
    for (std::int64_t t = 0; t < tokens; ++t) {
      const float* const angles = &table.at<float>(integer_at(positions, t), 0);
      norm_row_fills(angles).apply(p.text("fill"), random, Elements(keys, t * g.dim(), g.dim()));
    }
    HostTensor& weight = call.arg("kv_weight").tensor();
    Random weight_random(c.seed, "kv_weight");
    for (std::int64_t d = 0; d < g.dim(); d += g.group())
      key_weight_fills().apply(p.text("weight"), weight_random, Elements(weight, d, g.group()));
    Random slot_random(c.seed, "out_loc");
    call.arg("out_loc").tensor() = numbers(slots_of(p, pages * g.page_size, slot_random), kI32);
    call.arg("freqs_cis").tensor() = table;
    call.arg("positions").tensor() = positions;
    call.arg("eps").value = eps_of(p);
    poison(call.arg("kvcache").tensor());
    fit(call);
    return call;
  }
  /// The call may write to the slots that it names.
  void fit(Call& call) const override {
    Arg& cache = call.arg("kvcache");
    cache.footprint = footprint(CacheGeometry(call.compile, cache.tensor()), cache.tensor(), call.tensor("out_loc"));
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return rows_in(call, result.tensor("kvcache"));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult& got, const Observation&,
                                      Caller& reference) const override {
    return key_tolerances(call, got, reference, [&](const HostTensor& cache) { return rows_in(call, cache); });
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("tokens") == 0 || has_trivial_rows(c.params) || c.params.is("weight", "zeros");
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const CacheGeometry g(c.params);
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    const auto bytes = static_cast<double>(g.dim() * 2 + g.data_bytes() + g.scale_bytes() + kRotaryDim * 4);
    return {.bytes = tokens * bytes, .flops = tokens * static_cast<double>(g.dim()) * 5.0};
  }

  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return {{"position_outside", positions_outside(call)}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{
        angles_further_down(), far_angles(at({"tokens=10", "tokens=10 index=i64"})),
        far_relation("kvcache", "pages of the cache at offsets beyond 2^32 bytes",
                     at({"tokens=33 spare=8", "page=1 tokens=12 spare=0"}), move_pages("kvcache", "out_loc")),
        // All tokens but three are zeros, and are stored in slot 0.
        many_relation("tokens", at({}, {"tokens=3 table=70000 at=last weight=gauss"}),
                      [](Call& call) {
                        call.arg("out_loc").tensor() = numbers({1, 70, 127}, kI32);
                      }),
        params_relation("page_size", "the page size changes the addresses but not the stored values", kFirstSmokePoint,
                        [](Params& p) { p.set("page", "256"); }),
        params_relation("odd_strides",
                        "keys 513 elements apart, where every access must be a single element, are "
                        "handled like adjacent keys",
                        kFirstSmokePoint, [](Params& p) { p.set("gap", 1); }),
        scaled_weight("kv_weight")};
    Contracts contracts(list);  // the first smoke point: 2 pages of 64 slots, 5 tokens, 300 positions in i32
    add_cache_contracts(contracts, *this, "kvcache", "out_loc");
    return list;
  }

 private:
  /// The contents of each token's slot.
  static Observation rows_in(const Call& call, const HostTensor& cache) {
    return stored_keys(CacheGeometry(call.compile, cache), cache, call.tensor("out_loc"));
  }
};

DSV4_REGISTER_OP(KNormRopeFlashmla);

}  // namespace
}  // namespace dsv4
