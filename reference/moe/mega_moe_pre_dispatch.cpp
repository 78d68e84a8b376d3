/// Reference of mega_moe_pre_dispatch: quantises tokens to E4M3 with UE8M0 scales into the buffer from which experts
/// fetch them, copies the routing of the tokens, and blanks the routing of the slots without a token.
///
/// Upstream's kernel alone defines two details. They are cited from sglang 0.5.13,
/// jit_kernel/csrc/deepseek_v4/mega_moe_pre_dispatch.cuh; "line" means a line of this file.
#include <algorithm>
#include <cstdint>
#include <string>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "mega_moe_pre_dispatch";
constexpr float kSmallestMaximum = 1e-10f;  ///< lower limit of a group's maximum (line 76)

void store(std::int8_t& element, E4m3 code) { element = static_cast<std::int8_t>(code.bits); }
void store(E4m3& element, E4m3 code) { element = code; }

/// The sizes of a call. The constructor checks them.
struct Sizes {
  std::int64_t tokens, slots, hidden, k;

  Sizes(const View<const Bf16, 2>& x, const View<const std::int32_t, 2>& ids, TensorView buf_x, std::int64_t group)
      : tokens(x.size(0)), slots(buf_x.ndim() == 2 ? buf_x.size(0) : 0), hidden(x.size(1)), k(ids.size(1)) {
    if (buf_x.ndim() != 2) refuse(kOp, "buf_x", "expected 2 dimensions, got " + std::to_string(buf_x.ndim()));
    if (tokens > slots) {
      refuse(
          kOp, "x",
          "expected at most " + std::to_string(slots) + " tokens, the number of slots, got " + std::to_string(tokens));
    }
    if (hidden % (4 * group) != 0) {
      refuse(kOp, "x",
             "expected a multiple of " + std::to_string(4 * group) +
                 " columns, because a word holds four scales, got " + std::to_string(hidden));
    }
  }
};

/// Quantises every token. Element i of group g has the code E4M3(v / s). The scale s is the smallest power of two that
/// is at least a / 448, with a the greatest magnitude of the group, or 1e-10 if that is larger. Byte g mod 4 (little
/// endian) of word g / 4 of the token's row of `words` is the exponent byte of s.
template <class Code>
void quantise(const View<const Bf16, 2>& x, const View<Code, 2>& codes, const View<std::int32_t, 2>& words,
              std::int64_t group) {
  for (std::int64_t t = 0; t < x.size(0); ++t) {
    for (std::int64_t g = 0; g < x.size(1) / group; ++g) {
      const Eigen::ArrayXf values =
          row_of(x, t).segment(g * group, group).unaryExpr([](Bf16 v) { return to_float(v); });
      const float quotient = std::max(kSmallestMaximum, greatest_magnitude(values)) / static_cast<float>(kE4m3Max);
      const std::uint8_t exponent = ue8m0_above(quotient);
      reinterpret_cast<std::uint8_t*>(&words(t, g / 4))[g % 4] = exponent;
      // The factor is a power of two, so the product is exact. It is minus infinity in a group with an infinity (line
      // 80), which inverts the signs.
      const float factor = ue8m0_inverse(exponent);
      for (std::int64_t i = 0; i < group; ++i) store(codes(t, g * group + i), pack_e4m3(values[i] * factor));
    }
  }
}

/// mega_moe_pre_dispatch. The buffer has P slots. Token t goes into slot t, and T <= P. The rows of buf_x and buf_x_sf
/// of the other slots are not changed. The ids of the other slots become -1, and their weights 0.
///
/// NaN does not count for the maximum of a group, and is stored as the code of 448. A group with an infinity has the
/// exponent byte 255. Its other numbers become 448 with the inverted sign. Its zeros become 448, because their product
/// with infinity is NaN. Ids are copied without a check, and weights are copied with their bits.
///
/// @param x                 bf16 [T, H], contiguous; H a multiple of 4 groups
/// @param topk_idx          i32 [T, K], contiguous
/// @param topk_weights      f32 [T, K], contiguous
/// @param buf_x             i8 or e4m3 [P, H], contiguous, out: codes, which are E4M3 in both cases
/// @param buf_x_sf          i32 [P, H / (4 group)], contiguous, out: exponent bytes, four in a word
/// @param buf_topk_idx      i64 [P, K], contiguous, out
/// @param buf_topk_weights  f32 [P, K], contiguous, out
template <std::int64_t kGroup>
void run(TensorView x, TensorView topk_idx, TensorView topk_weights, TensorView buf_x, TensorView buf_x_sf,
         TensorView buf_topk_idx, TensorView buf_topk_weights) {
  const View<const Bf16, 2> values(kOp, "x", x);
  const View<const std::int32_t, 2> ids(kOp, "topk_idx", topk_idx);
  const View<const float, 2> weights(kOp, "topk_weights", topk_weights);
  const Sizes s(values, ids, buf_x, kGroup);
  const View<std::int32_t, 2> words(kOp, "buf_x_sf", buf_x_sf);
  const View<std::int64_t, 2> ids_out(kOp, "buf_topk_idx", buf_topk_idx);
  const View<float, 2> weights_out(kOp, "buf_topk_weights", buf_topk_weights);
  values.expect_contiguous();
  ids.expect_size(0, s.tokens).expect_contiguous();
  weights.expect_size(0, s.tokens).expect_size(1, s.k).expect_contiguous();
  words.expect_size(0, s.slots).expect_size(1, s.hidden / (4 * kGroup)).expect_contiguous();
  ids_out.expect_size(0, s.slots).expect_size(1, s.k).expect_contiguous();
  weights_out.expect_size(0, s.slots).expect_size(1, s.k).expect_contiguous();

  const auto quantise_into = [&](const auto& codes) {
    codes.expect_size(1, s.hidden).expect_contiguous();
    quantise(values, codes, words, kGroup);
  };
  if (holds<std::int8_t>(buf_x)) {
    quantise_into(View<std::int8_t, 2>(kOp, "buf_x", buf_x));
  } else {
    quantise_into(View<E4m3, 2>(kOp, "buf_x", buf_x));
  }
  for (std::int64_t slot = 0; slot < s.slots; ++slot) {
    for (std::int64_t j = 0; j < s.k; ++j) {
      ids_out(slot, j) = slot < s.tokens ? ids(slot, j) : -1;
      weights_out(slot, j) = slot < s.tokens ? weights(slot, j) : 0.0f;
    }
  }
}

DSV4_ENTRY(run_32, run<32>, "mega_moe_pre_dispatch", "mega_moe_pre_dispatch/1", "group=32");
DSV4_ENTRY(run_64, run<64>, "mega_moe_pre_dispatch", "mega_moe_pre_dispatch/1", "group=64");
DSV4_ENTRY(run_128, run<128>, "mega_moe_pre_dispatch", "mega_moe_pre_dispatch/1", "group=128");

}  // namespace
}  // namespace dsv4::reference
