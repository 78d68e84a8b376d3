/// compress_c128_decode_v1 writes the row of each request's newest token to the state. If the token completes a group
/// of 128, the op computes the group's entry from the state.
#include "harness/op/define.h"
#include "harness/ops/compress/v1_decode.h"
#include "harness/ops/compress/v1_extra.h"

namespace dsv4 {
namespace {

class CompressC128DecodeV1 final : public V1Decode {
 public:
  CompressC128DecodeV1()
      : V1Decode(
            128,
            {
                .name = "compress_c128_decode_v1",
                .family = "compress",
                .summary = "keeps each request's newest token; if it completes a group of 128, computes the entry (V1)",
                .upstream = "compress_forward, _jit_compress_module",
                .space =
                    v1_space(128)
                        .with(
                            decode_batch({.usual = 5, .quick = {1, 2, 4}}, {.usual = 124, .quick = {1, 127, 128, 254}}))
                        .with({word("extra", {"none", "unused"}, "the argument `extra`: absent, or a tensor of -1")}),
                .smoke = {"", "state=rings batch=2 len=127",
                          "head_dim=512 ring=256 fill=equal batch=6 len=123 extra=unused"},
                .quick = {"cover", "batch=33 len=100"},
                .full = {"batch=256 len=400 spread=random", "state=rings head_dim=512 batch=64 len=400 spread=random",
                         "ring=256 batch=24 len=1015", "head_dim=512 ring=256 batch=16 len=1020",
                         "state=rings fill=wide batch=130 len=128", "head_dim=512 fill=wide batch=24 len=1000",
                         "fill=large batch=1 len=262144 spread=same",
                         "state=rings fill=steps batch=1 len=200064 spread=same"},
                .contract_point = "extra=unused",
                .bench = {"head_dim=512 batch=256 len=4097"},
                .without = without_extra(),
            },
            in("extra", {kI32}, "further", {.optional = true})) {}

  [[nodiscard]] Call make(const Case& c) const override {
    Call call = V1Decode::make(c);
    if (c.params.is("extra", "unused")) {
      call.arg("extra").value = numbers(std::vector<std::int64_t>(call.tensor("indices").storage.size() / 4, -1), kI32);
      call.arg("extra").place = Place::kDevice;
    }
    return call;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = V1Decode::scenarios();
    append(list, any_extra(*this));
    list.push_back(call_relation("length_modulo", "only the place of the token in its group counts, not its position",
                                 at({info().smoke[0], info().smoke[1]}), [](Case&, Call& call, Observation&) {
                                   HostTensor& lengths = call.arg("seq_lens").tensor();
                                   for (std::int64_t b = 0; b < lengths.numel(); ++b)
                                     set_integer(lengths, b, integer_at(lengths, b) + 128 * (1000 + b));
                                 }));
    // In V1, a token that is kept for a length is not kept for a shorter one in the group before. So no verify step
    // that rejects drafts is right for all lengths.
    list.push_back(offline_decode_equals_prefill(
        at({"batch=8 len=120", "ring=256 batch=2 len=254", "state=rings head_dim=512 fill=wide batch=2 len=127",
            "state=rings fill=steps batch=2 len=126"})));
    return list;
  }
};

DSV4_REGISTER_OP(CompressC128DecodeV1);

}  // namespace
}  // namespace dsv4
