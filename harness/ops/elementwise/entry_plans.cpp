#include "harness/ops/elementwise/entry_plans.h"

#include <algorithm>
#include <cstring>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "interface/compress_plan.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;

/// Both kinds of records begin with the length.
static_assert(sizeof(CompressPlan) == sizeof(DecodePlan));
static_assert(offsetof(CompressPlan, seq_len) == 0 && offsetof(DecodePlan, seq_len) == 0);

std::uint32_t length_of(const HostTensor& plan, std::int64_t record) {
  std::uint32_t length = 0;
  std::memcpy(&length, plan.element(record * static_cast<std::int64_t>(sizeof(DecodePlan))), sizeof length);
  return length;
}

DecodePlan decode_record(std::int64_t number, std::int64_t position, bool used, std::int64_t ratio, Random& random) {
  const std::int64_t length = used ? position + ratio : position + 1 + number % (ratio - 1);
  const auto any = [&random] { return static_cast<std::int32_t>(random.below(1 << 20)); };
  return {static_cast<std::uint32_t>(length), any(), any(), any()};
}

CompressPlan compress_record(std::int64_t token, std::int64_t position, std::int64_t ratio, Random& random) {
  const auto any = [&random] { return static_cast<std::int32_t>(random.below(1 << 20)); };
  return {static_cast<std::uint32_t>(position + ratio), static_cast<std::uint16_t>(token),
          static_cast<std::uint16_t>(random.below(ratio == 4 ? 9 : 129)), any(), any()};
}

}  // namespace

ParamSpec unused_records() { return word("unused", {"none", "some", "ends", "all"}, "which records have no entry"); }

std::vector<std::int64_t> used_records(const Params& p) {
  const std::int64_t count = p.integer("records");
  std::vector<std::int64_t> used;
  for (std::int64_t i = 0; i < count; ++i) {
    const bool end = i == 0 || i == count - 1;
    const bool has_entry = p.is("unused", "some") ? i % 3 != 1 : p.is("unused", "ends") ? !end : p.is("unused", "none");
    if (has_entry) used.push_back(i);
  }
  return used;
}

std::vector<std::int64_t> entry_positions(const Params& p, std::uint64_t seed) {
  const std::int64_t ratio = p.integer("ratio");
  Params groups = p;
  groups.set("tokens", p.integer("records")).set("table", (p.integer("table") + ratio - 1) / ratio).set("index", "i64");
  const HostTensor numbers = positions_tensor(groups, seed);
  std::vector<std::int64_t> positions;
  for (std::int64_t i = 0; i < numbers.numel(); ++i) positions.push_back(integer_at(numbers, i) * ratio);
  return positions;
}

HostTensor entry_plan(const Params& p, const std::vector<std::int64_t>& positions,
                      const std::vector<std::int64_t>& tokens, std::uint64_t seed) {
  const std::int64_t ratio = p.integer("ratio");
  Random random(seed, "plan");
  std::vector<DecodePlan> decode;
  std::vector<CompressPlan> extend;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (p.is("plan", "decode")) {
      decode.push_back(decode_record(static_cast<std::int64_t>(i), positions[i], tokens[i] >= 0, ratio, random));
    } else {
      extend.push_back(tokens[i] < 0 ? layout::kNoCompress : compress_record(tokens[i], positions[i], ratio, random));
    }
  }
  return p.is("plan", "decode") ? tensor_of_rows(kU8, decode) : tensor_of_rows(kU8, extend);
}

std::vector<std::int64_t> entry_tokens(const Call& call) {
  const std::int64_t ratio = integer_of(call, "compress_ratio"), tokens = call.tensor("out_loc").numel();
  std::vector<std::int64_t> used;
  if (flag_of(call, "is_decode")) {
    for (const DecodePlan& record : records_of<DecodePlan>(call.tensor("plan"))) {
      const bool has_entry = record.seq_len != 0 && record.seq_len % ratio == 0 && std::ssize(used) < tokens;
      used.push_back(has_entry ? std::ssize(used) : -1);
    }
  } else {
    for (const CompressPlan& record : records_of<CompressPlan>(call.tensor("plan"))) {
      const bool has_entry = record.seq_len != layout::kNoEntry && record.ragged_id < tokens;
      used.push_back(has_entry ? record.ragged_id : -1);
    }
  }
  return used;
}

HostTensor entry_slots(const Call& call) {
  const HostTensor& out_loc = call.tensor("out_loc");
  std::vector<std::int64_t> slots;
  for (const std::int64_t token : entry_tokens(call)) slots.push_back(token < 0 ? -1 : integer_at(out_loc, token));
  return numbers(slots);
}

std::vector<std::int64_t> positions_in_plan(const Call& call) {
  std::vector<std::int64_t> positions;
  for (std::int64_t i = 0; i < call.tensor("plan").size(0); ++i)
    positions.push_back(length_of(call.tensor("plan"), i) - integer_of(call, "compress_ratio"));
  return positions;
}

void set_positions_in_plan(Call& call, const std::vector<std::int64_t>& positions) {
  for (std::size_t i = 0; i < positions.size(); ++i) {
    set_length(call.arg("plan").tensor(), static_cast<std::int64_t>(i),
               static_cast<std::uint32_t>(positions[i] + integer_of(call, "compress_ratio")));
  }
}

void set_length(HostTensor& plan, std::int64_t record, std::uint32_t length) {
  std::memcpy(plan.element(record * static_cast<std::int64_t>(sizeof(DecodePlan))), &length, sizeof length);
}

}  // namespace dsv4
