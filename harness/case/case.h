/// A case is one test of a sweep: an op, a scenario, a point and a seed. Its id is enough to make the case again on
/// any machine.
///
///   topk_v1/k=512,batch=4,len=8193,page=64,fill=ties/seed=7              the op itself
///   topk_v1/contract:scores_dtype/k=512,.../seed=0                      the required answer to a bad call
///   plan_prefill/relation:host_equals_device/ratio=4,.../seed=1         a property that must hold between two calls
///   compress_c4_prefill/sequence:chunked_prefill/head_dim=128,.../seed=1   several calls
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case/params.h"

namespace dsv4 {

enum class Tier { kSmoke, kQuick, kFull };

std::string_view name_of(Tier tier);
/// Throws Error with a suggestion for an unknown name. "soak" is refused as well, because that tier does not have
/// fixed cases.
Tier tier_from_name(std::string_view name);

struct Case {
  std::string op;
  std::string scenario;  ///< empty: the op itself; else "contract:<name>", "relation:<name>" or "sequence:<name>"
  Params params;
  std::uint64_t seed = 0;

  [[nodiscard]] std::string id() const;
  bool operator==(const Case&) const = default;
};

/// Splits an id into its parts without knowing any op. Throws an Error that names the malformed part.
Case parse_case_id(std::string_view id);

/// Shard K/N is part K of N parts of all cases. The first part is 1. A stable hash of a case's id chooses its part, so
/// the parts are the same on every machine.
struct Shard {
  std::uint64_t index = 1;
  std::uint64_t count = 1;
  [[nodiscard]] bool contains(std::string_view case_id) const;
};
/// Parses "K/N", such as "2/8". Throws Error for any other text, and unless 1 <= K <= N.
Shard parse_shard(std::string_view text);

}  // namespace dsv4
