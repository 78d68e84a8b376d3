/// compress_c128_prefill_v1 computes the entries that a prefill batch completes at ratio 128, and keeps rows in the
/// state.
#include "harness/op/define.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/v1_prefill.h"

namespace dsv4 {
namespace {

class CompressC128PrefillV1 final : public V1Prefill {
 public:
  CompressC128PrefillV1()
      : V1Prefill(
            128,
            {
                .name = "compress_c128_prefill_v1",
                .family = "compress",
                .summary =
                    "compressed entries of ratio 128 that a prefill batch completes, and the rows that it keeps (V1)",
                .upstream = "compress_forward, _jit_compress_module",
                .space = v1_prefill_space(
                    128, prefill_batch({.usual = 2, .quick = {1, 3}}, {.usual = 258, .quick = {1, 128, 131, 254}},
                                       {.usual = 130, .quick = {1, 4, 127, 128, 129, 200}})),
                .smoke = {"", "state=rings order=shuffled len=127 extend=4 mix=uniform slack=3",
                          "head_dim=512 ring=256 fill=equal order=shuffled batch=1 len=257 extend=140 mix=uniform"},
                .quick = joined({{"cover spread=stagger|random mix=uniform|mixed|some_empty"},
                                 each({"fill={} batch=2 len=400 extend=300",
                                       "state=rings head_dim=512 fill={} order=shuffled batch=2 len=127 extend=100 "
                                       "mix=uniform slack=1"},
                                      offline_fills(128))}),
                .full =
                    joined({each({"head_dim={} fill={} batch=1 len=8192 spread=same extend=8192 mix=uniform",
                                  "head_dim={} state=rings fill={} order=shuffled batch=5 len=3000 spread=random "
                                  "extend=600 slack=100",
                                  "head_dim={} ring=256 fill={} batch=16 len=1000 spread=random extend=8 mix=uniform"},
                                 {"128", "512"}, {"gauss", "steps", "wide"}),
                            {"batch=1 len=70000 spread=same extend=8192 mix=uniform"}}),
                .bench = {"head_dim=512 batch=16 len=4608 spread=same extend=512 mix=uniform"},
            },
            {.sequences = {"batch=2 len=250 extend=150", "ring=256 fill=steps batch=2 len=380 extend=60",
                           "state=rings head_dim=512 batch=2 len=125 extend=70",
                           "state=rings fill=cleared batch=1 len=120 extend=50"},
             .pairs = {"len=250", "head_dim=512 ring=256 len=140 extend=130"},
             .more_pairs = {"fill=equal batch=9 len=300 extend=30"}}) {}

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = V1Prefill::scenarios();
    list.push_back(call_relation("extra_absent", "without extra, rows are read from the pages that indices names",
                                 at({info().smoke[1], "state=rings len=258"}), [](Case&, Call& call, Observation&) {
                                   call.arg("extra").value = call.tensor("indices");
                                   call.arg("extra").place = Place::kDevice;
                                 }));
    list.push_back(call_relation("position_unused", "the position in a record of the compress plan makes no difference",
                                 at({info().smoke[0], info().smoke[1]}), [](Case&, Call& call, Observation&) {
                                   auto records = records_of<layout::TokenPlan>(call.tensor("compress_plan"));
                                   for (layout::TokenPlan& r : records) r.position += is_sentinel(r) ? 0 : 3;
                                   call.arg("compress_plan").tensor() = plan_tensor(records);
                                 }));
    return list;
  }
};

DSV4_REGISTER_OP(CompressC128PrefillV1);

}  // namespace
}  // namespace dsv4
