/// q_indexer_rope_hadamard_fp4_quant: rotates the queries of the indexer, transforms and quantises them to E2M1, and
/// scales the weights of the heads.
///
/// Every operation is specified, except which product of a*b + c*d is fused in the rotation. So nearly every code and
/// scale byte has only one right value, and the reference computes an interval for the others. Codes are compared as
/// the numbers that they stand for.
#include <array>

#include "harness/op/define.h"
#include "harness/ops/elementwise/indexer_queries.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kScaleBytes = 4;  ///< scale bytes of a head
constexpr unsigned kNegativeZero = 8;

/// f32 [tokens, heads, 128]: the numbers of the codes in `packed`, i8 [tokens, heads, 64].
HostTensor numbers_of_codes(const HostTensor& packed) {
  static constexpr std::array kNumbers{0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                       -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
  HostTensor values = HostTensor::make(kF32, {packed.size(0), packed.size(1), kQueryDim});
  for (std::int64_t i = 0; i < packed.numel(); ++i) {
    const auto byte = static_cast<std::uint8_t>(packed.get<std::int8_t>(i));
    values.set<float>(2 * i, kNumbers.at(byte & 15u));
    values.set<float>(2 * i + 1, kNumbers.at(byte >> 4));
  }
  return values;
}

/// u8 [tokens, heads, 4]: the bytes of the words in `words`, i32 [tokens, heads].
HostTensor bytes_of_words(const HostTensor& words) {
  HostTensor bytes = HostTensor::make(kU8, {words.size(0), words.size(1), kScaleBytes});
  for (std::int64_t i = 0; i < words.numel(); ++i) {
    const auto word = static_cast<std::uint32_t>(words.get<std::int32_t>(i));
    for (std::int64_t g = 0; g < kScaleBytes; ++g)
      bytes.set<std::uint8_t>(i * kScaleBytes + g, static_cast<std::uint8_t>(word >> (8 * g)));
  }
  return bytes;
}

bool has_negative_zero(const HostTensor& packed) {
  for (std::int64_t i = 0; i < packed.numel(); ++i) {
    const auto byte = static_cast<std::uint8_t>(packed.get<std::int8_t>(i));
    if ((byte & 15u) == kNegativeZero || byte >> 4 == kNegativeZero) return true;
  }
  return false;
}

class QIndexerRopeHadamardFp4Quant final : public QueryOp {
 public:
  QIndexerRopeHadamardFp4Quant()
      : QueryOp({
            .name = "q_indexer_rope_hadamard_fp4_quant",
            .summary = "rotate the indexer's queries, transform them and quantise them to E2M1",
            .upstream = "fused_q_indexer_rope_hadamard_fp4_quant, _jit_main_q_indexer_rope_hadamard_fp4_quant_module",
            .form = e2m1_form(),
            .quantised = {out("q_fp4", {kI8}, "tokens heads 64:dim"), out("q_sf", {kI32}, "tokens heads")},
            .smoke = {"tokens=5 heads=3 fill=scale_edges", "tokens=2 heads=2 scale=-1e38 weight=special fill=one_inf"},
            .out_bytes = 0.5 * kQueryDim + sizeof(std::int32_t) + sizeof(float),
        }) {}

  [[nodiscard]] Observation observe(const Case& c, const Call& call, const CallResult& result) const override {
    Observation o = Op::observe(c, call, result);
    for (Output& output : o.outputs) {
      if (output.name == "q_fp4") {
        if (has_negative_zero(output.value)) o.find("negative_zero", "q_fp4 has the code 8, but zero has no sign");
        output.value = numbers_of_codes(output.value);
      } else if (output.name == "q_sf") {
        output.value = bytes_of_words(output.value);
      }
    }
    return o;
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult& got, const Observation&,
                                      Caller& reference) const override {
    // Codes are judged for the scale bytes that the kernel stored.
    Call given = call;
    given.arg("q_sf") = in("q_sf", got.tensor("q_sf"));
    Tolerances ends = intervals(given, reference, {"q_fp4", "q_sf"}, "either product of a*b + c*d may be fused");
    for (auto& [name, tolerance] : ends) {
      const auto numbers_of = name == "q_fp4" ? numbers_of_codes : bytes_of_words;
      tolerance.low = numbers_of(tolerance.low);
      tolerance.high = numbers_of(tolerance.high);
    }
    return ends;
  }

 protected:
  void double_outputs(Observation& want) const override {
    for (Output& output : want.outputs) {
      for (std::int64_t i = 0; output.name == "q_sf" && i < output.value.numel(); ++i)
        output.value.set<std::uint8_t>(i, static_cast<std::uint8_t>(output.value.get<std::uint8_t>(i) + 1));
    }
  }
};

DSV4_REGISTER_OP(QIndexerRopeHadamardFp4Quant);

}  // namespace
}  // namespace dsv4
