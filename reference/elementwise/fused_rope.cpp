/// Reference of fused_rope: rotates pairs of elements by the angles of each token's position, in place.
///
/// reference/elementwise/rotation.h defines the rotation and its three right results. A result is rounded to bfloat16
/// (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/rope.cuh:82). `forward` computes the result that nvcc gives, and
/// `interval` all three.
#include <cstdint>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/view.h"
#include "reference/elementwise/rotation.h"

namespace dsv4::reference {
namespace {

using ::tvm::ffi::Optional;

constexpr const char* kOp = "fused_rope";
constexpr std::int64_t kRotaryDim = 64;

void rotate_heads(const View<Bf16, 3>& x, std::int64_t token, std::int64_t position, const View<const float, 2>& freqs,
                  bool inverse) {
  if (position < 0 || position >= freqs.size(0)) return;
  for (std::int64_t head = 0; head < x.size(1); ++head) {
    for (std::int64_t pair = 0; pair < kRotaryDim / 2; ++pair) {
      Bf16& re = x(token, head, 2 * pair);
      Bf16& im = x(token, head, 2 * pair + 1);
      const Complex angle{freqs(position, 2 * pair), freqs(position, 2 * pair + 1)};
      const Product y = rotated({to_float(re), to_float(im)}, angle, inverse);
      re = to_bf16(left_exact(y.re));
      im = to_bf16(left_exact(y.im));
    }
  }
}

template <class Index>
void rotate_all(TensorView q, Optional<TensorView> k, TensorView freqs_cis, TensorView positions, bool inverse) {
  const View<Bf16, 3> queries(kOp, "q", q);
  const View<const float, 2> freqs(kOp, "freqs_cis", freqs_cis);
  const View<const Index, 1> position(kOp, "positions", positions);
  queries.expect_size(2, kRotaryDim).expect_dense_rows();
  freqs.expect_size(1, kRotaryDim).expect_contiguous();
  position.expect_size(0, queries.size(0)).expect_contiguous();
  if (k.has_value()) {
    const View<Bf16, 3> keys(kOp, "k", k.value());
    keys.expect_size(0, queries.size(0)).expect_size(2, kRotaryDim).expect_dense_rows();
    for (std::int64_t t = 0; t < keys.size(0); ++t) rotate_heads(keys, t, position(t), freqs, inverse);
  }
  for (std::int64_t t = 0; t < queries.size(0); ++t) rotate_heads(queries, t, position(t), freqs, inverse);
}

/// forward: rotates every head of every token by the angles in row `positions[token]` of freqs_cis.
///
/// Elements (2i, 2i+1) are the real and the imaginary part of pair i. A token whose position is outside freqs_cis is
/// left unchanged. Upstream's kernel does not check positions (rope.cuh:54-62).
///
/// @param q          bf16 [tokens, heads, 64], last stride 1, in place
/// @param k          bf16 [tokens, heads of k, 64], last stride 1, in place, optional
/// @param freqs_cis  f32 [positions, 64], contiguous: cos_0, sin_0, cos_1, sin_1, ...
/// @param positions  i32 or i64 [tokens], contiguous
/// @param inverse    rotates by the negative angles
void forward(TensorView q, Optional<TensorView> k, TensorView freqs_cis, TensorView positions, bool inverse) {
  if (holds<std::int64_t>(positions)) return rotate_all<std::int64_t>(q, k, freqs_cis, positions, inverse);
  return rotate_all<std::int32_t>(q, k, freqs_cis, positions, inverse);
}

/// Computes the interval of correct results, which contains the three results of each sum.
///
/// @param q, k           the inputs of `forward`; not changed
/// @param q_lo, q_hi     bf16 of q's shape, out: least and greatest correct result
/// @param k_lo, k_hi     the same for k; absent if k is absent
void interval(TensorView q, Optional<TensorView> k, TensorView freqs_cis, TensorView positions, bool inverse,
              TensorView q_lo, TensorView q_hi, Optional<TensorView> k_lo, Optional<TensorView> k_hi) {
  const View<const float, 2> freqs(kOp, "freqs_cis", freqs_cis);
  const auto bracket_all = [&](const View<const Bf16, 3>& x, const View<Bf16, 3>& low, const View<Bf16, 3>& high) {
    for (std::int64_t t = 0; t < x.size(0); ++t) {
      const std::int64_t position = holds<std::int64_t>(positions)
                                        ? View<const std::int64_t, 1>(kOp, "positions", positions)(t)
                                        : View<const std::int32_t, 1>(kOp, "positions", positions)(t);
      const bool in_table = position >= 0 && position < freqs.size(0);
      for (std::int64_t h = 0; h < x.size(1); ++h) {
        for (std::int64_t d = 0; !in_table && d < kRotaryDim; ++d) low(t, h, d) = high(t, h, d) = x(t, h, d);
        for (std::int64_t d = 0; in_table && d < kRotaryDim; d += 2) {
          const Complex angle{freqs(position, d), freqs(position, d + 1)};
          const Product y = rotated({to_float(x(t, h, d)), to_float(x(t, h, d + 1))}, angle, inverse);
          Bracket re, im;
          re.include(y.re);
          im.include(y.im);
          low(t, h, d) = re.low();
          high(t, h, d) = re.high();
          low(t, h, d + 1) = im.low();
          high(t, h, d + 1) = im.high();
        }
      }
    }
  };
  bracket_all({kOp, "q", q}, {kOp, "q_lo", q_lo}, {kOp, "q_hi", q_hi});
  if (k.has_value()) {
    bracket_all({kOp, "k", k.value()}, {kOp, "k_lo", k_lo.value()}, {kOp, "k_hi", k_hi.value()});
  }
}

DSV4_ENTRY(forward, forward, "fused_rope", "fused_rope/1", "");
DSV4_AUX(forward_interval, interval, "fused_rope", "interval", "");

}  // namespace
}  // namespace dsv4::reference
