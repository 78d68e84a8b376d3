/// compress_c4_decode_v1 writes the row of each request's newest token to the state. If the token completes a group of
/// four, the op computes the group's entry from the state.
#include "harness/op/define.h"
#include "harness/ops/compress/c4_v1_op.h"

namespace dsv4 {
namespace {

class CompressC4DecodeV1 final : public C4V1Op {
 public:
  CompressC4DecodeV1()
      : C4V1Op({
            .name = "compress_c4_decode_v1",
            .family = "compress",
            .summary = "keeps each request's newest token; if it completes a group of four, computes the entry (V1)",
            .upstream = "compress_forward, _jit_compress_module",
            .space = c4_v1_space().with(decode_batch({.usual = 9, .quick = {1, 3, 4, 5, 9, 33}},
                                                     {.usual = 1, .quick = {4, 8, 16, 252, 256, 508}})),
            .signature = {{inout("kv_buffer", {kF32}, "pages page!:page width",
                                 {.names = {{"page", "state_page"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "requests width"),
                           out("kv_output", {kF32}, "requests:rows head_dim", {.names = {{"rows", "output_rows"}}}),
                           in("ape", {kF32}, "8:rows head_dim"), in("indices", {kI32}, "requests:count"),
                           in("seq_lens", {kI32}, "requests:count", {.names = {{"count", "lens_count"}}}),
                           in("extra", {kI32}, "requests:rows 1:columns", {.optional = true})},
                          "requests"},
            .smoke = {"", "state=rings head_dim=512 batch=5 len=253", "ring=16 fill=equal batch=12 len=9"},
            .quick = {"cover", "batch=257", "state=rings head_dim=512 batch=129"},
            .full = each({"head_dim={} {}"}, {"128", "512"},
                         {"fill=gauss batch=1024 len=300 spread=random", "ring=16 fill=gauss batch=24 len=4096",
                          "state=rings fill=wide batch=1024 len=300 spread=random",
                          "fill=large batch=1 len=262144 spread=same"}),
            .bench = {"head_dim=512 batch=256 len=4097", "batch=256 len=4097"},
            .without = {{"relation:any_batch", "the op writes state rows, which are not rows of the batch"}},
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const V1State state(4, c.params, make_maps(batch, c.params, c.seed));
    const OfflineTokens tokens = this->tokens(c);
    Call decode = c4_v1_call(c.op, tokens, c4_v1_state(tokens, state, batch.request_ids, batch.prefixes()),
                             tokens.input(batch), state.decode(batch), {numbers(batch.seq_lens, kI32)});
    fit(decode);
    return decode;
  }

  /// Row b of the batch belongs to request b. Its token is kept. If the length is a multiple of four, the call also
  /// writes row b of kv_output. A request of length 0 has no token.
  [[nodiscard]] C4V1Written written_by(const Call& call) const override {
    const auto lengths = numbers_of(call, "seq_lens"), pages = numbers_of(call, "indices");
    const bool has_extra = call.arg("extra").is_tensor();
    C4V1Written rows;
    for (std::int64_t b = 0; b < std::ssize(lengths); ++b) {
      const std::int64_t length = lengths[static_cast<std::size_t>(b)], page = pages[static_cast<std::size_t>(b)];
      if (length <= 0 || c4_v1_row(call, page, 0) < 0) continue;
      rows.kept.push_back({b, c4_v1_row(call, page, length - 1)});
      const std::int64_t before = has_extra ? integer_at(call.tensor("extra"), b) : page;
      if (length % 4 == 0 && (length == 4 || c4_v1_row(call, before, 0) >= 0))
        rows.entries.push_back({b, b, length == 4});
    }
    return rows;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = C4V1Op::scenarios();
    list.push_back(offline_many_requests(*this));
    append(list,
           offline_decode_sequences(at({"batch=5", "ring=16 batch=5 len=250", "head_dim=512 fill=wide batch=3 len=13",
                                        "head_dim=512 ring=16 fill=steps batch=3 len=509",
                                        "state=rings batch=5 len=250", "state=rings head_dim=512 batch=3 len=13"})));
    return list;
  }
};

DSV4_REGISTER_OP(CompressC4DecodeV1);

}  // namespace
}  // namespace dsv4
