#include "harness/ops/elementwise/compress_norm_rope_store_scenarios.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/attn/cache_scenarios.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/entry_plans.h"
#include "harness/ops/elementwise/stored_keys.h"
#include "interface/compress_plan.h"

namespace dsv4 {
namespace {

/// Keeps the records `rows`. A decode plan has a slot for each record.
void keep_entries(const Op& op, Call& call, const std::vector<std::int64_t>& rows) {
  if (flag_of(call, "is_decode")) {
    HostTensor& slots = call.arg("out_loc").tensor();
    slots = rows_of(slots, rows);
  }
  keep_batch(op, call, rows);
}

/// Turns a decode plan into a plan to extend with the same entries.
void extend_instead(Case& c, Call& call) {
  std::vector<layout::CompressPlan> records;
  const auto plan = records_of<layout::DecodePlan>(call.tensor("plan"));
  const std::vector<std::int64_t> tokens = entry_tokens(call);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    records.push_back(tokens[i] < 0 ? layout::kNoCompress
                                    : layout::CompressPlan{plan[i].seq_len, static_cast<std::uint16_t>(i), 0, -1, -1});
  }
  call.arg("plan").tensor() = tensor_of_rows(kU8, records);
  call.arg("is_decode").value = false;
  c.params.set("plan", "extend");
}

/// A record with a wrong field.
struct WrongField {
  std::string what;
  std::size_t offset;
  std::size_t bytes;
  std::uint32_t value;
};

/// Lengths whose positions are outside the table. The kernel trusts a plan to extend, so that its lengths may be any.
std::vector<WrongField> wrong_fields(const Call& call) {
  const auto ratio = static_cast<std::uint32_t>(integer_of(call, "compress_ratio"));
  const auto table = static_cast<std::uint32_t>(call.tensor("freqs_cis").size(0));
  const std::uint32_t groups = (table + ratio - 1) / ratio;
  std::vector<std::uint32_t> lengths{0, (groups + 1) * ratio, 0x80000000u, 0xffffffffu / ratio * ratio};
  const bool extend = !flag_of(call, "is_decode");
  if (extend) lengths.insert(lengths.end(), {1, ratio - 1, table + ratio, 0xfffffffeu});
  std::vector<WrongField> list;
  for (const std::uint32_t length : lengths) list.push_back({fmt::format("length {}", length), 0, 4, length});
  if (extend) {
    for (const std::int64_t token : {call.tensor("out_loc").numel(), std::int64_t{0xffff}}) {
      list.push_back({fmt::format("token {}", token), offsetof(layout::CompressPlan, ragged_id), 2,
                      static_cast<std::uint32_t>(token)});
    }
  }
  return list;
}

/// The rows of record `record`, or the other rows.
Part rows_of_entry(std::int64_t record, bool own) {
  return [record, own](const Observation& o) {
    Observation part;
    for (const Output& output : o.outputs) {
      std::vector<std::int64_t> rows;
      for (std::int64_t r = 0; r < output.value.size(0); ++r) {
        if ((r == record) == own) rows.push_back(r);
      }
      part.add(output.name, rows_of(output.value, rows));
    }
    return part;
  };
}

void try_entry_plan(ScenarioContext& x) {
  const Call good = x.op.make(x.c);
  const auto usual = observed_once(x, good);
  const std::int64_t records = good.tensor("plan").size(0);
  std::int64_t turn = 0;
  for (const WrongField& wrong : wrong_fields(good)) {
    const std::int64_t record = turn++ % records;
    Call bad = good;
    std::uint8_t* const bytes = bad.arg("plan").tensor().element(record * bad.tensor("plan").size(1));
    std::memcpy(bytes + wrong.offset, &wrong.value, wrong.bytes);  // little endian
    x.op.fit(bad);
    try_outside(x, fmt::format("record {} with {}", record, wrong.what), bad, bad, usual, rows_of_entry(record, false),
                rows_of_entry(record, true));
  }
}

/// The three records of a call become the records 0, 32768 and 65539 of a plan whose other records have no entry. A
/// record to extend names its token in 16 bits, so the last one has token 65535.
Call with_many_records(const Call& few) {
  constexpr std::int64_t kRecords = 65540, kMostTokens = 1 << 16;
  const bool decode = flag_of(few, "is_decode");
  const HostTensor slots = entry_slots(few);
  const std::int64_t dim = few.tensor("input").size(1), bytes = few.tensor("plan").size(1);
  Call many = few;
  HostTensor& input = many.arg("input").tensor();
  HostTensor& plan = many.arg("plan").tensor();
  input = HostTensor::make(kF32, {kRecords, dim});
  plan = decode ? tensor_of_rows(kU8, std::vector<layout::DecodePlan>(kRecords, {1, 0, 0, 0}))
                : tensor_of_rows(kU8, std::vector<layout::CompressPlan>(kRecords, layout::kNoCompress));
  std::vector<std::int64_t> out_loc(kRecords, -1);
  for (const std::int64_t n : {0, 1, 2}) {
    const std::int64_t record = std::vector<std::int64_t>{0, 32768, kRecords - 1}.at(static_cast<std::size_t>(n));
    const auto token = decode ? record : std::min(record, kMostTokens - 1);
    std::memcpy(input.element(record * dim), few.tensor("input").element(n * dim), static_cast<std::size_t>(dim) * 4);
    std::memcpy(plan.element(record * bytes), few.tensor("plan").element(n * bytes), static_cast<std::size_t>(bytes));
    if (!decode) {
      const auto ragged_id = static_cast<std::uint16_t>(token);
      std::memcpy(plan.element(record * bytes + static_cast<std::int64_t>(offsetof(layout::CompressPlan, ragged_id))),
                  &ragged_id, sizeof ragged_id);
    }
    out_loc.at(static_cast<std::size_t>(token)) = integer_at(slots, n);
  }
  many.arg("out_loc").tensor() = numbers(out_loc, kI32);
  return many;
}

void run_many_records(ScenarioContext& x) {
  const Call few = x.op.make(x.c);
  Call many = with_many_records(few);
  x.op.fit(many);
  const CallResult result = x.call("many records", many);
  x.about(few);
  const Observation got = x.op.observe(x.c, few, result);
  x.expect_agree("many records", got, x.expected(few), x.op.tolerances(x.c, few, result, got, x.reference));
}

void entry_relations(const Op& op, std::vector<Scenario>& list) {
  const PositionsOf positions{positions_in_plan, set_positions_in_plan};
  list.push_back(angles_further_down(positions));
  list.push_back(far_angles(op.at({"records=10 weight=gauss"}), positions));
  list.push_back(far_relation(
      "kvcache", "pages of the cache at offsets beyond 2^32 bytes",
      op.at({"records=33 spare=8", "plan=decode page=2 records=12 spare=0", "layout=indexer records=33 spare=8",
             "layout=indexer_fp4 plan=decode page=2 records=12 spare=0"}),
      move_pages("kvcache", "out_loc")));
  list.push_back(relation("many_records", "entries are right if there are more records than 16 bits can number",
                          op.at({}, {"records=3 at=last weight=gauss", "plan=decode records=3 at=last weight=gauss",
                                     "layout=indexer records=3 at=last weight=gauss",
                                     "layout=indexer_fp4 plan=decode records=3 at=last weight=gauss"}),
                          run_many_records));
  list.push_back(params_relation("page_size", "the page size changes the addresses but not the stored values",
                                 kFirstSmokePoint, [](Params& p) { p.set("page", "2"); }));
  list.push_back(call_relation("plan_kinds", "a decode plan and a plan to extend with the same entries store the same",
                               op.at({"plan=decode records=9 unused=some weight=gauss"}),
                               [](Case& c, Call& call, Observation&) { extend_instead(c, call); }));
  list.push_back(call_relation("row_alignment",
                               "rows that do not start at a multiple of 16 bytes give the same stored values",
                               op.at({"", "plan=decode records=9"}), [](Case&, Call& call, Observation&) {
                                 call.arg("input").misalign = 8;  // as a vector access of two elements needs
                               }));
  list.push_back(batch_relation(
      "the content of an entry's slot does not depend on other entries: the records are shuffled and "
      "stored in two calls",
      op.at({"", "plan=decode records=9 unused=some weight=gauss", "layout=indexer records=9 weight=gauss",
             "layout=indexer_fp4 plan=decode records=9 weight=gauss"}),
      [&op](Call& call, const std::vector<std::int64_t>& rows) { keep_entries(op, call, rows); }));
  list.push_back(scaled_weight("weight"));
}

void entry_contracts(const Op& op, std::vector<Scenario>& list) {
  Contracts contracts(list);  // the first smoke point: 2 pages of 64 slots, 5 records to extend, 5 tokens
  add_cache_contracts(contracts, op, "kvcache", "out_loc");
  contracts.refused("fewer_tokens_than_records", "fewer slots than records are refused", "out_loc", [](Call& call) {
    call.arg("out_loc").tensor() = numbers({3, 1, 70, 0}, kI32);
  });
  contracts.reshaped("plan_of_8_bytes", "a write plan in the place of the plan is refused", "plan",
                     [](Shape& s) { s[1] = 8; });
  contracts.integer("ratio_0", "a ratio of 0 is refused", "compress_ratio", 0);
  contracts.edge("sentinels_only", "a plan that holds only sentinels: nothing is written", [&op](Call& call) {
    call.arg("plan").tensor() = tensor_of_rows(kU8, std::vector<layout::CompressPlan>(5, layout::kNoCompress));
    op.fit(call);
  });
  Contracts decode(list, op.at({"plan=decode weight=gauss"}));
  for (const auto& [name, slots] :
       {std::pair<std::string, std::vector<std::int64_t>>{"more", {3, 1, 70, 0, 5, 6}}, {"fewer", {3, 1, 70, 0}}}) {
    decode.refused("decode_tokens_" + name, "a decode plan with another number of records than slots is refused",
                   "out_loc", [slots = slots](Call& call) { call.arg("out_loc").tensor() = numbers(slots, kI32); });
  }
  decode.edge("padded_decode", "requests of length 0, which pad a decode batch, are not stored", [&op](Call& call) {
    for (const std::int64_t record : {0, 2, 4}) set_length(call.arg("plan").tensor(), record, 0);
    op.fit(call);
  });
  list.push_back({Scenario::Kind::kContract, "plan_outside",
                  "a record whose position is outside the table, or whose token is outside out_loc, changes no other "
                  "record's result",
                  op.at({"weight=gauss", "plan=decode weight=gauss", "layout=indexer weight=gauss",
                         "layout=indexer_fp4 plan=decode weight=gauss"}),
                  try_entry_plan});
}

}  // namespace

std::vector<Scenario> compress_norm_rope_store_scenarios(const Op& op) {
  std::vector<Scenario> list;
  entry_relations(op, list);
  entry_contracts(op, list);
  append(list, compress_norm_rope_store_sequences(op));
  return list;
}

}  // namespace dsv4
