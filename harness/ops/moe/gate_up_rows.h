/// What the ops that compute silu(gate) * up have in common: parameters, rows of gates and ups, and checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

inline constexpr std::int64_t kScaleGroup = 128;  ///< outputs that share a scale

/// The limit of the clamp as a number. "none" is 0, as in upstream's calls.
double limit_of(const Params& p);

/// The compile-time parameters of an op that quantises: group, ue8m0, swizzle, clamp and, if it has several, form.
Params quantiser_variant(const Params& p);

/// Why no op that quantises has a case with these values of dim, ue8m0 and transposed; nullopt if they have one.
std::optional<std::string> reject_quantiser(const Params& p);

/// The fills that coverings use. "near_edges" has its own points.
std::vector<std::string> covered_gate_up_fills();

/// Fills the rows of a contiguous bf16 tensor [..., 2 * outputs]. A row has all gates and then all ups; if swizzled,
/// gates and ups alternate in chunks of 8.
void fill_gate_up_rows(HostTensor& input, const Params& p, bool swizzle, std::uint64_t seed);

/// Why codes and scales have intervals.
inline constexpr const char* kCodesReason =
    "errors of __expf and __fdividef, as documented; 1 / 2^n exact, as measured on an H200";
inline constexpr const char* kScalesReason =
    "errors of __expf and __fdividef, as documented; 1 / 2^n and bytes exact, as measured on an H200";

/// Makes "relation:transposed", which compares the layout of floats with that of bytes. The op returns the scales as
/// its last output. At `point` a row has several words of scales. If it had only one, a swap of rows and words would
/// not change the result.
Scenario transposed_relation(const Op& op, const std::string& point);
/// Makes "relation:swizzle" and "relation:idle_clamp".
Scenario swizzle_relation();
Scenario idle_clamp_relation();

}  // namespace dsv4
