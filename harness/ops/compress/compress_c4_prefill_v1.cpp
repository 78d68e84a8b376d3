/// compress_c4_prefill_v1 computes the entries that a prefill batch completes at ratio 4, and keeps rows in the state.
#include "harness/op/define.h"
#include "harness/ops/compress/v1_prefill.h"

namespace dsv4 {
namespace {

class CompressC4PrefillV1 final : public V1Prefill {
 public:
  CompressC4PrefillV1()
      : V1Prefill(
            4,
            {
                .name = "compress_c4_prefill_v1",
                .family = "compress",
                .summary =
                    "compressed entries of ratio 4 that a prefill batch completes, and the rows that it keeps (V1)",
                .upstream = "compress_forward, _jit_compress_module",
                .space = v1_prefill_space(
                    4, prefill_batch({.usual = 5, .quick = {9}}, {.usual = 21, .quick = {1, 4, 12, 252, 509}},
                                     {.usual = 9, .quick = {1, 2, 3, 4, 5, 7, 8, 9, 33}})),
                .smoke = {"", "state=rings head_dim=512 order=shuffled batch=4 len=9 extend=7 mix=uniform slack=3",
                          "ring=16 fill=equal order=shuffled batch=9 len=250 extend=10 mix=uniform"},
                .quick = joined({{"cover spread=stagger|random mix=uniform|mixed|some_empty"},
                                 each({"fill={} batch=3 len=300 extend=260",
                                       "state=rings head_dim=512 fill={} order=shuffled batch=2 len=60 extend=50 "
                                       "mix=uniform slack=1"},
                                      offline_fills(4))}),
                .full =
                    joined({each({"head_dim={} fill={} batch=1 len=2048 spread=same extend=2048 mix=uniform",
                                  "head_dim={} state=rings fill={} order=shuffled batch=7 len=3000 spread=random "
                                  "extend=300 slack=100",
                                  "head_dim={} ring=16 fill={} batch=64 len=1000 spread=random extend=8 mix=uniform"},
                                 {"128", "512"}, {"gauss", "steps", "wide"}),
                            {"batch=1 len=70000 spread=same extend=8192 mix=uniform"}}),
                .bench = each({"head_dim={} batch=16 len=4608 spread=same extend=512 mix=uniform"}, {"512", "128"}),
            },
            {.sequences = {"batch=4 len=250", "ring=16 fill=steps len=30 extend=3",
                           "head_dim=512 batch=3 len=40 extend=70",
                           "head_dim=512 ring=16 fill=cleared batch=3 len=24 extend=5", "state=rings batch=4 len=30",
                           "state=rings head_dim=512 batch=3 len=250"},
             .pairs = {"batch=4 len=250", "head_dim=512 ring=16 batch=3 len=40 extend=30"},
             .more_pairs = {"fill=equal batch=33 len=300 extend=12"}}) {}
};

DSV4_REGISTER_OP(CompressC4PrefillV1);

}  // namespace
}  // namespace dsv4
