/// SwiGLU and the quantisation of its result, which the kernels of several ops share. A thread handles eight
/// neighbouring output columns.
///
/// - Without interleaving, the gate of output column j is input column j of a row, and up is input column D + j. With
///   interleaving, the gate is input column 16 (j / 8) + j % 8, and up is 8 columns after the gate.
/// - With a clamp, L is the limit rounded to bfloat16. Then gate = min(gate, L) and up = min(max(up, -L), L). A NaN
///   gate becomes L, and a NaN up becomes min(-L, L).
/// - v = silu(gate) * up in float32. It is not rounded to bfloat16.
/// - For each group of columns, a = max(1e-10, largest |v|). NaN is ignored.
/// - With power-of-two scales, byte = UE8M0(a / 448) and code = E4M3(v * 2^(127 - byte)). Otherwise scale = a / 448 and
///   code = E4M3(v / scale).
///
/// sglang 0.5.12 also has another form, Form::kTmp. It clamps in float32: gate = min(gate, limit) and
/// up = max(min(up, limit), -limit). Without a clamp, silu(gate) and v are rounded to bfloat16.
///
/// silu uses the hardware's approximate exponential and reciprocal. Its relative error is below
/// 2^-21.5 + 2^-23.5 max(0, -gate).
#pragma once

#include "interface/entry.h"
#include "kernels/common/device.h"

namespace dsv4 {

inline constexpr int kLaneColumns = 8;  ///< output columns of a thread
inline constexpr float kMinAmax = 1e-10f;

/// The limit as the kernels need it: rounded to a bfloat16 value.
inline float rounded_limit(double swiglu_limit) {
  return __bfloat162float(__float2bfloat16_rn(static_cast<float>(swiglu_limit)));
}

/// The gates and ups of eight output columns.
template <bool kWide>
struct GateUp {
  Pack<__nv_bfloat16, kLaneColumns, kWide> gate;
  Pack<__nv_bfloat16, kLaneColumns, kWide> up;

  /// Loads the gates and ups of output columns `column` ... `column` + 7. `row` has 2 * `columns` elements. With int as
  /// index, the kernel needs fewer registers.
  template <typename Index>
  DSV4_DEVICE void load(const __nv_bfloat16* row, Index column, Index columns, bool interleaved) {
    gate.load(row + (interleaved ? 2 * column : column));
    up.load(row + (interleaved ? 2 * column + kLaneColumns : columns + column));
  }
};

enum class Form { kMain, kTmp };

DSV4_DEVICE float rounded_to_bf16(float x) { return __bfloat162float(__float2bfloat16_rn(x)); }

template <bool kClamp, Form kForm = Form::kMain>
DSV4_DEVICE float silu_and_mul(float gate, float up, float limit) {
  if constexpr (kClamp) {
    gate = min_number(gate, limit);
    if constexpr (kForm == Form::kTmp) {
      up = max_number(min_number(up, limit), -limit);
    } else {
      up = min_number(max_number(up, -limit), limit);
    }
  }
  if constexpr (!kClamp && kForm == Form::kTmp) {
    const float silu = rounded_to_bf16(__fdividef(gate, 1.0f + __expf(-gate)));
    return rounded_to_bf16(__fmul_rn(silu, up));
  } else {
    return __fmul_rn(__fdividef(gate, 1.0f + __expf(-gate)), up);
  }
}

/// The scale of a group.
struct GroupScale {
  float value;         ///< the scale; Inf if the group has an infinity
  std::uint32_t byte;  ///< its UE8M0 byte, if scales are powers of two
};

/// Computes eight columns and writes their codes to `codes`. The threads of a group of `kGroup` columns are adjacent
/// lanes of a warp, and all lanes of the warp must call. Returns the scale of the group.
template <int kGroup, bool kPowerOfTwo, bool kClamp, Form kForm = Form::kMain, bool kWide>
DSV4_DEVICE GroupScale quantise_lane(const GateUp<kWide>& x, float limit, std::uint8_t* codes) {
  float v[kLaneColumns];
  float amax = kMinAmax;
#pragma unroll
  for (int c = 0; c < kLaneColumns; ++c) {
    v[c] = silu_and_mul<kClamp, kForm>(to_float(x.gate.v[c]), to_float(x.up.v[c]), limit);
    amax = max_number(amax, fabsf(v[c]));
  }
  amax = lanes_max<kGroup / kLaneColumns>(amax);
  // This multiplies by the rounded 1/448 instead of dividing by 448. A float32 scale may therefore differ in its last
  // bit. The UE8M0 byte is the same for every amax: because 448 = 1.75 * 2^8, the two results never are on different
  // sides of a power of two.
  GroupScale scale{__fmul_rn(amax, 1.0f / kE4m3Max), 0};
  float inverse;
  if constexpr (kPowerOfTwo) {
    scale.byte = ue8m0_byte(scale.value);
    scale.value = ue8m0_value(scale.byte);
    // If the group has no infinity, the inverse is 2^(127 - byte). A group with an infinity has scale Inf. Then the
    // inverse is 0, which is the reciprocal of Inf.
    inverse = scale.byte == 255 ? 0.0f : ue8m0_inverse(scale.byte);
  } else {
    inverse = __frcp_rn(scale.value);
  }
  Pack<std::uint16_t, kLaneColumns / 2, kWide> packed;
#pragma unroll
  for (int c = 0; c < kLaneColumns / 2; ++c) {
    packed.v[c] = e4m3_codes(__fmul_rn(v[2 * c], inverse), __fmul_rn(v[2 * c + 1], inverse));
  }
  store_bytes<kWide>(codes, packed);
  return scale;
}

}  // namespace dsv4

/// Exports dsv4::run<U, S, C> of a file as run_u<U>_s<S>_c<C>, which is a compile-time variant of `OP`. MORE has the
/// parameters that only this op has, such as ";form=main".
#define DSV4_SWIGLU_VARIANT(OP, U, S, C, MORE)                                               \
  DSV4_ENTRY(run_u##U##_s##S##_c##C, (dsv4::run<(U) == 1, (S) == 1, (C) == 1>), OP, OP "/1", \
             "group=128;ue8m0=" #U ";swizzle=" #S ";clamp=" #C MORE)
/// Exports the eight variants.
#define DSV4_SWIGLU_VARIANTS(OP, MORE)    \
  DSV4_SWIGLU_VARIANT(OP, 0, 0, 0, MORE); \
  DSV4_SWIGLU_VARIANT(OP, 0, 0, 1, MORE); \
  DSV4_SWIGLU_VARIANT(OP, 0, 1, 0, MORE); \
  DSV4_SWIGLU_VARIANT(OP, 0, 1, 1, MORE); \
  DSV4_SWIGLU_VARIANT(OP, 1, 0, 0, MORE); \
  DSV4_SWIGLU_VARIANT(OP, 1, 0, 1, MORE); \
  DSV4_SWIGLU_VARIANT(OP, 1, 1, 0, MORE); \
  DSV4_SWIGLU_VARIANT(OP, 1, 1, 1, MORE)
