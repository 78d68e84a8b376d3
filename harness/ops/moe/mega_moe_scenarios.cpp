#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/moe/scenarios.h"

namespace dsv4 {
namespace {

/// The places of two outputs in the op's observation.
constexpr std::size_t kCodes = 0, kScales = 1;

/// The outputs of a call that has only the tokens `rows`, in this order, and `slots` slots. `whole` are the outputs of
/// the call with all its tokens. It has at least one slot without a token.
Observation outputs_of(const Observation& whole, std::vector<std::int64_t> rows, std::int64_t slots) {
  const std::int64_t blank = whole.output("ids").size(0) - 1;
  Observation part;
  for (const char* name : {"codes", "scales"}) part.add(name, rows_of(whole.output(name), rows));
  rows.resize(static_cast<std::size_t>(slots), blank);
  for (const char* name : {"ids", "weights"}) part.add(name, rows_of(whole.output(name), rows));
  return part;
}

/// The number of slots stays the same, so the call has more slots without a token.
Scenario any_batch(const Op& op) {
  return relation("any_batch", "the slot of a token does not depend on the other tokens",
                  op.at({"", "group=128 tokens=9 fill=scale_edges"}), [](ScenarioContext& x) {
                    const Call call = x.op.make(x.c);
                    const Observation whole = x.observed("whole", call);
                    const std::int64_t tokens = call.tensor("x").size(0), slots = call.tensor("buf_x").size(0);
                    const auto order = Random(x.c.seed, "order").permutation(tokens);
                    const auto middle = order.begin() + (tokens + 5) / 6;
                    for (const auto& rows : {std::vector(order.begin(), middle), std::vector(middle, order.end())}) {
                      const std::string where = fmt::format("{} of {} tokens", rows.size(), tokens);
                      Call part = call;
                      keep_rows(part, {"x", "topk_idx", "topk_weights"}, rows);
                      x.op.fit(part);
                      x.expect_agree(where, x.observed(where, part), outputs_of(whole, rows, slots));
                    }
                  });
}

Scenario more_slots() {
  return call_relation("more_slots", "with more slots the same tokens are in the same slots, and all others are blank",
                       kFirstSmokePoint, [](Case& c, Call& call, Observation& want) {
                         std::vector<std::int64_t> rows;
                         for (std::int64_t t = 0; t < c.params.integer("tokens"); ++t) rows.push_back(t);
                         c.params.set("spare", c.params.integer("spare") + 300);
                         call = find_op(c.op)->make(c);
                         want = outputs_of(want, rows, call.tensor("buf_x").size(0));
                       });
}

Scenario power_of_two() {
  return call_relation("power_of_two",
                       "if the input is multiplied by 16, the codes stay the same and the scale bytes increase by 4",
                       kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                         HostTensor& x = call.arg("x").tensor();
                         for (std::int64_t i = 0; i < x.numel(); ++i)
                           set_float(x, i, 16.0 * value_of(x.dtype, x.element(i)));
                         for (std::uint8_t& byte : want.outputs.at(kScales).value.storage) byte += 4;
                       });
}

Scenario negation() {
  return call_relation("negation",
                       "if the input is negated, the codes change only their sign, and the scales stay the same",
                       kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                         auto& bytes = call.arg("x").tensor().storage;
                         for (std::size_t i = 1; i < bytes.size(); i += 2) bytes[i] ^= 0x80;
                         for (std::uint8_t& code : want.outputs.at(kCodes).value.storage) code ^= 0x80;
                       });
}

struct Sizes {
  std::int64_t tokens = 3, slots = 5, hidden = 512, k = 6, words = 4;
};

/// Replaces the call by one of these sizes, with random numbers, in the same variant.
Change sized(const Op& op, Sizes s) {
  return [&op, s](Call& call) {
    call =
        op.call({HostTensor::make(DType::kBF16, {s.tokens, s.hidden}), HostTensor::make(DType::kI32, {s.tokens, s.k}),
                 HostTensor::make(DType::kF32, {s.tokens, s.k}), HostTensor::make(DType::kI8, {s.slots, s.hidden}),
                 HostTensor::make(DType::kI32, {s.slots, s.words}), HostTensor::make(DType::kI64, {s.slots, s.k}),
                 HostTensor::make(DType::kF32, {s.slots, s.k})},
                call.compile);
    Random random(1, "x");
    fill_floats(call.arg("x").tensor(), [&] { return random.gauss(); });
    fill_integers(call.arg("topk_idx").tensor(), 0, 255, Random(1, "topk_idx"));
    op.fit(call);
  };
}

void add_contracts(const Op& op, std::vector<Scenario>& list) {
  Contracts contracts(list);  // the first smoke point: groups of 32, an i8 buffer
  contracts.refused("tokens_past_the_slots", "more tokens than slots are refused", "x",
                    sized(op, {.tokens = 4, .slots = 3}));
  contracts.refused_each("columns", "columns that are not a multiple of four groups are refused", "x", "columns",
                         {sized(op, {.hidden = 96, .words = 0}), sized(op, {.hidden = 96, .words = 1}),
                          sized(op, {.hidden = 144, .words = 1}), sized(op, {.hidden = 544, .words = 4})});
  contracts.edge("columns_8320", "8320 columns, more than a block of threads handles at once, are right, or refused",
                 sized(op, {.hidden = 8320, .words = 65}));
  contracts.edge("columns_16384", "16384 columns are right, or refused", sized(op, {.hidden = 16384, .words = 128}));
  contracts.edge("experts_17", "17 experts of a token are right with 128 columns, which have 16 threads, or refused",
                 sized(op, {.hidden = 128, .k = 17, .words = 1}));
  contracts.edge("no_slots", "without slots nothing is written, or the call is refused",
                 sized(op, {.tokens = 0, .slots = 0}));
}

}  // namespace

std::vector<Scenario> mega_moe_scenarios(const Op& op) {
  std::vector<Scenario> list{any_batch(op), more_slots(), power_of_two(), negation(),
                             unaligned_relation({{"x", 2}, {"buf_x", 1}})};
  list.push_back(many_rows_relation(
      op, {"tokens=65540 hidden=128 k=1 fill=integers", "group=64 tokens=32770 hidden=256 k=1 fill=integers",
           "tokens=3 spare=65540 hidden=128 k=1", "tokens=70 spare=70 hidden=8192 k=1000"}));
  add_contracts(op, list);
  return list;
}

}  // namespace dsv4
