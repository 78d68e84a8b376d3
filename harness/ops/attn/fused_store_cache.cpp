/// fused_store_cache: quantises the rows of new tokens and stores them in a paged cache. Every stored byte is exact.
/// Padding, unused scale bytes and the slots of other tokens must stay as they are.
#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/attn/fused_store_cache_scenarios.h"

namespace dsv4 {
namespace {

ParamSpec page_sizes() {
  ParamSpec page = word("page", {"1", "2", "4", "8", "16", "32", "64", "128", "256"}, "slots per page");
  page.usual = "64";
  return page;
}

/// Fills of one group of elements. The elements of a group share a scale.
const Fills kRowFills{fills::gauss(),
                      fills::scaled_integers(),
                      fills::e4m3_midpoints(),
                      fills::scale_edges(),
                      fills::zeros(),
                      fills::tiny_groups(),
                      fills::wide(-149, -126, "denormal"),
                      fills::wide(-140, 120),
                      fills::wide(100, 127, "huge"),
                      fills::bits(),
                      fills::nan_groups(),
                      fills::inf_groups()};

class FusedStoreCache final : public Op {
 public:
  FusedStoreCache()
      : Op({
            .name = "fused_store_cache",
            .family = "attn",
            .summary = "quantise new tokens' rows to E4M3 and store them in a paged cache",
            .upstream = "fused_store_cache, _jit_fused_store_module",
            .space = {word("layout", {"flashmla", "indexer"}, "layout of the cache"),
                      word("input", {"bf16", "f32"}, "type of the rows"),
                      word("index", {"i32", "i64"}, "type of the slots"), page_sizes(),
                      number("tokens", 1, 1 << 17, "rows to store",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 129, 257}}),
                      number("spare", 0, 64, "pages beyond what the rows need", {.usual = 1, .both = {0, 1, 2}}),
                      word("order", slot_orders(), "order of the slots"),
                      word("fill", kRowFills.names(), "distribution of the elements")},
            .signature = {{in("input", {kBF16, kF32}, "rows dim!", {.dtype_of = "input"}),
                           inout("cache", {kU8}, "pages bytes?"),
                           in("indices", {kI32, kI64}, "rows:count",
                              {.dtype_of = "index", .index = Index{.limit = "pages*page"}})},
                          "rows"},
            .smoke = {"", "layout=indexer input=f32 index=i64 page=1 tokens=3 order=edges fill=midpoints"},
            .quick = {"cover page=1|2|64|256"},
            .full = {"cover", "page=256 tokens=4097", "input=f32 tokens=4097 fill=bits",
                     "layout=indexer input=f32 tokens=16385"},
            .bench = {"page=256 tokens=64", "page=256 tokens=4096", "page=256 tokens=16384", "input=f32 tokens=4096",
                      "layout=indexer tokens=4096", "layout=indexer input=f32 tokens=4096"},
        }) {}

  /// In the quick tier, the cache of the indexer has only pages of 64 slots or of one slot. Production uses 64 slots.
  /// One slot is the other extreme of the address arithmetic.
  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier != Tier::kQuick) return Op::points(tier);
    const auto built = [](const Params& p) -> std::optional<std::string> {
      if (p.is("layout", "flashmla") || p.is("page", "1") || p.is("page", "64")) return std::nullopt;
      return "not built";
    };
    return info().space.points(tier, info().quick, built);
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const CacheGeometry g(p);
    const std::int64_t tokens = p.integer("tokens");
    const std::int64_t pages = (tokens + g.page_size - 1) / g.page_size + p.integer("spare");
    Params compile;
    for (const char* name : {"layout", "input", "index", "page"}) compile.set(name, p.text(name));
    Call call = allocate(c, {{"rows", tokens}, {"dim", g.dim()}, {"pages", pages}, {"bytes", g.page_bytes()}}, compile);
    HostTensor& input = call.arg("input").tensor();
    Random random(c.seed, "input");
    for (std::int64_t i = 0; i < input.numel(); i += g.group())
      kRowFills.apply(p.text("fill"), random, Elements(input, i, g.group()));
    poison(call.arg("cache").tensor());
    HostTensor& indices = call.arg("indices").tensor();
    Random slot_random(c.seed, "indices");
    indices = numbers(slots_of(p, pages * g.page_size, slot_random), indices.dtype);
    fit(call);
    return call;
  }
  /// The call may write to the slots that it names.
  void fit(Call& call) const override {
    Arg& cache = call.arg("cache");
    cache.footprint = footprint(CacheGeometry(call.compile, cache.tensor()), cache.tensor(), call.tensor("indices"));
  }

  /// The outputs are the contents of each token's slot, in token order: codes, scales (exponent bytes, or one float),
  /// and rotated dimensions.
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const HostTensor& cache = result.tensor("cache");
    return stored_rows(CacheGeometry(call.compile, cache), cache, call.tensor("indices"));
  }

  [[nodiscard]] Tolerances tolerances(const Case& c, const Call&, const CallResult&, const Observation&,
                                      Caller&) const override {
    return {{"codes",
             Tolerance::exact("computed with a maximum, one division and products, whose roundings are all specified")},
            {"scales", Tolerance::exact("the greatest magnitude divided by 448, rounded as specified")},
            {"tail", c.params.is("input", "bf16") ? Tolerance::exact("bfloat16 rows are copied bit for bit")
                                                  : Tolerance::exact_nan("rounded to nearest even")}};
  }

  /// All codes of a group of NaN are equal. All codes of a group with an infinity may be equal. A row of the indexer is
  /// one group.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.is("layout", "indexer") && (c.params.is("fill", "one_nan") || c.params.is("fill", "one_inf"));
  }

  [[nodiscard]] Cost cost(const Case& c, const Call& call) const override {
    const CacheGeometry g(c.params);
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    const auto stored = static_cast<double>(g.data_bytes() + g.scale_bytes());
    return {.bytes = static_cast<double>(call.tensor("input").storage.size()) + tokens * stored,
            .flops = tokens * static_cast<double>(g.dim()) * 2.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return fused_store_cache_scenarios(*this); }
};

DSV4_REGISTER_OP(FusedStoreCache);

}  // namespace
}  // namespace dsv4
