/// linear_bf16_fp32: z = x y^T, a linear layer whose products and sums of bfloat16 are kept in float.
///
/// The order of the sums is unspecified, so outputs have a bound. It is zero where every order gives the same bits, as
/// for small integers.
#include <fmt/format.h>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

constexpr const char* kReason = "sums of exact products in any order, cut off to 24 bits after each addition";

/// A matrix without values. "padded": by rows, with a gap after each row. "columns": by columns, with a gap after each.
HostTensor matrix(const std::string& layout, std::int64_t rows, std::int64_t columns) {
  if (layout == "rows") return HostTensor::make(kBF16, {rows, columns});
  HostTensor t = layout == "padded" ? HostTensor::strided(kBF16, {rows, columns}, {columns + 5, 1})
                                    : HostTensor::strided(kBF16, {rows, columns}, {1, rows + 3});
  poison(t);
  return t;
}

/// The values of the rows of x and y.
const Fills& factor_fills() {
  static const Fills fills{fills::gauss(), fills::integers(-8, 8), fills::wide(-20, 20), fills::uniform(1, 2)};
  return fills;
}

/// Fills the rows of a matrix. `y`: the matrix is the weight.
void fill_matrix(HostTensor& t, const std::string& fill, bool y, Random random) {
  const std::int64_t columns = t.size(1);
  HostTensor row = HostTensor::make(kBF16, {columns});
  for (std::int64_t r = 0; r < t.size(0); ++r) {
    Elements elements(row);
    if (fill == "cancel") {
      // Neighbouring products cancel: x has each value twice, and y has each value with both signs. The first product
      // has no partner.
      factor_fills().apply("gauss", random, elements);
      for (std::int64_t c = 2; c < columns; c += 2) {
        row.set<std::uint16_t>(c, static_cast<std::uint16_t>(row.get<std::uint16_t>(c - 1) ^ (y ? 0x8000 : 0)));
      }
    } else if (fill == "nonfinite") {
      // In every third row of x one element is an infinity, and in every third row one is NaN.
      const Fill& special = r % 3 == 1 ? fills::one_inf() : r % 3 == 2 ? fills::one_nan() : fills::gauss();
      (y ? fills::gauss() : special).apply(random, elements);
    } else {
      factor_fills().apply(fill, random, elements);
    }
    for (std::int64_t c = 0; c < columns; ++c) t.set(r * columns + c, row.get<std::uint16_t>(c));
  }
}

class LinearBf16Fp32 final : public Op {
 public:
  LinearBf16Fp32()
      : Op({
            .name = "linear_bf16_fp32",
            .family = "gemm",
            .summary = "z = x y^T of bfloat16 matrices, with products and sums in float",
            .upstream = "linear_bf16_fp32",
            .space = {number("rows", 1, 1 << 20, "rows of x, the tokens",
                             {.usual = 5, .quick = {1, 2, 7, 8, 17}, .full = {16, 128, 513}}),
                      number("depth", 1, 1 << 20, "columns of x and y, which are summed",
                             {.usual = 64, .quick = {1, 8, 63, 64, 130, 1024}, .full = {64, 1000, 4096}}),
                      number("outputs", 1, 1 << 20, "rows of y, the outputs of a token",
                             {.usual = 33, .quick = {1, 8, 33, 64}, .full = {33, 256}}),
                      word("x", {"rows", "padded", "columns"}, "memory layout of x"),
                      word("y", {"rows", "padded", "columns"}, "memory layout of y"),
                      word("fill", {"gauss", "integers", "wide", "uniform", "cancel", "nonfinite"},
                           "distribution of the elements")},
            .signature = {{in("x", {kBF16}, "rows depth", {.gaps = true, .far = "x=padded fill=integers"}),
                           in("y", {kBF16}, "outputs depth", {.gaps = true, .far = "y=padded fill=integers"}),
                           out("z", {kF32}, "rows outputs", {.any_nan = true})},
                          "rows"},
            // At the first point every order of the sums gives the same bits.
            .smoke = {"fill=integers", "rows=17 depth=130 x=padded y=columns", "rows=2 depth=8 outputs=8 x=columns",
                      "rows=7 outputs=8 fill=nonfinite"},
            .quick = joined({{"cover"},
                             each({"depth=128 x={} y={} fill=cancel"}, {"rows", "columns"}, {"rows", "columns"}),
                             // The sizes of the compressor and of the router.
                             {"rows=2 depth=4096 outputs=64", "rows=3 depth=7168 outputs=48 fill=uniform"}}),
            .full = joined({{"cover"},
                            each({"rows={} depth=7168 outputs=256"}, {"1", "8", "17", "64"}),
                            {"rows=4096 depth=64 outputs=256 y=columns", "rows=16 depth=4096 outputs=2048"}}),
            .bench = joined({each({"rows={} depth=4096 outputs=2048"}, {"1", "64", "4096"}),
                             each({"rows={} depth=7168 outputs=256"}, {"1", "64", "4096"})}),
            .host_note = "the sums of cuBLAS: the host executor runs a plain kernel in its place",
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("rows") * p.integer("depth") * p.integer("outputs") <= 1 << 28) return std::nullopt;
    return "this case would take too long: rows times depth times outputs must be at most 2^28";
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    Call call = allocate(c);
    for (const std::string name : {"x", "y"}) {
      HostTensor& t = call.arg(name).tensor();
      t = matrix(p.text(name), t.size(0), t.size(1));
      fill_matrix(t, p.text("fill"), name == "y", Random(c.seed, name));
    }
    return call;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return {{"z", bounded(call, reference, "z", kReason)}};
  }

  /// All elements may be equal if there is only one.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("rows") == 1 && c.params.integer("outputs") == 1;
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto rows = static_cast<double>(call.tensor("x").size(0));
    const auto depth = static_cast<double>(call.tensor("x").size(1));
    const auto outputs = static_cast<double>(call.tensor("y").size(0));
    return {.bytes = 2 * depth * (rows + outputs) + 4 * rows * outputs, .flops = 2 * rows * depth * outputs};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    const Points integers = at({"fill=integers", "rows=17 depth=130 x=padded y=columns fill=integers"});
    std::vector<Scenario> list;
    list.push_back(many_rows_relation(
        *this, {"rows=65540 depth=8 outputs=2", "rows=2 depth=65540 outputs=3 fill=integers",
                "rows=2 depth=8 outputs=65540", "rows=32770 depth=3 outputs=2 x=columns y=columns"}));
    // The sizes of the model, with sums that are exact in every order: a rounding to bfloat16 on the way shows.
    list.push_back(
        relation("exact_depths", "at the sizes of the compressor and of the router, exact sums are exact",
                 at({"rows=2 depth=4096 outputs=64 fill=integers", "rows=3 depth=7168 outputs=48 fill=integers"},
                    {"rows=64 depth=7168 outputs=256 fill=integers", "rows=65 depth=4096 outputs=96 fill=integers"}),
                 [](ScenarioContext& x) {
                   const Call call = x.op.make(x.c);
                   const Observation want = x.expected(call);
                   x.expect_agree("exact sums", x.observed("exact sums", call), want);
                 }));
    list.push_back(
        relation("swapped", "with x and y in each other's place, the outputs are transposed", integers, swapped));
    list.push_back(relation("any_depth_order", "the outputs do not depend on the order of the columns of x and y",
                            integers, reordered_depth));
    list.push_back(call_relation("doubled", "if x is doubled, so are the outputs", at({"", "x=columns fill=cancel"}),
                                 [](Case&, Call& call, Observation& want) {
                                   scale(call.arg("x").tensor());
                                   scale(want.outputs.front().value);
                                 }));
    Contracts contracts(list);  // the first smoke point: 5 rows, 64 columns, 33 outputs
    for (const auto& [name, rows, depth, outputs] :
         {Empty{"no_depth", 3, 0, 4}, Empty{"no_outputs", 3, 8, 0}, Empty{"no_sizes", 0, 0, 0}}) {
      contracts.edge(
          name, fmt::format("{} rows of {} elements and {} outputs are right, or refused", rows, depth, outputs),
          [this, rows = rows, depth = depth, outputs = outputs](Call& changed) {
            changed = call({HostTensor::make(kBF16, {rows, depth}), HostTensor::make(kBF16, {outputs, depth}),
                            HostTensor::make(kF32, {rows, outputs})});
          });
    }
    for (const std::string name : {"x", "y"}) {
      contracts.edge(name + "_expanded", "equal rows that share their memory are read as such, or refused",
                     [name](Call& call) {
                       const HostTensor& t = call.tensor(name);
                       HostTensor one = HostTensor::strided(kBF16, t.shape, {0, 1});
                       for (std::int64_t c = 0; c < t.size(1); ++c) one.set(c, t.get<std::uint16_t>(c));
                       call.arg(name).value = std::move(one);
                     });
    }
    return list;
  }

 private:
  struct Empty {
    const char* name;
    std::int64_t rows, depth, outputs;
  };

  static void scale(HostTensor& t) {
    for (std::int64_t i = 0; i < t.numel(); ++i) set_float(t, i, 2 * value_of(t.dtype, t.element(i)));
  }

  static void swapped(ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    const HostTensor z = x.observed("x y^T", call).output("z");
    HostTensor transposed = HostTensor::make(kF32, {z.size(1), z.size(0)});
    for (std::int64_t r = 0; r < z.size(0); ++r) {
      for (std::int64_t c = 0; c < z.size(1); ++c) transposed.at<float>(c, r) = z.at<float>(r, c);
    }
    const Call other = x.op.call({call.tensor("y"), call.tensor("x"), transposed});
    x.expect_agree("y x^T", x.observed("y x^T", other), Observation().add("z", std::move(transposed)));
  }

  static void reordered_depth(ScenarioContext& x) {
    const Call call = x.op.make(x.c);
    Call other = call;
    const auto order = Random(x.c.seed, "order").permutation(call.tensor("x").size(1));
    for (const std::string name : {"x", "y"}) {
      HostTensor& t = other.arg(name).tensor();
      for (std::int64_t i = 0; i < t.numel(); ++i) {
        const std::int64_t from = i - i % t.size(1) + order.at(static_cast<std::size_t>(i % t.size(1)));
        t.set(i, call.tensor(name).get<std::uint16_t>(from));
      }
    }
    x.expect_agree("another order", x.observed("another order", other), x.observed("the first order", call));
  }
};

DSV4_REGISTER_OP(LinearBf16Fp32);

}  // namespace
}  // namespace dsv4
