/// compress_c4_decode: each request's newest token is kept in the state; where it completes a group of four, its entry
/// is computed from there.
///
/// Entries are judged by the error bound that the reference computes beside each value; kept rows are copies, to the
/// bit. What is not live in the state is NaN, so that a read too many shows.
#include "harness/op/define.h"
#include "harness/ops/compress/c4_data.h"
#include "harness/ops/compress/c4_sequences.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"

namespace dsv4 {
namespace {

using layout::DecodePlan;

/// A row of the plan is a request's, each keeps its token, and those at a multiple of four write an entry there.
C4Written written_by_decode(const Call& call) {
  Observation ignored;
  const auto plan = records_of<DecodePlan>(call.tensor("plan_d"), "plan_d", ignored);
  C4Written written;
  for (std::size_t b = 0; b < plan.size(); ++b) {
    if (plan[b].seq_len % 4 == 0) written.entries.push_back(static_cast<std::int64_t>(b));
    written.kept.push_back(plan[b].write_loc);
  }
  return written;
}

class CompressC4Decode final : public Op {
 public:
  CompressC4Decode()
      : Op({
            .name = "compress_c4_decode",
            .family = "compress",
            .summary = "keeps each request's newest token, and compresses the group of ratio 4 that it completes",
            .upstream = "compress_forward, ratio 4, decode",
            .space = c4_space().with(decode_batch({.usual = 9, .quick = {1, 3, 4, 5, 9, 33}},
                                                  {.usual = 1, .quick = {4, 8, 16, 252, 256, 508}})),
            .signature = {{inout("kv_buffer", {kF32}, "pages 4:page width",
                                 {.names = {{"page", "state_page"}, {"width", "state_width"}}}),
                           in("kv_input", {kF32}, "requests width"),
                           out("kv_output", {kF32}, "requests:rows head_dim", {.names = {{"rows", "output_rows"}}}),
                           in("ape", {kF32}, "8:rows head_dim"),
                           in("plan_d", {kU8}, "requests:rows 16:bytes", {.names = {{"rows", "plan_rows"}}})},
                          "requests"},
            .smoke = {"", "head_dim=512 ring=16 batch=5 len=253", "ring=16 fill=equal batch=12 len=9"},
            .quick = {"cover", "batch=257", "head_dim=512 batch=129"},
            .full = each(each({"head_dim={} {}"}, {"128", "512"}),
                         {"fill=gauss batch=1024 len=300 spread=random", "ring=16 fill=gauss batch=24 len=4096",
                          "fill=wide batch=1024 len=300 spread=random", "ring=16 fill=wide batch=24 len=4096",
                          "ring=16 fill=large batch=1 len=262144 spread=same"}),
            .bench = {"head_dim=512 batch=256 len=4097", "batch=256 len=4097"},
            .without = {{"relation:any_batch",
                         "what it writes are the rows that the plan names, not rows of the batch"}},
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return c4_too_large(p); }

  [[nodiscard]] Call make(const Case& c) const override {
    const C4Case data(c);
    std::vector<std::int64_t> before;
    for (const std::int64_t n : data.batch.seq_lens) before.push_back(n - 1);
    const HostTensor output = HostTensor::make(kF32, {data.batch.size(), data.tokens.head_dim()});
    Call decode = call({data.state_after(before), data.tokens.input(data.batch), output, data.tokens.ape(),
                        plan_tensor(model_decode_plan(data.batch, 4, data.row()))},
                       c4_compile(c.params));
    fit(decode);
    return decode;
  }
  void fit(Call& call) const override { set_c4_footprints(call, written_by_decode(call)); }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_c4(result, written_by_decode(call));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return c4_tolerances(call, written_by_decode(call), reference);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto row_bytes = 16.0 * static_cast<double>(call.tensor("ape").size(1));
    const auto entries = static_cast<double>(written_by_decode(call).entries.size());
    const auto requests = static_cast<double>(call.tensor("plan_d").size(0));
    // Each request's token is read, kept, and so the newest of its entry's window; the bias takes two rows.
    const double of_entries = entries * (kC4EntryRows - 0.5 + kC4EntryWidth) * row_bytes;
    return {.bytes = requests * (2 * row_bytes + sizeof(layout::DecodePlan)) + of_entries + 2 * row_bytes,
            .flops = entries * row_bytes / 16 * kC4ColumnFlops};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

std::vector<Scenario> CompressC4Decode::scenarios() const {
  std::vector<Scenario> list = c4_decode_sequences(*this);
  Contracts contracts(list);
  add_c4_state_contract(contracts);
  contracts.reshaped("plan_of_8_bytes", "a write plan in the place of the decode plan is refused", "plan_d",
                     [](Shape& s) { s[1] = 8; });
  list.push_back(far_relation("kv_buffer", "pages of the state beyond 2^32 elements",
                              at({"", "head_dim=512 ring=16 batch=5 len=253"}), [](Call& call) {
                                const auto far = spread_state(call);
                                Observation ignored;
                                auto plan = records_of<DecodePlan>(call.tensor("plan_d"), "plan_d", ignored);
                                for (DecodePlan& d : plan) {
                                  d.write_loc = far_state_row(far, d.write_loc);
                                  d.read_page_0 = far_state_page(far, d.read_page_0);
                                  d.read_page_1 = far_state_page(far, d.read_page_1);
                                }
                                call.arg("plan_d").tensor() = plan_tensor(plan);
                              }));
  return list;
}

DSV4_REGISTER_OP(CompressC4Decode);

}  // namespace
}  // namespace dsv4
