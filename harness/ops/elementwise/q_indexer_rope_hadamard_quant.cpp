/// q_indexer_rope_hadamard_quant: rotates the queries of the indexer, transforms and quantises them to E4M3, and folds
/// their scales into the weights of the heads.
///
/// Every operation is specified, except which product of a*b + c*d is fused in the rotation. So nearly every code and
/// weight has only one right value, and the reference computes an interval for the others.
#include "harness/op/define.h"
#include "harness/ops/elementwise/indexer_queries.h"

namespace dsv4 {
namespace {

class QIndexerRopeHadamardQuant final : public QueryOp {
 public:
  QIndexerRopeHadamardQuant()
      : QueryOp({
            .name = "q_indexer_rope_hadamard_quant",
            .summary = "rotate the indexer's queries, transform them and quantise them to E4M3",
            .upstream = "fused_q_indexer_rope_hadamard_quant, _jit_main_q_indexer_rope_hadamard_quant_module",
            .form = e4m3_form(),
            .quantised = {out("q_fp8", {kE4M3}, "tokens heads 128:dim")},
            .smoke = {"tokens=2 heads=2 scale=-1e38 weight=special fill=one_nan"},
            .out_bytes = kQueryDim + sizeof(float),
        }) {}

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return intervals(call, reference, {"q_fp8", "weights_out"}, "either product of a*b + c*d may be fused");
  }

 protected:
  void double_outputs(Observation& want) const override {
    for (Output& output : want.outputs) {
      for (std::int64_t i = 0; output.name == "weights_out" && i < output.value.numel(); ++i)
        output.value.set<float>(i, 2.0f * output.value.get<float>(i));
    }
  }
};

DSV4_REGISTER_OP(QIndexerRopeHadamardQuant);

}  // namespace
}  // namespace dsv4
