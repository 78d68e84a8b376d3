#include "harness/ops/compress/online_outside.h"

#include <algorithm>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;

/// A change of one record of a plan, so that the record names something outside the tensors.
template <class Record>
struct WrongRecord {
  std::string what;
  std::function<void(Record&)> set;
  std::function<bool(const Record&)> applies;  ///< whether the change makes a difference to the record
};

/// Tries each change in one record of the plan. `slot_of` gives the slot that a record keeps.
template <class Record>
void try_wrong_records(ScenarioContext& x, const OnlineOp& op, const std::string& plan,
                       const std::vector<WrongRecord<Record>>& wrongs,
                       const std::function<std::int64_t(const Record&)>& slot_of) {
  const Call good = op.make(x.c);
  const auto usual = observed_once(x, good);
  const auto records = records_of<Record>(good.tensor(plan));
  std::size_t turn = 0;
  for (const WrongRecord<Record>& wrong : wrongs) {
    std::size_t i = 0;
    for (; i < records.size() && !wrong.applies(records[(i + turn) % records.size()]); ++i) {
    }
    if (i == records.size()) continue;
    i = (i + turn++) % records.size();
    auto changed = records;
    wrong.set(changed[i]);
    Call bad = good;
    bad.arg(plan).tensor() = plan_tensor(changed);
    OfflineOwnRows rows;
    if (plan != "plan_w") rows.entries.insert(static_cast<std::int64_t>(i));
    if (const std::int64_t kept = slot_of(records[i]); kept >= 0) rows.kept.insert(kept);
    try_online_outside(x, op, fmt::format("{} record {} with {}", plan, i, wrong.what), bad, good, usual, rows);
  }
}

/// Adds a change for each number outside [0, limit).
template <class Record, class Field>
void add_wrong_numbers(std::vector<WrongRecord<Record>>& wrongs, const char* name, Field Record::*field,
                       std::int64_t limit, const std::function<bool(const Record&)>& applies) {
  for (const std::int32_t number : numbers_outside(limit)) {
    wrongs.push_back({fmt::format("{} {}", name, number),
                      [field, number](Record& r) { r.*field = static_cast<Field>(number); }, applies});
  }
}

/// Number of tokens of the group before the record's.
std::int64_t earlier_tokens(const CompressPlan& r) {
  return (std::int64_t{r.seq_len} - 1) % kOnlineGroup + 1 - r.buffer_len;
}

void try_online_decode_plan(ScenarioContext& x, const OnlineOp& op) {
  const Call good = op.make(x.c);
  const std::int64_t slots = good.tensor("kv_buffer").size(0);
  const auto completes = [](const DecodePlan& r) { return r.seq_len % kOnlineGroup == 0; };
  const auto keeps = [completes](const DecodePlan& r) { return !completes(r); };
  const auto continues = [](const DecodePlan& r) { return r.seq_len % kOnlineGroup != 1; };
  const auto any = [](const DecodePlan&) { return true; };
  std::vector<WrongRecord<DecodePlan>> wrongs;
  add_wrong_numbers<DecodePlan>(wrongs, "write_loc", &DecodePlan::write_loc, slots, keeps);
  add_wrong_numbers<DecodePlan>(wrongs, "read_page_0", &DecodePlan::read_page_0, slots, continues);
  add_wrong_numbers<DecodePlan>(wrongs, "read_page_0 of a complete group", &DecodePlan::read_page_0, slots, completes);
  wrongs.push_back({"length 0", [](DecodePlan& r) { r.seq_len = 0; }, any});
  wrongs.push_back({"length 0 and no slots", [](DecodePlan& r) { r = {0, -1, -1, -1}; }, any});
  // The record comes after the record whose slot it names.
  const DecodePlan other = records_of<DecodePlan>(good.tensor("plan_d")).front();
  wrongs.push_back({"length 0 and the slot of another request",
                    [other](DecodePlan& r) {
                      r = {0, other.write_loc, other.read_page_0, other.read_page_1};
                    },
                    [other](const DecodePlan& r) { return r.write_loc != other.write_loc; }});
  try_wrong_records<DecodePlan>(x, op, "plan_d", wrongs, [](const DecodePlan& r) { return std::int64_t{r.write_loc}; });
}

void try_segments(ScenarioContext& x, const OnlineOp& op, const std::string& plan) {
  const Call good = op.make(x.c);
  const std::int64_t slots = good.tensor("kv_buffer").size(0), tokens = good.tensor("kv_input").size(0);
  const bool kept = plan == "plan_w";
  const auto any = [](const CompressPlan& r) { return !is_sentinel(r); };
  const auto uses_slot = [kept](const CompressPlan& r) { return !is_sentinel(r) && (kept || earlier_tokens(r) > 0); };
  const auto has_two = [](const CompressPlan& r) { return !is_sentinel(r) && r.buffer_len > 1; };
  std::vector<WrongRecord<CompressPlan>> wrongs;
  add_wrong_numbers<CompressPlan>(wrongs, "read_page_0", &CompressPlan::read_page_0, slots, uses_slot);
  for (const std::int64_t token : {tokens, std::int64_t{0xffff}}) {
    wrongs.push_back({fmt::format("token {}", token),
                      [token](CompressPlan& r) { r.ragged_id = static_cast<std::uint16_t>(token); }, any});
  }
  wrongs.push_back({"tokens before the first one", [](CompressPlan& r) { r.ragged_id = 0; }, has_two});
  for (const int length : {0, 129, 0xffff}) {
    wrongs.push_back({fmt::format("{} tokens", length),
                      [length](CompressPlan& r) { r.buffer_len = static_cast<std::uint16_t>(length); }, any});
  }
  wrongs.push_back({"length 0", [](CompressPlan& r) { r.seq_len = 0; }, any});
  try_wrong_records<CompressPlan>(x, op, plan, wrongs, [kept](const CompressPlan& r) {
    return kept ? std::int64_t{r.read_page_0} : std::int64_t{-1};
  });
}

}  // namespace

void try_online_outside(ScenarioContext& x, const OnlineOp& op, const std::string& what, Call bad, const Call& good,
                        const std::function<const Observation&()>& usual, const OfflineOwnRows& rows) {
  // The call may also write the record's own row of the output, which belongs to no other record.
  auto& footprint = bad.arg("kv_output").footprint;
  const auto bytes = std::ssize(footprint) / bad.tensor("kv_output").size(0);
  for (const std::int64_t row : rows.entries) std::fill_n(footprint.begin() + row * bytes, bytes, std::uint8_t{1});
  const OnlineWritten written = op.written(good);
  const auto part = [&](bool own) { return rows_part({written.entries, written.kept}, good, rows, own); };
  try_outside(x, what, bad, good, usual, part(false), part(true));
}

std::vector<Scenario> online_plan_contracts(const OnlineOp& op) {
  std::vector<Scenario> list;
  for (const Argument& a : op.info().signature.arguments()) {
    if (!a.name.starts_with("plan_")) continue;
    list.push_back(
        {Scenario::Kind::kContract, a.name + "_outside",
         fmt::format("a record of '{}' that names rows outside the tensors changes no other record's result", a.name),
         op.at({op.info().smoke[0], op.info().smoke[1]}), [name = a.name, &op](ScenarioContext& x) {
           name == "plan_d" ? try_online_decode_plan(x, op) : try_segments(x, op, name);
         }});
  }
  return list;
}

}  // namespace dsv4
