/// Makes the heads, positions and angle tables of ops that rotate.
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
/// Layouts in which queries and keys differ: "q_tail" has the layout "tail" for queries and "packed" for keys, and
/// "k_tail" the reverse.
const std::vector<std::string>& mixed_layouts();
/// The layout of the queries, or of the keys, in a layout of either list.
std::string layout_of(const std::string& layout, bool keys);
std::vector<std::string> head_fills();
const std::vector<std::string>& angle_tables();
const std::vector<std::string>& position_places();

/// Makes bf16 [tokens, heads, 64] in poisoned storage. With the layout "gaps", there are unused elements between heads
/// and between tokens. With "tail", the tensor has the last 64 of the 512 dimensions of each head, as when attention
/// outputs are rotated back.
HostTensor heads_tensor(const std::string& layout, std::int64_t tokens, std::int64_t heads);

/// Makes f32 [positions, 64]: cos and sin of every position, interleaved. In the kinds "circle" and "axes", position 0
/// does not rotate. "circle" uses cos = (1-t^2)/(1+t^2) and sin = 2t/(1+t^2) with t = tan(angle/2). These formulas need
/// no library function, so the bits are the same on every machine.
HostTensor angle_table(const std::string& kind, std::int64_t positions, std::uint64_t seed);

/// Makes i32 or i64 [tokens] from the parameters `tokens`, `table`, `index` and `at`.
HostTensor positions_tensor(const Params& p, std::uint64_t seed);

/// Fills x, bf16 [tokens, heads, 64]. With the fill "cancel", the two products of each real part nearly cancel. So this
/// fill needs the angles by which the heads are rotated.
void fill_heads(HostTensor& x, const std::string& fill, const HostTensor& table, const HostTensor& positions,
                bool inverse, Random& random);

}  // namespace dsv4
