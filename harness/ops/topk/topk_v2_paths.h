/// The paths of upstream's topk_v2, and facts about the rows that take them. Known faults of single paths refer to
/// these facts.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "harness/call/call.h"

namespace dsv4 {

/// How upstream's kernel selects in a row of n scores.
enum class TopKPath {
  kTrivial,    ///< n <= k: all positions
  kRegister,   ///< up to 16384 scores in registers; in calls of more rows up to 32768, the second half in shared memory
  kStreaming,  ///< up to the plan's threshold: two passes over the row
  kCluster,    ///< longer rows, and all rows of more than 16384 scores in a call of up to 15 rows: 8 blocks
};
TopKPath path_of(const Call& call, std::int64_t row);

/// Bits of the coarse bins in which the path counts the scores.
int bin_bits(TopKPath path);

/// For each row:
///   "tie_bin"        number of scores in the coarse bin of the k-th best score; 0 if n <= k
///   "register_nans"  number of NaN beyond k, in a row that takes the path kRegister
std::map<std::string, std::vector<std::int64_t>> row_facts(const Call& call);

}  // namespace dsv4
