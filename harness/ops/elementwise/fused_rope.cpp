/// fused_rope: rotates the rotary dimensions of queries, and optionally keys, by their positions' angles, in place.
///
/// Exact but for one freedom: the compiler may fuse either product of a*b + c*d into the sum, or none. The reference
/// certifies what the three ways give; nearly everywhere it is one value.
#include <fmt/format.h>

#include <cstring>

#include <algorithm>
#include <cmath>

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
#include "harness/ops/elementwise/rotary_inputs.h"

namespace dsv4 {
namespace {

/// The outputs, packed, with one pattern for every NaN: a conversion to bfloat16 promises a NaN, not which.
HostTensor observed(const HostTensor& heads) {
  HostTensor t = heads.packed();
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    auto& bits = t.data<std::uint16_t>()[i];
    if ((bits & 0x7fff) > 0x7f80) bits = 0x7fff;
  }
  return t;
}

/// Some neighbouring heads of every token, packed.
HostTensor heads_of(const HostTensor& x, std::int64_t first, std::int64_t count) {
  HostTensor rows = x.packed();
  const std::int64_t tokens = x.size(0), heads = x.size(1);
  rows.shape = {tokens * heads, kRotaryDim};
  rows.strides = {kRotaryDim, 1};
  std::vector<std::int64_t> chosen;
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t h = first; h < first + count; ++h) chosen.push_back(t * heads + h);
  }
  HostTensor picked = rows_of(rows, chosen);
  picked.shape = {tokens, count, kRotaryDim};
  picked.strides = {count * kRotaryDim, kRotaryDim, 1};
  return picked;
}

class FusedRope final : public Op {
 public:
  FusedRope()
      : Op({.name = "fused_rope",
            .family = "elementwise",
            .summary = "rotate queries and keys by their positions' angles, in place",
            .upstream = "fused_rope, fused_rope_inplace",
            .abis = {"fused_rope/1"},
            .space = {ParamSpec::integer("tokens", 0, 1 << 17, "tokens", {1, 2, 3, 4, 5, 7, 8, 9, 33}),
                      ParamSpec::integer("q_heads", 1, 256, "heads of the queries", {1, 3, 8, 64, 128}),
                      ParamSpec::integer("k_heads", 0, 256, "heads of the keys, 0 for none", {0, 1, 3}),
                      ParamSpec::choice("layout", head_layouts(), "how heads lie in memory"),
                      ParamSpec::choice("index", {"i32", "i64"}, "type of the positions"),
                      ParamSpec::choice("inverse", {"0", "1"}, "rotate back"),
                      ParamSpec::integer("table", 1, 1 << 17, "positions in the angle table", {1, 2, 300, 65537}),
                      ParamSpec::choice("angles", angle_tables(), "unit circle, quarter turns, or any numbers"),
                      ParamSpec::choice("at", position_places(), "which positions the tokens have"),
                      ParamSpec::choice("fill", head_fills(), "distribution of the elements")},
            .host_note = "which products nvcc fuses"}) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    const std::int64_t heads = p.integer("q_heads") + p.integer("k_heads");
    if (p.integer("tokens") * heads > 1 << 15) {
      return "tokens times heads must be at most 2^15: larger cases try patience, not kernels";
    }
    return std::nullopt;
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point(5, 8, 1, "gaps", "i32", 0, 300, "circle", "random", "gauss"),
              point(3, 4, 0, "tail", "i64", 1, 300, "circle", "random", "special")};
    }
    const auto axes = [](std::vector<std::int64_t> tokens, std::vector<std::int64_t> heads,
                         std::vector<std::int64_t> rows) {
      return std::vector<Axis>{axis("tokens", tokens),
                               axis("q_heads", heads),
                               axis("k_heads", {0, 1, 3}),
                               axis("layout", head_layouts()),
                               axis("index", {std::string("i32"), "i64"}),
                               axis("inverse", {0, 1}),
                               axis("table", rows),
                               axis("angles", angle_tables()),
                               axis("at", position_places()),
                               axis("fill", head_fills())};
    };
    if (tier == Tier::kQuick) return pairwise(axes({1, 2, 3, 4, 5, 7, 8, 9}, {1, 3, 8}, {1, 2, 300}));
    std::vector<Params> all = pairwise(axes({33, 127, 257}, {1, 7, 33}, {300, 4099}));
    all.push_back(point(512, 64, 0, "tail", "i64", 1, 65537, "circle", "random", "gauss"));
    all.push_back(point(8, 128, 1, "packed", "i32", 0, 65537, "circle", "last", "gauss"));
    all.push_back(point(1200, 27, 0, "tail", "i64", 1, 4099, "circle", "random", "gauss"));
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const bool inverse = p.flag("inverse");
    HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
    HostTensor positions = positions_tensor(p, c.seed);
    const auto heads = [&](const char* name, const char* count) {
      HostTensor x = heads_tensor(p.text("layout"), p.integer("tokens"), p.integer(count));
      Random random(c.seed, name);
      fill_heads(x, p.text("fill"), table, positions, inverse, random);
      return inout(name, std::move(x));
    };
    return {"fused_rope",
            "",
            {},
            {heads("q", "q_heads"), p.integer("k_heads") == 0 ? absent("k") : heads("k", "k_heads"),
             in("freqs_cis", table), in("positions", positions), scalar("inverse", inverse)}};
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    Observation o;
    o.add("q", observed(result.tensor("q")));
    if (call.arg("k").is_tensor()) o.add("k", observed(result.tensor("k")));
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    Call certificate = call;
    certificate.aux = "interval";
    const auto ends = [&](const char* name) {
      for (const char* end : {"_lo", "_hi"}) {
        const std::string end_name = std::string(name) + end;
        certificate.args.push_back(call.arg(name).is_tensor()
                                       ? out(end_name, HostTensor::make(DType::kBF16, call.tensor(name).shape))
                                       : absent(end_name));
      }
    };
    for (const char* name : {"q", "k"}) {
      if (call.arg(name).is_tensor()) certificate.arg(name).role = Role::kIn;
      ends(name);
    }
    const CallResult r = reference.call(certificate);
    if (r.refusal) throw Error("fused_rope: the reference refused to certify: " + *r.refusal);
    Tolerances tolerances;
    for (const std::string name : {"q", "k"}) {
      if (!call.arg(name).is_tensor()) continue;
      tolerances[name] = Tolerance::between(r.tensor(name + "_lo"), r.tensor(name + "_hi"),
                                            "either product of a*b + c*d may be fused into the sum, or none");
    }
    return tolerances;
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return c.params.integer("tokens") == 0; }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const auto heads = static_cast<double>(c.params.integer("q_heads") + c.params.integer("k_heads"));
    const auto tokens = static_cast<double>(c.params.integer("tokens"));
    return {.bytes = tokens * (heads * 256.0 + 256.0), .flops = tokens * heads * 64.0 * 3.0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{index_types(), there_and_back(), any_batch(), any_heads(), far_rows(), odd_strides()};
    for (Scenario& s : far_arguments()) list.push_back(std::move(s));
    Contracts contracts(list);
    // The first smoke point: 5 tokens, 8 + 1 heads, 300 positions, i32.
    contracts.replaced("q_dtype", "half-precision queries are refused", "q", HostTensor::make(DType::kF16, {5, 8, 64}));
    contracts.replaced("q_rank", "queries have tokens, heads and dimensions", "q",
                       HostTensor::make(DType::kBF16, {5, 512}));
    contracts.replaced("q_dim_32", "32 rotary dimensions are refused", "q", HostTensor::make(DType::kBF16, {5, 8, 32}));
    contracts.replaced("q_dim_128", "128 rotary dimensions are refused", "q",
                       HostTensor::make(DType::kBF16, {5, 8, 128}));
    contracts.replaced("q_dims_strided", "the dimensions of a head must be adjacent", "q",
                       HostTensor::strided(DType::kBF16, {5, 8, 64}, {1024, 128, 2}));
    contracts.replaced("k_dtype", "float keys are refused", "k", HostTensor::make(DType::kF32, {5, 1, 64}));
    contracts.replaced("k_tokens", "keys and queries are of the same tokens", "k",
                       HostTensor::make(DType::kBF16, {4, 1, 64}));
    contracts.replaced("k_dim", "keys have 64 rotary dimensions", "k", HostTensor::make(DType::kBF16, {5, 1, 66}));
    contracts.replaced("angles_dtype", "half-width angles are refused", "freqs_cis",
                       HostTensor::make(DType::kBF16, {300, 64}));
    contracts.replaced("angles_dim", "32 numbers a position are too few", "freqs_cis",
                       HostTensor::make(DType::kF32, {300, 32}));
    contracts.replaced("angles_strided", "the angle table must be contiguous", "freqs_cis",
                       HostTensor::strided(DType::kF32, {300, 64}, {65, 1}));
    contracts.replaced("positions_dtype", "16-bit positions are refused", "positions",
                       HostTensor::make(DType::kI16, {5}));
    contracts.replaced("positions_count", "one position per token", "positions", HostTensor::make(DType::kI32, {6}));
    contracts.replaced("positions_strided", "positions must be adjacent", "positions",
                       HostTensor::strided(DType::kI32, {5}, {2}));
    contracts.misplaced("positions_on_host", "positions in host memory are refused", "positions", Place::kHost);
    contracts.edge("position_outside_the_table", "a position without a row reads no other memory", [](Call& call) {
      call.arg("positions").tensor() = HostTensor::of<std::int32_t>(DType::kI32, {0, -1, 300, 1 << 30, 299});
    });
    contracts.edge("no_tokens", "no tokens: nothing to do", [](Call& call) {
      keep_rows(call, {"q", "k", "positions"}, {});
    });
    contracts.edge("no_heads", "no heads: nothing to do, or a clean refusal", [](Call& call) {
      call.arg("q").tensor() = HostTensor::make(DType::kBF16, {5, 0, 64});
      call.arg("k").value = None{};
    });
    return list;
  }

 private:
  static Params point(std::int64_t tokens, std::int64_t q_heads, std::int64_t k_heads, const char* layout,
                      const char* index, std::int64_t inverse, std::int64_t table, const char* angles, const char* at,
                      const char* fill) {
    return Params()
        .set("tokens", tokens)
        .set("q_heads", q_heads)
        .set("k_heads", k_heads)
        .set("layout", layout)
        .set("index", index)
        .set("inverse", inverse)
        .set("table", table)
        .set("angles", angles)
        .set("at", at)
        .set("fill", fill);
  }

  static Scenario index_types() {
    return params_relation("index_types", "i32 and i64 positions give the same bits", kFirstSmokePoint,
                           [](Params& p) { p.set("index", p.is("index", "i32") ? "i64" : "i32"); });
  }

  static Scenario any_batch() {
    return batch_relation(
        "a token's bits depend neither on its place nor on the other tokens: shuffled, and in two calls",
        // The second: so many tokens that a kernel may take another path than for its first sixth.
        only({point(9, 8, 1, "packed", "i32", 0, 300, "circle", "random", "gauss"),
              point(1200, 3, 1, "packed", "i32", 0, 300, "circle", "random", "gauss")}),
        [](Call& call, const std::vector<std::int64_t>& tokens) {
          keep_rows(call, {"q", "k", "positions"}, tokens);
        });
  }

  static Scenario any_heads() {
    return relation(
        "any_heads", "a head's bits do not depend on how many others there are: all at once, and eight at a time",
        only({point(3, 128, 3, "packed", "i32", 0, 300, "circle", "random", "gauss")}), [](ScenarioContext& x) {
          const Call call = x.op.make(x.c);
          const Observation whole = x.observed("whole", call);
          const std::int64_t heads = x.c.params.integer("q_heads");
          for (std::int64_t first = 0; first < heads; first += 8) {
            const std::int64_t count = std::min<std::int64_t>(8, heads - first);
            const std::string where = fmt::format("heads {} to {}", first, first + count - 1);
            Call part = call;
            part.arg("q").tensor() = heads_of(call.tensor("q"), first, count);
            Observation want = whole;
            for (Output& output : want.outputs) {
              if (output.name == "q") output.value = heads_of(output.value, first, count);
            }
            x.expect_agree(where, x.observed(where, part), want);
          }
        });
  }

  static Scenario far_rows() {
    return call_relation("far_rows", "angles are found 65536 rows further down the table as well", kFirstSmokePoint,
                         [](Case&, Call& call, Observation&) {
                           constexpr std::int64_t kRows = 1 << 16;
                           const HostTensor table = call.tensor("freqs_cis");
                           HostTensor& longer = call.arg("freqs_cis").tensor();
                           longer = HostTensor::make(DType::kF32, {kRows + table.size(0), kRotaryDim});
                           poison(longer);
                           std::ranges::copy(table.storage, longer.element(kRows * kRotaryDim));
                           HostTensor& positions = call.arg("positions").tensor();
                           for (std::int64_t t = 0; t < positions.numel(); ++t)
                             set_position(positions, t, position_of(positions, t) + kRows);
                         });
  }

  /// Heads by their strides, tokens' and heads'; the angle table by its length.
  static std::vector<Scenario> far_arguments() {
    std::vector<Scenario> list;
    const Points points = only({point(3, 3, 3, "packed", "i32", 0, 300, "circle", "random", "gauss"),
                                point(3, 3, 3, "gaps", "i64", 1, 300, "circle", "random", "gauss")});
    for (const std::string name : {"q", "k"}) {
      for (const std::size_t dim : {0, 1}) {
        const char* const what = dim == 0 ? "tokens" : "heads";
        list.push_back(far_relation(dim == 0 ? name : name + "_heads",
                                    fmt::format("{} of '{}' 2^31 elements apart", what, name), points,
                                    move_apart(name, dim)));
      }
    }
    list.push_back(far_relation("freqs_cis", "angles beyond 2^32 elements",
                                only({point(10, 8, 1, "packed", "i32", 0, 300, "circle", "random", "gauss"),
                                      point(10, 8, 1, "packed", "i64", 1, 300, "circle", "random", "gauss")}),
                                [](Call& call) {
                                  HostTensor& positions = call.arg("positions").tensor();
                                  std::vector<std::int64_t> rows;
                                  for (std::int64_t t = 0; t < positions.numel(); ++t)
                                    rows.push_back(position_of(positions, t));
                                  Arg& table = call.arg("freqs_cis");
                                  table.tensor() = rows_of(table.tensor(), rows);  // a row for each token
                                  table.placement =
                                      far_pool(table.tensor(),
                                               dsv4::far_rows(std::ssize(rows), kRotaryDim, far_edges(DType::kF32)));
                                  for (std::int64_t t = 0; t < positions.numel(); ++t)
                                    set_position(positions, t, table.placement->rows[t]);
                                }));
    return list;
  }

  static Scenario odd_strides() {
    return call_relation(
        "odd_strides",
        "heads 65 elements apart, where no access may be wider than an element, are rotated as adjacent ones",
        kFirstSmokePoint, [](Case&, Call& call, Observation&) {
          for (const char* name : {"q", "k"}) {
            const HostTensor heads = call.tensor(name);
            constexpr std::int64_t kApart = kRotaryDim + 1;
            HostTensor& spread = call.arg(name).tensor();
            spread = HostTensor::strided(heads.dtype, heads.shape, {heads.size(1) * kApart, kApart, 1});
            poison(spread);
            for (std::int64_t i = 0; i < heads.numel(); ++i)
              std::memcpy(spread.element(i), heads.element(i), size_of(heads.dtype));
          }
        });
  }

  static Scenario there_and_back() {
    return relation(
        "there_and_back", "rotating back what was rotated gives the input, within the two roundings to bfloat16",
        kFirstSmokePoint, [](ScenarioContext& x) {
          const Call there = x.op.make(x.c);
          Call back = there;
          const CallResult rotated = x.call("there", there);
          back.arg("inverse").value = !std::get<bool>(there.arg("inverse").value);
          for (const char* name : {"q", "k"}) back.arg(name).tensor() = rotated.tensor(name);
          const Observation got = x.observed("back", back);
          Observation want;
          Tolerances tolerances;
          for (const char* name : {"q", "k"}) {
            const HostTensor before = there.tensor(name).packed();
            HostTensor bound = HostTensor::make(DType::kF32, before.shape);
            for (std::int64_t i = 0; i < before.numel(); i += 2) {
              const float re = float_from_bf16(*reinterpret_cast<const std::uint16_t*>(before.element(i)));
              const float im = float_from_bf16(*reinterpret_cast<const std::uint16_t*>(before.element(i + 1)));
              // Each rounding moves the pair by at most 2^-8 of its length; float arithmetic and angles not exactly on
              // the circle add far less.
              const double length = std::sqrt(static_cast<double>(re) * re + static_cast<double>(im) * im);
              set_float(bound, i, length * 0x1.01p-7);
              set_float(bound, i + 1, length * 0x1.01p-7);
            }
            tolerances[name] = Tolerance::within(bound, "two roundings to bfloat16, 2^-8 of the pair's length each");
            want.add(name, before);
          }
          x.expect_agree("back", got, want, tolerances);
        });
  }
};

DSV4_REGISTER_OP(FusedRope);

}  // namespace
}  // namespace dsv4
