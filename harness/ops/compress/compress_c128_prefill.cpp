/// compress_c128_prefill computes the entries that a prefill batch completes at ratio 128, and keeps rows in the state.
#include "harness/op/define.h"
#include "harness/ops/compress/offline_prefill.h"

namespace dsv4 {
namespace {

class CompressC128Prefill final : public OfflinePrefill {
 public:
  CompressC128Prefill()
      : OfflinePrefill(
            128,
            {
                .name = "compress_c128_prefill",
                .family = "compress",
                .summary = "compressed entries of ratio 128 that a prefill batch completes, and the rows that it keeps",
                .upstream = "compress_forward, _jit_compress_module",
                .space = offline_prefill_space(
                    128, prefill_batch({.usual = 2, .quick = {1, 3}}, {.usual = 256, .quick = {1, 128, 131, 254}},
                                       {.usual = 130, .quick = {1, 4, 127, 128, 129, 200}})),
                .smoke = {"", "head_dim=512 order=shuffled len=127 extend=4 mix=uniform slack=3",
                          "ring=256 fill=equal order=shuffled len=255 extend=140 mix=uniform"},
                .quick =
                    joined({{"cover spread=stagger|random mix=uniform|mixed|some_empty"},
                            each({"fill={} batch=2 len=400 extend=300",
                                  "head_dim=512 fill={} order=shuffled batch=2 len=127 extend=100 mix=uniform slack=1"},
                                 offline_fills(128))}),
                .full =
                    joined({each({"head_dim={} fill={} batch=1 len=8192 spread=same extend=8192 mix=uniform",
                                  "head_dim={} ring=256 fill={} order=shuffled batch=5 len=3000 spread=random "
                                  "extend=600 slack=100",
                                  "head_dim={} ring=256 fill={} batch=16 len=1000 spread=random extend=8 mix=uniform"},
                                 {"128", "512"}, {"gauss", "steps", "wide"}),
                            {"batch=1 len=65535 spread=same extend=8192 mix=uniform"}}),
                .bench = {"head_dim=512 batch=16 len=4608 spread=same extend=512 mix=uniform"},
            },
            {.sequences = {"batch=2 len=250 extend=150", "ring=256 fill=steps batch=2 len=380 extend=60",
                           "head_dim=512 batch=2 len=125 extend=70",
                           "head_dim=512 ring=256 fill=cleared batch=1 len=120 extend=50"},
             .pairs = {"len=250", "head_dim=512 len=140 extend=130"},
             .more_pairs = {"fill=equal batch=9 len=300 extend=30"}}) {}
};

DSV4_REGISTER_OP(CompressC128Prefill);

}  // namespace
}  // namespace dsv4
