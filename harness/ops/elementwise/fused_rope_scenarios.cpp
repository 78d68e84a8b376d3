#include "harness/ops/elementwise/fused_rope_scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/elementwise/angle_scenarios.h"

namespace dsv4 {
namespace {

/// Heads first ... first + count - 1 of every token, packed.
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

Scenario any_batch(const Op& op) {
  return batch_relation(
      "the bits of a token do not depend on its place or on other tokens: the tokens are shuffled and computed in two "
      "calls",
      // The second point has many tokens. A kernel may take one code path for all of them, and another path for a sixth
      // of the tokens.
      op.at({"tokens=9", "tokens=1200 q_heads=3"}),
      [&op](Call& call, const std::vector<std::int64_t>& tokens) { keep_batch(op, call, tokens); });
}

Scenario any_heads(const Op& op) {
  return relation("any_heads",
                  "the bits of a head do not depend on the number of heads: one call has all heads, the other calls "
                  "have eight each",
                  op.at({"tokens=3 q_heads=128 k_heads=3"}), [](ScenarioContext& x) {
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

/// Relations for far arguments. Tokens and heads are far because of their strides.
std::vector<Scenario> far_arguments(const Op& op) {
  std::vector<Scenario> list;
  const Points points =
      op.at({"tokens=3 q_heads=3 k_heads=3", "tokens=3 q_heads=3 k_heads=3 layout=gaps index=i64 inverse=1"});
  for (const std::string name : {"q", "k"}) {
    for (const std::size_t dim : {0, 1}) {
      const char* const what = dim == 0 ? "tokens" : "heads";
      list.push_back(far_relation(dim == 0 ? name : name + "_heads",
                                  fmt::format("{} of '{}' that lie 2^31 elements apart", what, name), points,
                                  move_apart(name, dim)));
    }
  }
  list.push_back(far_angles(op.at({"tokens=10", "tokens=10 index=i64 inverse=1"})));
  return list;
}

Scenario odd_strides() {
  return call_relation(
      "odd_strides",
      "heads 65 elements apart, where every access must be a single element, are rotated like adjacent heads",
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

Scenario there_and_back() {
  return relation(
      "there_and_back", "a rotation and then its inverse give the input again, within two roundings to bfloat16",
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
            const float re = float_from_bf16(before.get<std::uint16_t>(i));
            const float im = float_from_bf16(before.get<std::uint16_t>(i + 1));
            // Each rounding to bfloat16 changes the pair (re, im) by at most 2^-8 of its length. The errors of float
            // arithmetic, and of angles that are not exactly on the unit circle, are far smaller.
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
void add_contracts(std::vector<Scenario>& list) {
  Contracts contracts(list);  // the first smoke point: 5 tokens, 8 heads of q and 1 of k, 300 positions in i32
  for (const std::int64_t dim : {32, 128}) {
    contracts.reshaped(fmt::format("q_dim_{}", dim), "another number of rotary dimensions is refused", "q",
                       [dim](Shape& s) { s[2] = dim; });
  }
  contracts.edge(
      "position_outside_the_table", "with a position outside the table, no memory outside the table is read",
      [](Call& call) {
        call.arg("positions").tensor() = HostTensor::of<std::int32_t>(DType::kI32, {0, -1, 300, 1 << 30, 299});
      });
  contracts.edge("no_heads", "with no heads, nothing is written, or the call is refused", [](Call& call) {
    call.arg("q").tensor() = HostTensor::make(DType::kBF16, {5, 0, 64});
    call.arg("k").value = None{};
  });
}

}  // namespace

std::vector<Scenario> fused_rope_scenarios(const Op& op) {
  std::vector<Scenario> list{there_and_back(),
                             any_batch(op),
                             any_heads(op),
                             angles_further_down(),
                             odd_strides(),
                             many_rows_relation(op, {"tokens=65540 q_heads=1 k_heads=0 table=70000",
                                                     "tokens=3 index=i64 inverse=1 table=70000 at=last"})};
  for (Scenario& s : far_arguments(op)) list.push_back(std::move(s));
  add_contracts(list);
  return list;
}

}  // namespace dsv4
