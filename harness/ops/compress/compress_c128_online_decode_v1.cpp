/// compress_c128_online_decode_v1 adds each request's newest token to the running softmax of its group of 128 tokens.
/// If the token completes the group, the op writes the group's entry.
#include "harness/op/define.h"
#include "harness/ops/compress/online_v1_op.h"
#include "harness/ops/compress/v1_extra.h"

namespace dsv4 {
namespace {

class CompressC128OnlineDecodeV1 final : public OnlineV1Op {
 public:
  CompressC128OnlineDecodeV1()
      : OnlineV1Op({
            .name = "compress_c128_online_decode_v1",
            .family = "compress",
            .summary = "adds each request's newest token to the running softmax of its group of 128 tokens (V1)",
            .upstream = "compress_forward, _jit_compress_128_online_module",
            .space = online_v1_space()
                         .with(decode_batch({.usual = 9, .quick = {1, 9, 33}},
                                            {.usual = 124, .quick = {1, 2, 124, 252, 380, 509}}))
                         .with({word("extra", {"none", "unused"}, "the argument `extra`: absent, or a tensor of -1")}),
            .signature = {{inout("kv_buffer", {kF32}, "slots 1:rows 1536:width",
                                 {.names = {{"rows", "state_rows"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "requests 1024:width"),
                           out("kv_output", {kF32}, "requests:rows 512:width", {.names = {{"rows", "output_rows"}}}),
                           in("ape", {kF32}, "128:rows 512:width"), in("indices", {kI32}, "requests:count"),
                           in("seq_lens", {kI32}, "requests:count", {.names = {{"count", "lens_count"}}}),
                           in("extra", {kI32}, "further", {.optional = true})},
                          "requests"},
            .smoke = {"", "state=rings fill=steps batch=5 len=253 extra=unused", "fill=equal batch=3 len=1"},
            .quick = {"cover", "batch=129", "state=rings fill=wide batch=65 len=300 spread=random"},
            .full = each({"fill={} batch=1024 len=300 spread=random", "state=rings fill={} batch=24 len=4096",
                          "fill={} batch=1 len=262144 spread=same"},
                         {"gauss", "wide", "large"}),
            .contract_point = "extra=unused",
            .bench = {"batch=256 len=4097", "batch=16 len=4097"},
            .without = without_extra(
                {{"relation:any_batch", "the op writes the slots of the requests, which are not rows of the batch"}}),
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const OnlineV1Slots slots(c.params, online_maps(batch, c.params, c.seed));
    const OnlineTokens tokens(c.params, c.seed);
    const auto newest = plans::online_decode_records(requests_of(batch), slots.slot_of());
    V1Pages indices = slots.decode(batch);
    if (c.params.is("extra", "unused"))
      indices.extra = numbers(std::vector<std::int64_t>(batch.seq_lens.size(), -1), kI32);
    Call decode = online_v1_call(c.op, tokens, tokens.state(slots.count(), OnlineTokens::read_by(newest)),
                                 tokens.input(batch), std::move(indices), {numbers(batch.seq_lens, kI32)});
    fit(decode);
    return decode;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = OnlineV1Op::scenarios();
    append(list, any_extra(*this));
    list.push_back(online_many_requests_v1(*this));
    append(list, online_decode_sequences(*this));
    return list;
  }

  /// Row b of the batch belongs to request b. Its token is the last one of its group, or the group's slot is kept. A
  /// request of length 0 has no token.
  [[nodiscard]] OnlineV1Written written_by(const Call& call) const override {
    const auto lengths = numbers_of(call, "seq_lens"), slots = numbers_of(call, "indices");
    OnlineV1Written rows;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const auto b = static_cast<std::int64_t>(i);
      if (lengths[i] <= 0 || slots[i] < 0 || slots[i] >= call.tensor("kv_buffer").size(0)) continue;
      if (lengths[i] % kOnlineGroup == 0) {
        rows.entries.push_back({b, b});
      } else {
        rows.kept.push_back({b, slots[i]});
      }
    }
    return rows;
  }
  [[nodiscard]] std::vector<OpenSlot> read(const Call& call) const override {
    const auto lengths = numbers_of(call, "seq_lens"), slots = numbers_of(call, "indices");
    std::vector<OpenSlot> open;
    for (std::size_t b = 0; b < lengths.size(); ++b) {
      if (lengths[b] % kOnlineGroup != 1) open.push_back({slots[b], (lengths[b] - 1) % kOnlineGroup});
    }
    return open;
  }
  [[nodiscard]] std::int64_t added(const Call& call) const override { return call.tensor("kv_input").size(0); }
};

DSV4_REGISTER_OP(CompressC128OnlineDecodeV1);

}  // namespace
}  // namespace dsv4
