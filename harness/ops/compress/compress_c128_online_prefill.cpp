/// compress_c128_online_prefill merges the segments of a prefill batch with the running softmaxes of their groups of
/// 128 tokens. It writes the entries of complete groups, and keeps the slots of open ones.
#include <algorithm>

#include "harness/op/define.h"
#include "harness/ops/compress/arranged_plan.h"
#include "harness/ops/compress/online_op.h"
#include "harness/ops/compress/planner.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;

/// Gives a call these plans, and an output with one row for each record of plan_c.
void set_segments(Call& call, const std::vector<CompressPlan>& compress, const std::vector<CompressPlan>& write) {
  call.arg("plan_c").tensor() = plan_tensor(compress);
  call.arg("plan_w").tensor() = plan_tensor(write);
  call.arg("kv_output").tensor() = HostTensor::make(kF32, {std::ssize(compress), kOnlineHeadDim});
}

class CompressC128OnlinePrefill final : public OnlineOp {
 public:
  CompressC128OnlinePrefill()
      : OnlineOp({
            .name = "compress_c128_online_prefill",
            .family = "compress",
            .summary = "merges the new tokens of a prefill batch with the running softmaxes of their groups of 128",
            .upstream = "compress_forward, _jit_compress_128_online_module",
            .space = online_space()
                         .with({word("order", {"token", "shuffled"}, "order of the plans' records")})
                         .with(prefill_batch({.usual = 5, .quick = {3}}, {.usual = 130, .quick = {1, 126, 252, 300}},
                                             {.usual = 21, .quick = {1, 2, 8, 127, 128, 129}}))
                         .with({number("slack", 0, 65535, "sentinels after the records of each plan",
                                       {.quick = {0, 5}, .soak = {0, 1, 5}})}),
            .signature = {{inout("kv_buffer", {kF32}, "slots 1:rows 1536:width",
                                 {.dtype_of = "state", .names = {{"rows", "state_rows"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "tokens 1024:width"),
                           out("kv_output", {kF32}, "entries:rows 512:width", {.names = {{"rows", "output_rows"}}}),
                           in("ape", {kF32}, "128:rows 512:width"), in("plan_c", {kU8}, "entries:rows 16:bytes"),
                           in("plan_w", {kU8}, "kept 16:bytes")}},
            .smoke = {"", "fill=steps order=shuffled batch=2 len=140 extend=135 mix=uniform slack=3",
                      "fill=equal batch=3 len=250 extend=10 mix=uniform"},
            .quick = joined({{"cover spread=stagger|random mix=uniform|mixed|some_empty"},
                             each({"fill={} batch=2 len=300 extend=260 mix=uniform"}, kOnlineFills)}),
            .full = joined({each({"fill={} batch=1 len=2048 spread=same extend=2048 mix=uniform",
                                  "fill={} order=shuffled batch=7 len=3000 spread=random extend=300 slack=100",
                                  "fill={} batch=64 len=1000 spread=random extend=8 mix=uniform"},
                                 {"gauss", "steps", "wide"}),
                            {"batch=1 len=65535 spread=same extend=8192 mix=uniform"}}),
            .bench = {"batch=16 len=4608 spread=same extend=512 mix=uniform"},
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_plan_tokens(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const CacheMaps maps = online_maps(batch, c.params, c.seed);
    const OnlineTokens tokens(c.params, c.seed);
    const auto [compress, write] = plans::online_records(requests_of(batch), maps.row_of());
    const std::vector<OpenSlot> open = read_by(compress, write);
    const HostTensor plan_c = arranged_plan(compress, c, "plan_c order"),
                     plan_w = arranged_plan(write, c, "plan_w order");
    // A plan must not have more rows than the batch. So the batch gets padding rows if the plan has sentinels.
    HostTensor input = HostTensor::make(kF32, {std::max(batch.tokens(), plan_w.size(0)), kOnlineRow});
    poison(input);
    std::ranges::copy(tokens.input(batch).storage, input.storage.begin());
    Call prefill = tokens.call(c.op, tokens.state(maps.rows(), open), input, {plan_c, plan_w});
    fit(prefill);
    return prefill;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;

  /// In both plans, records may be in any order, with sentinels among them.
  [[nodiscard]] OnlineWritten written(const Call& call) const override {
    OnlineWritten rows;
    const auto compress = records_of<CompressPlan>(call.tensor("plan_c"));
    for (const std::int64_t i : rows_in_token_order(compress)) rows.entries.push_back(i);
    const auto write = records_of<CompressPlan>(call.tensor("plan_w"));
    for (const std::int64_t i : rows_in_token_order(write)) {
      rows.kept.push_back(write[static_cast<std::size_t>(i)].read_page_0);
    }
    return rows;
  }
  [[nodiscard]] std::vector<OpenSlot> read(const Call& call) const override {
    return read_by(records_of<CompressPlan>(call.tensor("plan_c")), records_of<CompressPlan>(call.tensor("plan_w")));
  }
  void change_slots(Call& call, const ChangeSlot& change) const override {
    for (const char* name : {"plan_c", "plan_w"}) {
      auto plan = records_of<CompressPlan>(call.tensor(name));
      for (CompressPlan& r : plan) change(r.read_page_0);
      call.arg(name).tensor() = plan_tensor(plan);
    }
  }
  [[nodiscard]] std::int64_t added(const Call& call) const override {
    std::int64_t tokens = 0;
    for (const char* name : {"plan_c", "plan_w"}) {
      for (const CompressPlan& r : records_of<CompressPlan>(call.tensor(name))) tokens += r.buffer_len;
    }
    return tokens;
  }

 private:
  static std::vector<OpenSlot> read_by(const std::vector<CompressPlan>& compress,
                                       const std::vector<CompressPlan>& write) {
    std::vector<OpenSlot> open = OnlineTokens::read_by(compress);
    std::ranges::copy(OnlineTokens::read_by(write), std::back_inserter(open));
    return open;
  }
};

std::vector<Scenario> CompressC128OnlinePrefill::scenarios() const {
  std::vector<Scenario> list = OnlineOp::scenarios();
  append(list, online_plan_contracts(*this));
  list.push_back(online_many_tokens(*this));
  append(list, online_prefill_sequences(*this));
  Contracts contracts(list);
  contracts.reshaped("plan_w_of_8_bytes", "a write plan of offline compression is refused", "plan_w",
                     [](Shape& s) { s[1] = 8; });
  contracts.refused("more_segments_kept_than_tokens",
                    "a plan of kept segments with more rows than the batch is refused", "plan_w", [](Call& call) {
                      const auto rows = static_cast<std::size_t>(call.tensor("kv_input").size(0) + 1);
                      call.arg("plan_w").tensor() = plan_tensor(std::vector<CompressPlan>(rows, layout::kNoCompress));
                    });
  contracts.edge("nothing_to_do", "plans without rows: nothing is written, or the call is refused", [this](Call& call) {
    set_segments(call, {}, {});
    fit(call);
  });
  contracts.edge("sentinels_only", "plans that hold only sentinels: nothing is written", [this](Call& call) {
    const std::vector<CompressPlan> sentinels(6, layout::kNoCompress);
    set_segments(call, sentinels, sentinels);
    fit(call);
  });
  return list;
}

DSV4_REGISTER_OP(CompressC128OnlinePrefill);

}  // namespace
}  // namespace dsv4
