/// compress_norm_rope_decode_v1: normalises and rotates the rows of the requests that complete a compressed entry, in
/// place. Its results have intervals, as those of norm_rope. But rows are floats, and nothing is rounded to bfloat16.
///
/// Upstream's function has three modes. This op has mode 1, with a length for each row. norm_rope has mode 2, and
/// compress_norm_rope_prefill_v1 has mode 0.
#include <algorithm>
#include <limits>

#include "harness/op/define.h"
#include "harness/ops/elementwise/compressed_rows.h"
#include "harness/ops/elementwise/entry_plans.h"

namespace dsv4 {
namespace {

class CompressNormRopeDecodeV1 final : public CompressedRowsOp {
 public:
  CompressNormRopeDecodeV1()
      : CompressedRowsOp(
            {
                .name = "compress_norm_rope_decode_v1",
                .family = "elementwise",
                .summary = "normalise and rotate the rows of requests that complete a compressed entry, in place (V1)",
                .upstream = "compress_fused_norm_rope_inplace, _jit_norm_rope_module",
                .bench = each({"head_dim={} records=512 unused=some table=65536 weight=gauss",
                               "head_dim={} records=2048 table=65536 weight=gauss"},
                              {"512", "128"}),
            },
            in("seq_lens", {kI32}, "requests?"), "requests", 1) {}

  /// Row b belongs to request b. It has an entry if the length is a positive multiple of the ratio.
  [[nodiscard]] std::vector<ChangedRow> changed(const Call& call) const override {
    const auto lengths = numbers_of(call, "seq_lens");
    const std::int64_t ratio = integer_of(call, "ratio");
    const std::int64_t requests = std::min<std::int64_t>(std::ssize(lengths), call.tensor("input").size(0));
    std::vector<ChangedRow> rows;
    for (std::int64_t b = 0; b < requests; ++b) {
      const std::int64_t length = lengths[static_cast<std::size_t>(b)];
      if (length > 0 && length % ratio == 0) rows.push_back({b, b, length - ratio});
    }
    return rows;
  }

  /// Also `empty_request`: 1 for the row of a request of length 0.
  [[nodiscard]] ElementFacts element_facts(const Case& c, const Call& call) const override {
    ElementFacts facts = CompressedRowsOp::element_facts(c, call);
    std::vector<std::int64_t> empty;
    for (const std::int64_t length : numbers_of(call, "seq_lens")) empty.push_back(length == 0 ? 1 : 0);
    empty.resize(static_cast<std::size_t>(call.tensor("input").size(0)), 0);
    facts["empty_request"] = numbers(empty);
    return facts;
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list = CompressedRowsOp::scenarios();
    list.push_back({Scenario::Kind::kContract, "seq_lens_outside",
                    "a length that is not positive, or whose position is outside the table, changes the row of its "
                    "request only",
                    at({info().smoke[0], info().smoke[1]}), [this](ScenarioContext& x) { try_lengths(x); }});
    Contracts contracts(list);  // the first smoke point: 6 rows, and 6 requests of which 1 and 4 have no entry
    contracts.refused("seq_lens_more", "more requests than rows are refused", "seq_lens", [](Call& call) {
      call.arg("seq_lens").tensor() = numbers({4, 8, 4, 8, 4, 8, 4}, kI32);
    });
    contracts.edge("padded_decode", "rows of requests of length 0, which pad a decode batch, are not changed",
                   [this](Call& call) {
                     for (const std::int64_t request : {0, 3}) set_integer(call.arg("seq_lens").tensor(), request, 0);
                     fit(call);
                   });
    return list;
  }

 private:
  void try_lengths(ScenarioContext& x) const {
    const Call good = make(x.c);
    const auto usual = observed_once(x, good);
    const std::vector<ChangedRow> rows = changed(good);
    const std::int64_t ratio = integer_of(good, "ratio"), table = good.tensor("freqs_cis").size(0);
    const std::int64_t first_outside = (table + ratio - 1) / ratio * ratio;  // a position
    std::size_t turn = 0;
    for (const std::int64_t length :
         {std::int64_t{0}, std::int64_t{-1}, -ratio, std::int64_t{std::numeric_limits<std::int32_t>::min()},
          first_outside + ratio, std::int64_t{1} << 30, std::int64_t{std::numeric_limits<std::int32_t>::max()}}) {
      const std::int64_t request = rows[turn++ % rows.size()].row;
      Call bad = good;
      set_integer(bad.arg("seq_lens").tensor(), request, length);
      try_record(x, fmt::format("request {} has length {}", request, length), bad, good, usual, request);
    }
  }

  [[nodiscard]] HostTensor records(const Case& c, const std::vector<std::int64_t>& positions) const override {
    const std::vector<std::int64_t> used = used_records(c.params);
    const std::int64_t ratio = c.params.integer("ratio");
    Random random(c.seed, "seq_lens");
    std::vector<std::int64_t> lengths;
    for (const std::int64_t position : positions) {
      const bool has_entry = std::ranges::count(used, std::ssize(lengths)) != 0;
      lengths.push_back(position + (has_entry ? ratio : random.between(1, ratio - 1)));
    }
    return numbers(lengths, kI32);
  }

  void set_position(HostTensor& lengths, std::int64_t i, std::int64_t position, std::int64_t ratio) const override {
    set_integer(lengths, i, position + ratio);
  }

  /// A request of length 1 has no entry.
  [[nodiscard]] HostTensor spread(const HostTensor& lengths, const std::vector<std::int64_t>& places,
                                  std::int64_t count) const override {
    std::vector<std::int64_t> many(static_cast<std::size_t>(count), 1);
    for (std::size_t i = 0; i < places.size(); ++i)
      many.at(static_cast<std::size_t>(places[i])) = integer_at(lengths, static_cast<std::int64_t>(i));
    return numbers(many, kI32);
  }

  void keep(Call& call, const std::vector<std::int64_t>& rows) const override {
    keep_rows(call, {"input", "seq_lens"}, rows);
  }
};

DSV4_REGISTER_OP(CompressNormRopeDecodeV1);

}  // namespace
}  // namespace dsv4
