/// compress_c4_decode: each request's newest token is kept in the state; where it completes a group of four, its entry
/// is computed from there.
///
/// Entries are judged by the error bound that the reference computes beside each value; kept rows are copies, to the
/// bit. What is not live in the state is NaN, so that a read too many shows.
#include <fmt/format.h>

#include "harness/case/covering.h"
#include "harness/op/far.h"
#include "harness/op/op.h"
#include "harness/op/rows.h"
#include "harness/ops/compress/c4_contracts.h"
#include "harness/ops/compress/c4_data.h"
#include "harness/ops/compress/c4_sequences.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_model.h"

namespace dsv4 {
namespace {

using layout::DecodePlan;

Params point(std::int64_t head_dim, std::int64_t ring, const char* fill, std::int64_t batch, std::int64_t len,
             const char* spread) {
  return Params()
      .set("head_dim", head_dim)
      .set("ring", ring)
      .set("fill", fill)
      .set("batch", batch)
      .set("len", len)
      .set("spread", spread);
}

/// A row of the plan is a request's, each keeps its token, and those at a multiple of four write an entry there.
C4Written written_by(const Call& call) {
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
      : Op([] {
          OpInfo info{
              .name = "compress_c4_decode",
              .family = "compress",
              .summary = "keeps each request's newest token, and compresses the group of ratio 4 that it completes",
              .upstream = "compress_forward, ratio 4, decode",
              .abis = {"compress_c4_decode/1"},
              .space = {ParamSpec::choice("head_dim", {"128", "512"}, "columns of an entry"),
                        ParamSpec::choice("ring", {"8", "16"}, "state rows per cache page"),
                        ParamSpec::choice("fill", c4_fills(), "values of kv, scores and bias")},
              .host_note = "the fast exponential and division of the GPU"};
          for (ParamSpec& spec : decode_batch_params()) info.space.add(std::move(spec));
          return info;
        }()) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override { return reject_c4(p); }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point(128, 8, "gauss", 9, 1, "stagger"), point(512, 16, "gauss", 5, 253, "stagger"),
              point(128, 16, "equal", 12, 9, "stagger")};
    }
    std::vector<Params> all;
    if (tier == Tier::kQuick) {
      all = pairwise({integers("head_dim", {128, 512}), integers("ring", {8, 16}), words("fill", c4_fills()),
                      integers("batch", {1, 3, 4, 5, 9, 33}), integers("len", {4, 8, 16, 252, 256, 508}),
                      words("spread", {"same", "stagger", "random"})});
      all.push_back(point(128, 8, "gauss", 257, 1, "stagger"));
      all.push_back(point(512, 8, "gauss", 129, 1, "stagger"));
      return all;
    }
    for (const std::int64_t head_dim : {128, 512}) {
      for (const char* fill : {"gauss", "wide"}) {
        all.push_back(point(head_dim, 8, fill, 1024, 300, "random"));
        all.push_back(point(head_dim, 16, fill, 24, 1 << 12, "stagger"));
      }
      all.push_back(point(head_dim, 16, "large", 1, 1 << 18, "same"));
    }
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const Batch batch = make_batch(p, c.seed);
    const C4Tokens tokens(p, c.seed);
    const CacheMaps maps = make_maps(batch.request_ids, batch.seq_lens, pool_size(batch.size()), batch.longest(),
                                     kC4CachePage, p.integer("ring"), true, c.seed);
    const RowOf row = [&](std::int64_t id, std::int64_t position) { return maps.row(id, position); };
    HostTensor state = tokens.unwritten_state(maps.rows());
    std::vector<std::int64_t> before;
    for (const std::int64_t n : batch.seq_lens) before.push_back(n - 1);
    tokens.put_live(state, batch.request_ids, before, row);
    const HostTensor output = HostTensor::make(DType::kF32, {batch.size(), tokens.head_dim()});
    Call call{"compress_c4_decode",
              "",
              c4_compile(p),
              {inout("kv_buffer", state), in("kv_input", tokens.input(batch)), out("kv_output", output),
               in("ape", tokens.ape()), in("plan_d", plan_tensor(model_decode_plan(batch, 4, row)))}};
    set_c4_footprints(call, written_by(call));
    return call;
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_c4(result, written_by(call));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override {
    return c4_tolerances(call, written_by(call), reference);
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    const auto row_bytes = 16.0 * static_cast<double>(call.tensor("ape").size(1));
    const auto entries = static_cast<double>(written_by(call).entries.size());
    const auto requests = static_cast<double>(call.tensor("plan_d").size(0));
    // Each request's token is read, kept, and so the newest of its entry's window; the bias takes two rows.
    const double of_entries = entries * (kC4EntryRows - 0.5 + kC4EntryWidth) * row_bytes;
    return {.bytes = requests * (2 * row_bytes + sizeof(layout::DecodePlan)) + of_entries + 2 * row_bytes,
            .flops = entries * row_bytes / 16 * kC4ColumnFlops};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

std::vector<Scenario> CompressC4Decode::scenarios() const {
  std::vector<Scenario> list;
  Contracts contracts(list, only({point(128, 8, "gauss", 9, 1, "stagger")}));
  add_c4_contracts(contracts, {"plan_d"});
  contracts.reshaped("plan_rows", "one plan row per request", "plan_d", [](Shape& s) { --s[0]; });
  contracts.reshaped("plan_of_8_bytes", "a write plan in the place of the decode plan is refused", "plan_d",
                     [](Shape& s) { s[1] = 8; });
  contracts.edge("no_requests", "no requests: nothing to do, or a clean refusal", [](Call& call) {
    keep_rows(call, {"kv_input", "kv_output", "plan_d"}, {});
    set_c4_footprints(call, {});
  });
  list.push_back(far_relation(
      "kv_buffer", "pages of the state beyond 2^32 elements",
      only({point(128, 8, "gauss", 9, 1, "stagger"), point(512, 16, "gauss", 5, 253, "stagger")}), [](Call& call) {
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
  for (Scenario& s : c4_decode_sequences()) list.push_back(std::move(s));
  return list;
}

DSV4_REGISTER_OP(CompressC4Decode);

}  // namespace
}  // namespace dsv4
