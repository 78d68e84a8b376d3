/// Reference of fused_rope: rotates pairs of elements by the angles of each token's position, in place.
///
/// Every bit of the result is specified. Each result is computed with one product and one fused multiply-add (fma), and
/// then rounded to bfloat16. nvcc compiles the kernels' expressions to this form. So the reference uses float
/// arithmetic, not double.
#include <array>
#include <cmath>
#include <cstdint>

#include "interface/entry.h"
#include "reference/common/number.h"
#include "reference/common/view.h"

namespace dsv4::reference {
namespace {

using ::tvm::ffi::Optional;

constexpr const char* kOp = "fused_rope";
constexpr std::int64_t kRotaryDim = 64;

struct Complex {
  float re;
  float im;
};

/// Returns x times (cos + i sin), or x times (cos - i sin) if `inverse` is true. The product inside each fma is not
/// rounded. The other product is rounded.
Complex rotate(Complex x, Complex angle, bool inverse) {
  const float c = angle.re;
  const float s = angle.im;
  if (inverse) return {std::fma(c, x.re, s * x.im), std::fma(c, x.im, -(s * x.re))};
  return {std::fma(c, x.re, -(s * x.im)), std::fma(s, x.re, c * x.im)};
}

/// Returns the three values that compiled code may give for a*b + c*d: with a*b inside an fma, with c*d inside an fma,
/// or without an fma.
std::array<float, 3> sums(float a, float b, float c, float d) {
  return {std::fma(a, b, c * d), std::fma(c, d, a * b), a * b + c * d};
}

/// Rounds the results to bfloat16, and writes the least and the greatest of them. They are ordered by their bits, with
/// -0 below +0. If only some of the results are NaN, one end is a NaN and the other end is a number.
void bracket(const std::array<float, 3>& results, Bf16& low, Bf16& high) {
  const auto order = [](Bf16 h) {
    return (h.bits & 0x8000) != 0 ? ~static_cast<int>(h.bits & 0x7fff) : static_cast<int>(h.bits);
  };
  low = high = to_bf16(results[0]);
  for (const float x : results) {
    const Bf16 h = to_bf16(x);
    if (order(h) < order(low)) low = h;
    if (order(h) > order(high)) high = h;
  }
}

void rotate_heads(const View<Bf16, 3>& x, std::int64_t token, std::int64_t position, const View<const float, 2>& freqs,
                  bool inverse) {
  for (std::int64_t head = 0; head < x.size(1); ++head) {
    for (std::int64_t pair = 0; pair < kRotaryDim / 2; ++pair) {
      Bf16& re = x(token, head, 2 * pair);
      Bf16& im = x(token, head, 2 * pair + 1);
      const Complex angle{freqs(position, 2 * pair), freqs(position, 2 * pair + 1)};
      const Complex y = rotate({to_float(re), to_float(im)}, angle, inverse);
      re = to_bf16(y.re);
      im = to_bf16(y.im);
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
/// Elements (2i, 2i+1) are the real and the imaginary part of pair i. A position outside freqs_cis is an error here.
/// Upstream's kernels do not check positions.
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

/// Computes the interval of correct results. The source of the kernels lets the compiler fuse the first product of a
/// sum, the second product, or none. nvcc for Hopper gives the form that `forward` computes. Other compilers may give
/// another form. All three forms are correct.
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
      for (std::int64_t h = 0; h < x.size(1); ++h) {
        for (std::int64_t d = 0; d < kRotaryDim; d += 2) {
          const float re = to_float(x(t, h, d));
          const float im = to_float(x(t, h, d + 1));
          const float c = freqs(position, d);
          const float s = inverse ? -freqs(position, d + 1) : freqs(position, d + 1);
          bracket(sums(re, c, -im, s), low(t, h, d), high(t, h, d));
          bracket(sums(re, s, im, c), low(t, h, d + 1), high(t, h, d + 1));
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
