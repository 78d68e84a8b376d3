/// compress_c4_decode writes the row of each request's newest token to the state. If the token completes a group of
/// four, the op computes the group's entry from the state.
#include "harness/op/define.h"
#include "harness/ops/compress/offline_decode.h"

namespace dsv4 {
namespace {

class CompressC4Decode final : public OfflineDecode {
 public:
  CompressC4Decode()
      : OfflineDecode(
            4,
            {
                .name = "compress_c4_decode",
                .family = "compress",
                .summary =
                    "keeps each request's newest token; if it completes a group of four, computes the group's entry",
                .upstream = "compress_forward, _jit_compress_module",
                .space = offline_space(4).with(decode_batch({.usual = 9, .quick = {1, 3, 4, 5, 9, 33}},
                                                            {.usual = 1, .quick = {4, 8, 16, 252, 256, 508}})),
                .smoke = {"", "head_dim=512 ring=16 batch=5 len=253", "ring=16 fill=equal batch=12 len=9"},
                .quick = {"cover", "batch=257", "head_dim=512 batch=129"},
                .full = each({"head_dim={} {}"}, {"128", "512"},
                             {"fill=gauss batch=1024 len=300 spread=random", "ring=16 fill=gauss batch=24 len=4096",
                              "fill=wide batch=1024 len=300 spread=random", "ring=16 fill=wide batch=24 len=4096",
                              "ring=16 fill=large batch=1 len=262144 spread=same"}),
                .bench = {"head_dim=512 batch=256 len=4097", "batch=256 len=4097"},
            },
            {.sequences = {"batch=5", "ring=16 batch=5 len=250", "head_dim=512 fill=wide batch=3 len=13",
                           "head_dim=512 ring=16 fill=steps batch=3 len=509"},
             .pairs = {"batch=5 len=250", "head_dim=512 ring=16 batch=12 len=9"},
             .more_pairs = {"fill=equal batch=129"}}) {}
};

DSV4_REGISTER_OP(CompressC4Decode);

}  // namespace
}  // namespace dsv4
