/// Makes the rows of ops that normalise rows by their root mean square.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/case/space.h"
#include "harness/core/tensor.h"
#include "harness/generate/fills.h"
#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/op.h"

namespace dsv4 {

/// The fill "cancel": the last 64 elements of a row are pairs whose products nearly cancel in the real part when they
/// are rotated by `angles`, a row of the angle table. The other elements are normally distributed, times `others`.
Fill cancelling_pairs(const float* angles, float others);

/// The fills of a row. `angles` is only used by the fill "cancel".
Fills norm_row_fills(const float* angles);
/// The names of these fills.
std::vector<std::string> norm_row_fill_names();
/// The names of the fills that do not need angles.
std::vector<std::string> plain_row_fill_names();

/// The parameter `eps`, which is added to the mean of the squares. `eps_of` returns its value.
ParamSpec eps_values();
double eps_of(const Params& p);

/// True if the parameters `fill` and `eps` give rows whose results are NaN, zeros or infinities only.
bool has_trivial_rows(const Params& p);

/// The memory layouts of heads, bf16 [tokens, heads, dim]. "packed" has no gaps. "gaps" has unused elements between
/// tokens. With "slice", outputs are a slice of the heads of a wider buffer, and inputs are packed.
const std::vector<std::string>& wide_head_layouts();
/// The same, and layouts in which heads are not `dim` elements apart. "apart" has unused elements between heads. With
/// "transposed", the tokens of a head are adjacent.
const std::vector<std::string>& any_head_layouts();
/// Makes such a tensor in poisoned storage.
HostTensor wide_heads(const std::string& layout, bool is_output, std::int64_t tokens, std::int64_t heads,
                      std::int64_t dim);
/// `heads` with other strides, in poisoned storage.
HostTensor with_strides(const HostTensor& heads, Shape strides);

/// "relation:odd_strides": tokens are an odd number of elements apart in each of the named arguments, which are bf16
/// [tokens, 1, dim].
Scenario odd_strides(std::vector<std::string> names, Points points);
/// "contract:no_heads": in the arguments with the symbol "heads", tokens have no heads.
void no_heads(Contracts& contracts, const Op& op);

}  // namespace dsv4
