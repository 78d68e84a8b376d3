/// compress_c4_decode_v1 writes the row of each request's newest token to the state. If the token completes a group of
/// four, the op computes the group's entry from the state.
#include "harness/op/define.h"
#include "harness/ops/compress/v1_decode.h"

namespace dsv4 {
namespace {

class CompressC4DecodeV1 final : public V1Decode {
 public:
  CompressC4DecodeV1()
      : V1Decode(
            4,
            {
                .name = "compress_c4_decode_v1",
                .family = "compress",
                .summary =
                    "keeps each request's newest token; if it completes a group of four, computes the entry (V1)",
                .upstream = "compress_forward, _jit_compress_module",
                .space = v1_space(4).with(decode_batch({.usual = 9, .quick = {1, 3, 4, 5, 9, 33}},
                                                       {.usual = 1, .quick = {4, 8, 16, 252, 256, 508}})),
                .smoke = {"", "state=rings head_dim=512 batch=5 len=253", "ring=16 fill=equal batch=12 len=9"},
                .quick = {"cover", "batch=257", "state=rings head_dim=512 batch=129"},
                .full = each({"head_dim={} {}"}, {"128", "512"},
                             {"fill=gauss batch=1024 len=300 spread=random", "ring=16 fill=gauss batch=24 len=4096",
                              "state=rings fill=wide batch=1024 len=300 spread=random",
                              "fill=large batch=1 len=262144 spread=same"}),
                .bench = {"head_dim=512 batch=256 len=4097", "batch=256 len=4097"},
            },
            in("extra", {kI32}, "requests:rows 1:columns", {.optional = true})) {}

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = V1Decode::scenarios();
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
