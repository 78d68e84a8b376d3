/// Reference of fused_rope: rotates pairs of elements by the angles of each token's position, in place.
///
/// The op is specified to the last bit: the products are combined by one fused multiply-add each, in the form that nvcc
/// makes of the kernels' expressions, and the result is rounded to bfloat16. So this is float arithmetic, on purpose.
#include <cmath>
#include <cstdint>

#include "abi/entry.h"
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

/// x times (cos + i sin), or its conjugate. The product inside each fma is not rounded, the other one is.
Complex rotate(Complex x, Complex angle, bool inverse) {
  const float c = angle.re;
  const float s = angle.im;
  if (inverse) return {std::fma(c, x.re, s * x.im), std::fma(c, x.im, -(s * x.re))};
  return {std::fma(c, x.re, -(s * x.im)), std::fma(s, x.re, c * x.im)};
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

/// forward: rotates every head of every token by row `positions[token]` of the table.
///
/// Elements (2i, 2i+1) are the real and the imaginary part of pair i. A position outside the table is an error here;
/// the kernels do not look.
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

DSV4_ENTRY(forward, forward, "fused_rope", "fused_rope/1", "");

}  // namespace
}  // namespace dsv4::reference
