#include "harness/ops/compress/offline_outside.h"

#include <algorithm>
#include <limits>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {
namespace {

using layout::CompressPlan;
using layout::DecodePlan;
using layout::WritePlan;

/// A change of one field of a record, to a value outside its range.
template <class Record>
struct Wrong {
  std::string what;
  std::function<void(Record&)> set;
  std::function<bool(const Record&)> applies;  ///< whether the record uses the field
};

/// Tries each wrong value in one record of the plan.
template <class Record>
void try_records(ScenarioContext& x, const OfflineOp& op, const char* plan, const std::vector<Wrong<Record>>& wrongs,
                 const std::function<std::int64_t(const Record&)>& kept_row) {
  Call good = op.make(x.c);
  const auto usual = observed_once(x, good);
  const auto records = records_of<Record>(good.tensor(plan));
  std::size_t turn = 0;
  for (const Wrong<Record>& wrong : wrongs) {
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
    if (!std::is_same_v<Record, WritePlan>) rows.entries.insert(static_cast<std::int64_t>(i));
    if (const std::int64_t kept = kept_row(records[i]); kept >= 0) rows.kept.insert(kept);
    allow_own_rows(bad, rows);
    try_outside(x, fmt::format("{} record {} with {}", plan, i, wrong.what), bad, good, usual,
                offline_rows_part(op, good, rows, false), offline_rows_part(op, good, rows, true));
  }
}

/// Adds a change for each number outside [0, limit).
template <class Record, class Field>
void add_numbers(std::vector<Wrong<Record>>& wrongs, const char* name, Field Record::*field, std::int64_t limit,
                 const std::function<bool(const Record&)>& applies) {
  for (const std::int32_t number : numbers_outside(limit)) {
    wrongs.push_back({fmt::format("{} {}", name, static_cast<Field>(number)),
                      [field, number](Record& r) { r.*field = static_cast<Field>(number); }, applies});
  }
}

void try_decode_plan(ScenarioContext& x, const OfflineOp& op) {
  const Call good = op.make(x.c);
  const std::int64_t pages = good.tensor("kv_buffer").size(0), ratio = op.ratio();
  const auto any = [](const DecodePlan&) { return true; };
  const auto completes = [ratio](const DecodePlan& r) { return completes_group(r, ratio) && r.seq_len > 4; };
  std::vector<Wrong<DecodePlan>> wrongs;
  add_numbers<DecodePlan>(wrongs, "write_loc", &DecodePlan::write_loc, ratio * pages, any);
  add_numbers<DecodePlan>(wrongs, "read_page_0", &DecodePlan::read_page_0, pages, completes);
  add_numbers<DecodePlan>(wrongs, "read_page_1", &DecodePlan::read_page_1, pages, completes);
  wrongs.push_back({"length 0", [](DecodePlan& r) { r.seq_len = 0; }, any});
  wrongs.push_back({"length 0 and no rows", [](DecodePlan& r) { r = {0, -1, -1, -1}; }, any});
  // The record comes after the record whose rows it names.
  const DecodePlan other = records_of<DecodePlan>(good.tensor("plan_d")).front();
  wrongs.push_back({"length 0 and the rows of another request",
                    [other](DecodePlan& r) {
                      r = {0, other.write_loc, other.read_page_0, other.read_page_1};
                    },
                    [other](const DecodePlan& r) { return r.write_loc != other.write_loc; }});
  try_records<DecodePlan>(x, op, "plan_d", wrongs, [](const DecodePlan& r) { return std::int64_t{r.write_loc}; });
}

void try_compress_plan(ScenarioContext& x, const OfflineOp& op) {
  const Call good = op.make(x.c);
  const std::int64_t pages = good.tensor("kv_buffer").size(0), ratio = op.ratio();
  const std::int64_t tokens = good.tensor("kv_input").size(0);
  const auto entry = [](const CompressPlan& r) { return !is_sentinel(r); };
  std::vector<Wrong<CompressPlan>> wrongs;
  add_numbers<CompressPlan>(wrongs, "read_page_0", &CompressPlan::read_page_0, pages,
                            [ratio](const CompressPlan& r) { return !is_sentinel(r) && reads_page_before(r, ratio); });
  add_numbers<CompressPlan>(wrongs, "read_page_1", &CompressPlan::read_page_1, pages,
                            [ratio](const CompressPlan& r) { return !is_sentinel(r) && reads_own_page(r, ratio); });
  for (const std::int64_t token : {tokens, std::int64_t{0xffff}}) {
    wrongs.push_back({fmt::format("token {}", token),
                      [token](CompressPlan& r) { r.ragged_id = static_cast<std::uint16_t>(token); }, entry});
  }
  wrongs.push_back({"rows before the first token",
                    [](CompressPlan& r) {
                      r.ragged_id = 0;
                      r.buffer_len = 0;
                    },
                    entry});
  for (const std::uint16_t length : {static_cast<std::uint16_t>(window_of(ratio) + 1), std::uint16_t{0xffff}}) {
    wrongs.push_back({fmt::format("buffer_len {} and no pages", length),
                      [length](CompressPlan& r) {
                        r.buffer_len = length;
                        r.read_page_0 = r.read_page_1 = -1;
                      },
                      entry});
  }
  try_records<CompressPlan>(x, op, "plan_c", wrongs, [](const CompressPlan&) { return std::int64_t{-1}; });
}

void try_write_plan(ScenarioContext& x, const OfflineOp& op) {
  const Call good = op.make(x.c);
  const std::int64_t rows = op.ratio() * good.tensor("kv_buffer").size(0);
  const std::int64_t tokens = good.tensor("kv_input").size(0);
  const auto entry = [](const WritePlan& r) { return !is_sentinel(r); };
  std::vector<Wrong<WritePlan>> wrongs;
  add_numbers<WritePlan>(wrongs, "write_loc", &WritePlan::write_loc, rows, entry);
  for (const std::int64_t token : {tokens, std::int64_t{1} << 30, std::int64_t{1} << 31, std::int64_t{0xfffffffe}}) {
    wrongs.push_back({fmt::format("token {}", token),
                      [token](WritePlan& r) { r.ragged_id = static_cast<std::uint32_t>(token); }, entry});
  }
  try_records<WritePlan>(x, op, "plan_w", wrongs, [](const WritePlan& r) { return std::int64_t{r.write_loc}; });
}

}  // namespace

std::vector<std::int32_t> numbers_outside(std::int64_t limit) {
  return {-1, static_cast<std::int32_t>(limit), 1 << 30, std::numeric_limits<std::int32_t>::min(),
          std::numeric_limits<std::int32_t>::max()};
}

Part rows_part(const OfflineWritten& written, const Call& good, const OfflineOwnRows& rows, bool own) {
  // The numbers, in `all`, of the rows that the part has.
  const auto chosen = [own](const std::vector<std::int64_t>& all, const std::set<std::int64_t>& of) {
    std::vector<std::int64_t> numbers;
    for (std::int64_t i = 0; i < std::ssize(all); ++i) {
      if (of.contains(all[static_cast<std::size_t>(i)]) == own) numbers.push_back(i);
    }
    return numbers;
  };
  const auto entries = chosen(written.entries, rows.entries), kept = chosen(written.kept, rows.kept);
  return [=, &good](const Observation& o) {
    HostTensor part = rows_of(o.output("kv_output"), entries);
    // An entry that was not written holds the poison of its call.
    for (std::uint32_t variant = 0; own && variant < 4; ++variant) {
      HostTensor unwritten = good.tensor("kv_output");
      poison(unwritten, variant);
      const auto bytes = part.size(1) * size_of(part.dtype);
      for (std::int64_t i = 0; i < std::ssize(entries); ++i) {
        const std::int64_t row = written.entries[static_cast<std::size_t>(entries[static_cast<std::size_t>(i)])];
        const auto at = part.storage.begin() + i * bytes;
        if (std::equal(at, at + bytes, unwritten.storage.begin() + row * bytes))
          std::fill_n(at, bytes, std::uint8_t{0});
      }
    }
    return Observation().add("kv_output", std::move(part)).add("kept_rows", rows_of(o.output("kept_rows"), kept));
  };
}

Part offline_rows_part(const OfflineOp& op, const Call& good, const OfflineOwnRows& rows, bool own) {
  return rows_part(op.written(good), good, rows, own);
}

void allow_own_rows(Call& bad, const OfflineOwnRows& rows) {
  const auto allow = [&bad](const char* name, const std::set<std::int64_t>& own) {
    Arg& arg = bad.arg(name);
    const HostTensor& t = arg.tensor();
    const auto bytes = t.shape.back() * size_of(t.dtype);
    for (const std::int64_t row : own) std::fill_n(arg.footprint.begin() + row * bytes, bytes, std::uint8_t{1});
  };
  allow("kv_output", rows.entries);
  allow("kv_buffer", rows.kept);
}

std::vector<Scenario> offline_plan_contracts(const OfflineOp& op) {
  std::vector<Scenario> list;
  const auto add = [&](const char* plan, void (*run)(ScenarioContext&, const OfflineOp&)) {
    list.push_back(
        {Scenario::Kind::kContract, std::string(plan) + "_outside",
         fmt::format("a record of '{}' that names rows outside the tensors changes no other record's result", plan),
         op.at({op.info().smoke[0], op.info().smoke[1]}), [run, &op](ScenarioContext& x) { run(x, op); }});
  };
  for (const Argument& a : op.info().signature.arguments()) {
    if (a.name == "plan_d") add("plan_d", try_decode_plan);
    if (a.name == "plan_c") add("plan_c", try_compress_plan);
    if (a.name == "plan_w") add("plan_w", try_write_plan);
  }
  return list;
}

}  // namespace dsv4
