/// compress_c4_decode writes the row of each request's newest token to the state. If the token completes a group of
/// four, the op computes the group's entry from the state.
#include "harness/op/define.h"
#include "harness/ops/compress/offline_op.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using layout::DecodePlan;

class CompressC4Decode final : public OfflineOp {
 public:
  CompressC4Decode()
      : OfflineOp({
            .name = "compress_c4_decode",
            .family = "compress",
            .summary = "keeps each request's newest token; if it completes a group of four, computes the group's entry",
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
            .full = each({"head_dim={} {}"}, {"128", "512"},
                         {"fill=gauss batch=1024 len=300 spread=random", "ring=16 fill=gauss batch=24 len=4096",
                          "fill=wide batch=1024 len=300 spread=random", "ring=16 fill=wide batch=24 len=4096",
                          "ring=16 fill=large batch=1 len=262144 spread=same"}),
            .bench = {"head_dim=512 batch=256 len=4097", "batch=256 len=4097"},
            .without = {{"relation:any_batch",
                         "the op writes the rows that the plan names, which are not rows of the batch"}},
            .host_note = "the fast exponential and division of the GPU",
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    const Batch batch = make_batch(c.params, c.seed);
    const CacheMaps maps = make_maps(batch, c.params, c.seed);
    const OfflineTokens tokens(c.params, c.seed);
    Call decode = tokens.call(c.op, tokens.state(maps, batch.request_ids, batch.prefixes()), tokens.input(batch),
                              {plan_tensor(plans::decode_records(requests_of(batch), 4, maps.row_of()))});
    fit(decode);
    return decode;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = OfflineOp::scenarios();
    Contracts(list).reshaped("plan_of_8_bytes", "a write plan in the place of the decode plan is refused", "plan_d",
                             [](Shape& s) { s[1] = 8; });
    list.push_back(offline_many_requests(*this));
    append(list, offline_decode_sequences(*this));
    return list;
  }
  [[nodiscard]] std::vector<Pair> pairs() const override {
    return offline_pairs({"plan_decode", "plan_decode_legacy"},
                         at({"batch=5 len=250", "head_dim=512 ring=16 batch=12 len=9"}, {"fill=equal batch=129"}));
  }

  /// Row b of the plan is for request b, whose token is kept. If the length is a multiple of four, the call also writes
  /// row b of kv_output. A request of length 0 has no token.
  [[nodiscard]] OfflineWritten written(const Call& call) const override {
    const auto plan = records_of<DecodePlan>(call.tensor("plan_d"));
    OfflineWritten rows;
    for (std::size_t b = 0; b < plan.size(); ++b) {
      if (plan[b].seq_len == 0) continue;
      if (plan[b].seq_len % 4 == 0) rows.entries.push_back(static_cast<std::int64_t>(b));
      rows.kept.push_back(plan[b].write_loc);
    }
    return rows;
  }
};

DSV4_REGISTER_OP(CompressC4Decode);

}  // namespace
}  // namespace dsv4
