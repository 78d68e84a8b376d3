/// fused_store_cache: quantises the rows of new tokens and stores them in a paged cache. Exact to the byte, and exact
/// about which bytes: padding, unused scale bytes and other tokens' slots stay as they are.
#include <fmt/format.h>

#include <algorithm>

#include "harness/case/covering.h"
#include "harness/core/bits.h"
#include "harness/core/error.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/far.h"
#include "harness/op/op.h"
#include "harness/op/rows.h"
#include "harness/op/scenarios.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/attn/row_fills.h"
#include "interface/kv_cache.h"

namespace dsv4 {
namespace {

using layout::FlashMlaCache;
using layout::IndexerCache;

const std::vector<std::string> kOrders{"random", "ascending", "descending", "edges"};

std::vector<std::int64_t> slots_of(const Params& p, std::int64_t capacity, Random& random) {
  const std::int64_t tokens = p.integer("tokens"), page = p.integer("page");
  std::vector<std::int64_t> slots = random.permutation(capacity);
  if (p.is("order", "edges")) {
    // First and last slots of pages come first.
    std::vector<std::int64_t> first{0, page - 1, page, capacity - 1};
    first.insert(first.end(), slots.begin(), slots.end());
    std::vector<bool> seen(static_cast<std::size_t>(capacity), false);
    slots.clear();
    for (const std::int64_t s : first) {
      if (s >= capacity || seen[static_cast<std::size_t>(s)]) continue;
      seen[static_cast<std::size_t>(s)] = true;
      slots.push_back(s);
    }
  }
  slots.resize(static_cast<std::size_t>(tokens));
  if (p.is("order", "ascending")) std::ranges::sort(slots);
  if (p.is("order", "descending")) std::ranges::sort(slots, std::greater<>());
  return slots;
}

/// The call may write to the slots that it names.
void set_footprint(Call& call) {
  Arg& cache = call.arg("cache");
  cache.footprint = footprint(CacheGeometry(call.compile), cache.tensor(), call.tensor("indices"));
}

class FusedStoreCache final : public Op {
 public:
  FusedStoreCache()
      : Op({.name = "fused_store_cache",
            .family = "attn",
            .summary = "quantise new tokens' rows to E4M3 and store them in a paged cache",
            .upstream = "fused_store_cache",
            .abis = {"fused_store_cache/1"},
            .space = {ParamSpec::choice("layout", {"flashmla", "indexer"}, "layout of the cache"),
                      ParamSpec::choice("input", {"bf16", "f32"}, "type of the rows"),
                      ParamSpec::choice("index", {"i32", "i64"}, "type of the slots"),
                      ParamSpec::choice("page", {"1", "2", "4", "8", "16", "32", "64", "128", "256"}, "slots per page"),
                      ParamSpec::integer("tokens", 1, 1 << 15, "rows to store", {1, 2, 3, 4, 5, 7, 8, 9, 33, 129}),
                      ParamSpec::integer("spare", 0, 64, "pages beyond what the rows need", {0, 1, 2}),
                      ParamSpec::choice("order", kOrders, "order of the slots"),
                      ParamSpec::choice("fill", row_fills(), "distribution of the elements")},
            .host_note = "everything is shown on a CPU"}) {}

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point("flashmla", "bf16", "i32", 64, 5, 1, "random", "gauss"),
              point("indexer", "f32", "i64", 1, 3, 1, "edges", "midpoints")};
    }
    const auto axes = [](std::vector<std::int64_t> pages, std::vector<std::int64_t> tokens) {
      return std::vector<Axis>{axis("layout", {std::string("flashmla"), "indexer"}),
                               axis("input", {std::string("bf16"), "f32"}),
                               axis("index", {std::string("i32"), "i64"}),
                               axis("page", pages),
                               axis("tokens", tokens),
                               axis("spare", {0, 1, 2}),
                               axis("order", kOrders),
                               axis("fill", row_fills())};
    };
    if (tier == Tier::kQuick) {
      // The indexer's cache has pages of 64 in production; 1 is the other end of its address arithmetic.
      const auto built = [](const Params& p) {
        return p.is("layout", "flashmla") || p.is("page", "1") || p.is("page", "64");
      };
      return pairwise(axes({1, 2, 64, 256}, {1, 2, 3, 4, 5, 7, 8, 9}), built);
    }
    std::vector<Params> all = pairwise(axes({1, 2, 4, 8, 16, 32, 64, 128, 256}, {33, 129, 257}));
    all.push_back(point("flashmla", "bf16", "i32", 256, 4097, 1, "random", "gauss"));
    all.push_back(point("flashmla", "f32", "i32", 64, 4097, 1, "random", "bits"));
    all.push_back(point("indexer", "f32", "i32", 64, 16385, 1, "random", "gauss"));
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const CacheGeometry g(p);
    const std::int64_t tokens = p.integer("tokens");
    const std::int64_t pages = (tokens + g.page_size - 1) / g.page_size + p.integer("spare");
    HostTensor input = HostTensor::make(p.is("input", "bf16") ? DType::kBF16 : DType::kF32, {tokens, g.dim()});
    Random random(c.seed, "input");
    for (std::int64_t i = 0; i < input.numel(); i += g.group()) fill_group(input, i, g.group(), p.text("fill"), random);
    HostTensor cache = HostTensor::make(DType::kU8, {pages, g.page_bytes()});
    poison(cache);
    Random slot_random(c.seed, "indices");
    HostTensor indices =
        index_tensor(p.is("index", "i64") ? DType::kI64 : DType::kI32, slots_of(p, pages * g.page_size, slot_random));
    std::vector<std::uint8_t> may = footprint(g, cache, indices);
    Params compile;
    for (const char* name : {"layout", "input", "index", "page"}) compile.set(name, p.text(name));
    return {"fused_store_cache",
            "",
            compile,
            {in("input", std::move(input)), inout("cache", std::move(cache), std::move(may)),
             in("indices", std::move(indices))}};
  }

  /// What each token's slot holds, by token: codes, scales (exponent bytes, or one float), rotated dimensions.
  [[nodiscard]] Observation observe(const Case& c, const Call& call, const CallResult& result) const override {
    const CacheGeometry g(c.params);
    const HostTensor& cache = result.tensor("cache");
    const HostTensor& indices = call.tensor("indices");
    const std::int64_t tokens = indices.numel();
    HostTensor codes = HostTensor::make(DType::kE4M3, {tokens, g.codes()});
    HostTensor scales = g.flashmla ? HostTensor::make(DType::kU8, {tokens, FlashMlaCache::kGroups})
                                   : HostTensor::make(DType::kF32, {tokens, 1});
    HostTensor tail = HostTensor::make(DType::kBF16, {tokens, FlashMlaCache::kDim - FlashMlaCache::kQuantized});
    for (std::int64_t t = 0; t < tokens; ++t) {
      const std::int64_t slot = slot_of(indices, t);
      if (slot < 0 || slot >= cache.size(0) * g.page_size) continue;
      const std::uint8_t* data = cache.storage.data() + g.data_at(slot);
      std::memcpy(codes.element(t * g.codes()), data, static_cast<std::size_t>(g.codes()));
      std::memcpy(scales.storage.data() + t * g.scale_bytes(), cache.storage.data() + g.scales_at(slot),
                  static_cast<std::size_t>(g.scale_bytes()));
      if (g.flashmla) {
        const std::int64_t bytes = g.data_bytes() - g.codes();
        std::memcpy(tail.storage.data() + t * bytes, data + g.codes(), static_cast<std::size_t>(bytes));
      }
    }
    Observation o;
    o.add("codes", std::move(codes)).add("scales", std::move(scales));
    if (g.flashmla) o.add("tail", std::move(tail));
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case& c, const Call&, const CallResult&, const Observation&,
                                      Caller&) const override {
    return {{"codes", Tolerance::exact("maxima, one division and products: every rounding is specified")},
            {"scales", Tolerance::exact("the greatest magnitude over 448, rounded as specified")},
            {"tail", c.params.is("input", "bf16") ? Tolerance::exact("bfloat16 rows are copied bit for bit")
                                                  : Tolerance::exact_nan("rounded to nearest even")}};
  }

  /// A group of nothing but NaN has one code all over, one with an infinity may have, and a row of the indexer is one
  /// group.
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

  [[nodiscard]] std::vector<Scenario> scenarios() const override;

 private:
  static Params point(const char* layout, const char* input, const char* index, std::int64_t page, std::int64_t tokens,
                      std::int64_t spare, const char* order, const char* fill) {
    return Params()
        .set("layout", layout)
        .set("input", input)
        .set("index", index)
        .set("page", page)
        .set("tokens", tokens)
        .set("spare", spare)
        .set("order", order)
        .set("fill", fill);
  }
};

/// Rows stored in another order, and in two calls, are stored as in one.
Scenario any_batch(Points points) {
  return batch_relation("what a row's slot holds depends on no other row: shuffled, and in two calls",
                        std::move(points), [](Call& call, const std::vector<std::int64_t>& rows) {
                          keep_rows(call, {"input", "indices"}, rows);
                          set_footprint(call);
                        });
}

/// A quotient and a product with the rounded reciprocal differ in one code of a million, which no random row shows.
Scenario reciprocal(Points points) {
  return relation("reciprocal",
                  "codes are of the value times the rounded reciprocal of the scale, where a quotient has other codes",
                  std::move(points), [](ScenarioContext& x) {
                    Call call = x.op.make(x.c);
                    HostTensor& input = call.arg("input").tensor();
                    Random random(x.c.seed, "reciprocal");
                    std::int64_t found = 0;
                    for (std::int64_t row = 0; row < input.numel(); row += IndexerCache::kDim) {
                      found += fill_around_reciprocal(input, row, IndexerCache::kDim, random);
                    }
                    if (found < input.numel() / 20)
                      throw Error(fmt::format("only {} of {} values tell", found, input.numel()));
                    x.expect_agree("stored", x.observed("stored", call), x.expected(call));
                  });
}

HostTensor& output(Observation& o, const std::string& name) {
  for (Output& candidate : o.outputs) {
    if (candidate.name == name) return candidate.value;
  }
  throw Error(fmt::format("no output is called '{}'", name));
}

std::vector<Scenario> FusedStoreCache::scenarios() const {
  std::vector<Scenario> list;
  list.push_back(params_relation("page_size", "the page size changes addresses, not what is stored", kFirstSmokePoint,
                                 [](Params& p) { p.set("page", "2"); }));
  list.push_back(params_relation("index_types", "i32 and i64 slots store the same", kFirstSmokePoint,
                                 [](Params& p) { p.set("index", p.is("index", "i32") ? "i64" : "i32"); }));
  list.push_back(call_relation("input_types", "bfloat16 rows and the same numbers as floats store the same",
                               kFirstSmokePoint, [](Case& c, Call& call, Observation&) {
                                 const HostTensor narrow = call.tensor("input");
                                 HostTensor wide = HostTensor::make(DType::kF32, narrow.shape);
                                 for (std::int64_t i = 0; i < narrow.numel(); ++i) {
                                   std::uint16_t h = 0;
                                   std::memcpy(&h, narrow.element(i), sizeof h);
                                   set_float(wide, i, float_from_bf16(h));
                                 }
                                 call.arg("input").tensor() = wide;
                                 c.params.set("input", "f32");
                                 call.compile.set("input", "f32");
                               }));
  list.push_back(call_relation("power_of_two", "16 times the input has the same codes and scale exponents 4 higher",
                               kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                                 HostTensor& input = call.arg("input").tensor();
                                 for (std::int64_t i = 0; i < input.numel(); ++i) {
                                   set_float(input, i, 16.0 * value_of(input.dtype, input.element(i)));
                                 }
                                 for (std::uint8_t& byte : output(want, "scales").storage) byte += 4;
                                 HostTensor& tail = output(want, "tail");
                                 for (std::int64_t i = 0; i < tail.numel(); ++i) {
                                   set_float(tail, i, 16.0 * value_of(tail.dtype, tail.element(i)));
                                 }
                               }));
  list.push_back(call_relation("negation",
                               "the negated input has the same codes with the other sign, and the same scales",
                               kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                                 for (HostTensor* t : {&call.arg("input").tensor(), &output(want, "tail")}) {
                                   for (std::size_t i = 1; i < t->storage.size(); i += 2) t->storage[i] ^= 0x80;
                                 }
                                 for (std::uint8_t& code : output(want, "codes").storage) code ^= 0x80;
                               }));
  // The second and third: so many rows that a kernel may take another path than for their first sixth.
  list.push_back(any_batch(only({point("flashmla", "bf16", "i32", 64, 5, 1, "random", "gauss"),
                                 point("flashmla", "bf16", "i32", 256, 1200, 1, "random", "scale_edges"),
                                 point("flashmla", "f32", "i64", 64, 1200, 1, "random", "scale_edges"),
                                 point("indexer", "f32", "i32", 64, 9, 1, "random", "gauss")})));
  list.push_back(reciprocal(only({point("indexer", "f32", "i32", 64, 9, 1, "random", "gauss")})));
  list.push_back(call_relation("row_alignment", "rows that start off a multiple of 16 bytes store the same",
                               only({point("flashmla", "bf16", "i32", 64, 5, 1, "random", "gauss"),
                                     point("flashmla", "f32", "i64", 64, 600, 1, "random", "gauss"),
                                     point("indexer", "bf16", "i32", 64, 5, 1, "random", "gauss")}),
                               [](Case&, Call& call, Observation&) {
                                 // The least that vector access of two elements, or of four in a row of 128, asks for.
                                 Arg& input = call.arg("input");
                                 input.misalign =
                                     size_of(input.tensor().dtype) * (input.tensor().size(1) == 512 ? 2 : 4);
                               }));

  list.push_back(far_relation(
      "cache", "pages of the cache beyond 2^32 bytes",
      only({point("flashmla", "bf16", "i32", 64, 33, 8, "random", "gauss"),
            point("flashmla", "f32", "i64", 256, 33, 8, "random", "gauss"),
            point("indexer", "f32", "i32", 64, 33, 8, "random", "gauss"),
            point("indexer", "bf16", "i64", 1, 12, 0, "random", "gauss")}),
      [](Call& call) {
        const CacheGeometry g(call.compile);
        Arg& cache = call.arg("cache");
        cache.placement =
            far_pool(cache.tensor(), far_rows(cache.tensor().size(0), g.page_bytes(), far_edges(DType::kU8)));
        HostTensor& indices = call.arg("indices").tensor();
        std::vector<std::int64_t> slots;
        for (std::int64_t t = 0; t < indices.numel(); ++t) {
          const std::int64_t slot = slot_of(indices, t);
          slots.push_back(cache.placement->rows[static_cast<std::size_t>(slot / g.page_size)] * g.page_size +
                          slot % g.page_size);
        }
        indices = index_tensor(indices.dtype, slots);
      }));

  Contracts contracts(list);
  // The first smoke point: FlashMLA, pages of 64, 5 rows in bfloat16, 2 pages, i32.
  const std::int64_t bytes = FlashMlaCache::page_bytes(64);
  contracts.replaced("input_dtype", "half-precision rows are refused", "input",
                     HostTensor::make(DType::kF16, {5, 512}));
  contracts.replaced("input_rank", "rows form a matrix", "input", HostTensor::make(DType::kBF16, {5 * 512}));
  contracts.replaced("input_dim", "rows of another dimension are refused", "input",
                     HostTensor::make(DType::kBF16, {5, 576}));
  contracts.replaced("input_strided", "rows must be contiguous", "input",
                     HostTensor::strided(DType::kBF16, {5, 512}, {1024, 1}));
  contracts.replaced("indices_dtype", "16-bit slots are refused", "indices", HostTensor::make(DType::kI16, {5}));
  contracts.replaced("indices_count", "one slot per row", "indices", HostTensor::make(DType::kI32, {6}));
  contracts.replaced("indices_strided", "slots must be adjacent", "indices",
                     HostTensor::strided(DType::kI32, {5}, {2}));
  contracts.replaced("cache_dtype", "a cache of signed bytes is refused", "cache",
                     HostTensor::make(DType::kI8, {2, bytes}));
  contracts.replaced("cache_rank", "a cache has pages", "cache", HostTensor::make(DType::kU8, {2 * bytes}));
  contracts.replaced("cache_page_bytes", "pages of another size are refused", "cache",
                     HostTensor::make(DType::kU8, {2, bytes - 64}));
  contracts.refused("cache_page_short", "a page too short for its slots is refused, also where there is but one",
                    "cache", [](Call& call) {
                      Arg& cache = call.arg("cache");
                      cache.tensor() = HostTensor::make(DType::kU8, {1, FlashMlaCache::scale_offset(64, 64) - 1});
                      call.arg("indices").tensor() = index_tensor(DType::kI32, {0, 62, 63, 1, 2});
                      cache.footprint.clear();
                    });
  contracts.misplaced("indices_on_host", "slots in host memory are refused", "indices", Place::kHost);
  contracts.edge("indices_other_width", "64-bit slots are read as such, or refused: never as pairs", [](Call& call) {
    std::vector<std::int64_t> slots;
    for (std::int64_t t = 0; t < 5; ++t) slots.push_back(slot_of(call.tensor("indices"), t));
    call.arg("indices").tensor() = index_tensor(DType::kI64, slots);
  });
  const auto with_slots = [&](const char* name, const char* meaning, std::vector<std::int64_t> slots) {
    contracts.edge(name, meaning, [slots](Call& call) {
      call.arg("indices").tensor() = index_tensor(DType::kI32, slots);
      set_footprint(call);
    });
  };
  with_slots("negative_slot", "a row with slot -1 is not stored anywhere", {3, -1, 70, 0, 127});
  with_slots("all_slots_negative", "without a single valid slot nothing is written", {-1, -1, -1, -1, -1});
  with_slots("slot_past_the_cache", "a slot beyond the last page is not stored anywhere", {3, 128, 70, 0, 1});
  contracts.edge("slot_of_33_bits", "a slot beyond 32 bits is not stored as its lower half", [](Call& call) {
    call.compile.set("index", "i64");
    call.arg("indices").tensor() = index_tensor(DType::kI64, {3, (std::int64_t{1} << 32) + 5, 70, 0, 127});
    set_footprint(call);
  });
  contracts.edge("no_rows", "no rows: nothing to do, or a clean refusal", [](Call& call) {
    keep_rows(call, {"input", "indices"}, {});
    set_footprint(call);
  });
  return list;
}

DSV4_REGISTER_OP(FusedStoreCache);

}  // namespace
}  // namespace dsv4
