/// Heads, positions and angles, for ops that rotate.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/case/params.h"
#include "harness/core/tensor.h"
#include "harness/generate/random.h"

namespace dsv4 {

inline constexpr std::int64_t kRotaryDim = 64;

// Values of the parameters, as case ids write them.
const std::vector<std::string>& head_layouts();
std::vector<std::string> head_fills();
const std::vector<std::string>& angle_tables();
const std::vector<std::string>& position_places();

/// bf16 [tokens, heads, 64] in poisoned storage. "gaps": unused elements between heads and between tokens. "tail": the
/// last 64 of 512 dimensions, as where attention outputs are rotated back.
HostTensor heads_tensor(const std::string& layout, std::int64_t tokens, std::int64_t heads);

/// f32 [positions, 64]: cos and sin of every position, interleaved. Position 0 does not rotate. Only divisions and
/// multiplications are used, so the bits are the same on every machine: with t = tan(angle/2), cos = (1-t^2)/(1+t^2)
/// and sin = 2t/(1+t^2).
HostTensor angle_table(const std::string& kind, std::int64_t positions, std::uint64_t seed);

/// i32 or i64 [tokens], from the parameters `tokens`, `table`, `index` and `at`.
HostTensor positions_tensor(const Params& p, std::uint64_t seed);

/// Fills x, bf16 [tokens, heads, 64]. The fill "cancel" makes the two products of a real part nearly cancel, so it
/// needs the angles by which the heads are rotated.
void fill_heads(HostTensor& x, const std::string& fill, const HostTensor& table, const HostTensor& positions,
                bool inverse, Random& random);

}  // namespace dsv4
