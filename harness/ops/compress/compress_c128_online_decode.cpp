/// compress_c128_online_decode adds each request's newest token to the running softmax of its group of 128 tokens. If
/// the token completes the group, the op writes the group's entry.
#include "harness/op/define.h"
#include "harness/ops/compress/online_op.h"

namespace dsv4 {
namespace {

using layout::DecodePlan;

class CompressC128OnlineDecode final : public OnlineOp {
 public:
  CompressC128OnlineDecode()
      : OnlineOp({
            .name = "compress_c128_online_decode",
            .family = "compress",
            .summary = "adds each request's newest token to the running softmax of its group of 128 tokens",
            .upstream = "compress_forward, _jit_compress_128_online_module",
            .space = online_space().with(
                decode_batch({.usual = 9, .quick = {1, 9, 33}}, {.usual = 124, .quick = {1, 2, 124, 252, 380, 509}})),
            .signature = {{inout("kv_buffer", {kF32}, "slots 1:rows 1536:width",
                                 {.dtype_of = "state", .names = {{"rows", "state_rows"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "requests 1024:width"),
                           out("kv_output", {kF32}, "requests:rows 512:width", {.names = {{"rows", "output_rows"}}}),
                           in("ape", {kF32}, "128:rows 512:width"),
                           in("plan_d", {kU8}, "requests:rows 16:bytes", {.names = {{"rows", "plan_rows"}}})},
                          "requests"},
            .smoke = {"", "fill=steps batch=5 len=253", "fill=equal batch=3 len=1"},
            .quick = {"cover", "batch=129", "fill=wide batch=65 len=300 spread=random"},
            .full = each({"fill={} batch=1024 len=300 spread=random", "fill={} batch=24 len=4096",
                          "fill={} batch=1 len=262144 spread=same"},
                         {"gauss", "wide", "large"}),
            .bench = {"batch=256 len=4097", "batch=16 len=4097"},
            .without = {{"relation:any_batch",
                         "the op writes the slots that the plan names, which are not rows of the batch"}},
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const CacheMaps maps = online_maps(batch, c.params, c.seed);
    const OnlineTokens tokens(c.params, c.seed);
    const auto plan = plans::online_decode_records(requests_of(batch), maps.row_of());
    Call decode = tokens.call(c.op, tokens.state(maps.rows(), OnlineTokens::read_by(plan)), tokens.input(batch),
                              {plan_tensor(plan)});
    fit(decode);
    return decode;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = OnlineOp::scenarios();
    append(list, online_plan_contracts(*this));
    Contracts(list).reshaped("plan_of_8_bytes", "a write plan in the place of the decode plan is refused", "plan_d",
                             [](Shape& s) { s[1] = 8; });
    list.push_back(online_many_requests(*this));
    append(list, online_decode_sequences(*this));
    return list;
  }

  /// Row b of the plan is for request b. Its token is the last one of its group, or the group's slot is kept. A request
  /// of length 0 has no token.
  [[nodiscard]] OnlineWritten written(const Call& call) const override {
    const auto plan = records_of<DecodePlan>(call.tensor("plan_d"));
    OnlineWritten rows;
    for (std::size_t b = 0; b < plan.size(); ++b) {
      if (plan[b].seq_len == 0) continue;
      if (plan[b].seq_len % kOnlineGroup == 0) {
        rows.entries.push_back(static_cast<std::int64_t>(b));
      } else {
        rows.kept.push_back(plan[b].write_loc);
      }
    }
    return rows;
  }
  [[nodiscard]] std::vector<OpenSlot> read(const Call& call) const override {
    return OnlineTokens::read_by(records_of<DecodePlan>(call.tensor("plan_d")));
  }
  void change_slots(Call& call, const ChangeSlot& change) const override {
    auto plan = records_of<DecodePlan>(call.tensor("plan_d"));
    for (DecodePlan& r : plan) {
      change(r.write_loc);
      change(r.read_page_0);
    }
    call.arg("plan_d").tensor() = plan_tensor(plan);
  }
  [[nodiscard]] std::int64_t added(const Call& call) const override { return call.tensor("kv_input").size(0); }
};

DSV4_REGISTER_OP(CompressC128OnlineDecode);

}  // namespace
}  // namespace dsv4
