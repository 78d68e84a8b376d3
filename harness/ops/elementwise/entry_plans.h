/// Plans of compressed entries, for ops that take entries and store them: which records of a plan have an entry, its
/// position, and its slot. The call has the arguments plan, out_loc, is_decode and compress_ratio.
///
/// A plan "extend" has records of a prefill batch, and a plan "decode" has records of a decode step
/// (interface/compress_plan.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/case/space.h"
#include "harness/op/op.h"

namespace dsv4 {

/// The parameter `unused`: which records have no entry.
///   none  all have one
///   some  the records 1, 4, 7, ... have none
///   ends  the first and the last record have none
///   all   no record has one
ParamSpec unused_records();
/// Numbers of the records that have an entry, from the parameters `records` and `unused`.
std::vector<std::int64_t> used_records(const Params& p);

/// The position of each record's entry, a multiple of the ratio. From the parameters `ratio`, `table` and `at`.
std::vector<std::int64_t> entry_positions(const Params& p, std::uint64_t seed);
/// Makes the plan: record i has an entry at position `positions[i]`, and its token is `tokens[i]`; -1: no entry. Fields
/// that no kernel reads have any value.
HostTensor entry_plan(const Params& p, const std::vector<std::int64_t>& positions,
                      const std::vector<std::int64_t>& tokens, std::uint64_t seed);

/// For each record of a call's plan: the element of out_loc that is its slot; -1 if nothing is stored for it.
std::vector<std::int64_t> entry_tokens(const Call& call);
/// The slot of each record, i64 [records]; -1 if nothing is stored for it.
HostTensor entry_slots(const Call& call);

/// The position of each record. Every record must have an entry.
std::vector<std::int64_t> positions_in_plan(const Call& call);
void set_positions_in_plan(Call& call, const std::vector<std::int64_t>& positions);

/// Sets the field of the record that says its length.
void set_length(HostTensor& plan, std::int64_t record, std::uint32_t length);

}  // namespace dsv4
