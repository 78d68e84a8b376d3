/// compress_c128_decode writes the row of each request's newest token to the state. If the token completes a group of
/// 128, the op computes the group's entry from the state.
#include "harness/op/define.h"
#include "harness/ops/compress/offline_decode.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

class CompressC128Decode final : public OfflineDecode {
 public:
  CompressC128Decode()
      : OfflineDecode(
            128,
            {
                .name = "compress_c128_decode",
                .family = "compress",
                .summary =
                    "keeps each request's newest token; if it completes a group of 128, computes the group's entry",
                .upstream = "compress_forward, _jit_compress_module",
                .space = offline_space(128).with(
                    decode_batch({.usual = 5, .quick = {1, 2, 4}}, {.usual = 124, .quick = {1, 127, 128, 254}})),
                .smoke = {"", "head_dim=512 batch=2 len=127", "ring=256 fill=equal batch=6 len=123"},
                .quick = {"cover", "batch=33 len=100"},
                .full = {"batch=256 len=400 spread=random", "head_dim=512 batch=64 len=400 spread=random",
                         "ring=256 batch=24 len=1015", "head_dim=512 ring=256 batch=16 len=1020",
                         "fill=wide batch=130 len=128", "head_dim=512 fill=wide batch=24 len=1000",
                         "fill=large batch=1 len=262144 spread=same", "fill=steps batch=1 len=200064 spread=same"},
                .bench = {"head_dim=512 batch=256 len=4097"},
            },
            {.sequences = {"batch=8 len=120", "ring=256 batch=2 len=254", "head_dim=512 fill=wide batch=2 len=127",
                           "head_dim=512 ring=256 fill=steps batch=2 len=126"},
             .pairs = {"", "head_dim=512 batch=2 len=127"},
             .more_pairs = {"fill=equal batch=33 len=100"}}) {}

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = OfflineDecode::scenarios();
    list.push_back(call_relation(
        "row_decides", "the row of a token in its state page decides whether it completes a group, and not the length",
        kFirstSmokePoint, [](Case&, Call& call, Observation&) {
          auto plan = records_of<layout::DecodePlan>(call.tensor("plan_d"));
          for (layout::DecodePlan& d : plan) d.seq_len += 3;
          call.arg("plan_d").tensor() = plan_tensor(plan);
        }));
    return list;
  }
};

DSV4_REGISTER_OP(CompressC128Decode);

}  // namespace
}  // namespace dsv4
