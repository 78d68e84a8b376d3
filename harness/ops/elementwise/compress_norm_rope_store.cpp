/// compress_norm_rope_store: normalises compressed entries, rotates their last 64 elements, and stores them in a paged
/// cache, at the slots that a plan names.
///
/// In the FlashMLA layout, the row of an entry is treated as a key in k_norm_rope_flashmla. But it is a row of floats,
/// and its quantised elements are rounded to bfloat16 before. sglang 0.5.12 does not round them (the variant
/// unrounded_codes). In the layouts of the indexer, the row goes through the Hadamard transform before it is quantised.
#include <algorithm>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/attn/cache_scenarios.h"
#include "harness/ops/elementwise/angle_scenarios.h"
#include "harness/ops/elementwise/compress_norm_rope_store_scenarios.h"
#include "harness/ops/elementwise/entry_plans.h"
#include "harness/ops/elementwise/norm_rows.h"
#include "harness/ops/elementwise/stored_keys.h"
#include "interface/compress_plan.h"

namespace dsv4 {
namespace {

class CompressNormRopeStore final : public Op {
 public:
  CompressNormRopeStore()
      : Op({
            .name = "compress_norm_rope_store",
            .family = "elementwise",
            .summary = "normalise and rotate compressed entries, quantise them and store them in a paged cache",
            .upstream = "compress_norm_rope_store, _jit_compress_norm_rope_module",
            .space = {word("layout", {"flashmla", "indexer", "indexer_fp4"}, "layout of the cache"),
                      word("plan", {"extend", "decode"}, "kind of the plan"),
                      word("ratio", {"4", "128"}, "tokens per entry"), word("page", {"64", "2"}, "slots per page"),
                      number("records", 0, 1 << 15, "records of the plan",
                             {.usual = 5, .quick = {1, 2, 3, 4, 5, 7, 8, 9}, .full = {33, 129, 257}}),
                      number("more", 0, 1 << 15, "tokens of a batch to extend beyond the number of records",
                             {.both = {0, 3, 40}}),
                      unused_records(),
                      number("table", 1, 1 << 17, "positions in the angle table",
                             {.usual = 300, .quick = {1, 2, 300}, .full = {300, 4099}, .soak = {65537}}),
                      word("angles", angle_tables(), "points of the unit circle, quarter turns, or any numbers"),
                      word("at", position_places(), "which positions the entries have"), eps_values(),
                      number("spare", 0, 64, "pages beyond what the entries need", {.usual = 1, .both = {0, 1, 2}}),
                      word("order", slot_orders(), "order of the slots"),
                      word("weight", key_weight_fills().names(), "distribution of the weights"),
                      word("fill", norm_row_fill_names(), "distribution of the entries")},
            .signature = {{in("input", {kF32}, "records dim!"), in("plan", {kU8}, "records 16:bytes"),
                           in("weight", {kF32}, "dim!"), real("eps"),
                           in("freqs_cis", {kF32}, "table 64:dim", {.called = "angles"}),
                           in("out_loc", {kI32}, "tokens?", {.index = Index{.limit = "pages*page"}}),
                           inout("kvcache", {kU8}, "pages bytes?"), truth("is_decode"), integer("compress_ratio")},
                          "records"},
            .smoke =
                {"", "plan=decode ratio=128 page=2 records=7 unused=some eps=0 order=edges weight=midpoints fill=signs",
                 "plan=decode records=9 unused=ends at=last eps=1e-2 weight=gauss fill=small",
                 "ratio=128 page=2 records=8 more=3 unused=some weight=gauss",
                 "layout=indexer plan=decode records=9 unused=some weight=gauss",
                 "layout=indexer_fp4 page=2 records=7 more=3 unused=some weight=gauss fill=integers"},
            .quick = {"cover"},
            .full = {"cover", "records=1025 more=3000 table=65537 weight=gauss",
                     "layout=indexer records=1025 more=3000 table=4099 weight=gauss",
                     "layout=indexer_fp4 plan=decode records=1025 unused=some table=4099 weight=gauss",
                     "plan=decode records=1500 unused=some eps=0 weight=scale_edges fill=signs"},
            .bench = {"plan=decode records=256 unused=some table=65536 weight=gauss",
                      "plan=decode ratio=128 page=2 records=256 table=65536 weight=gauss",
                      "records=1024 more=3072 table=65536 weight=gauss",
                      "layout=indexer records=1024 more=3072 table=65536 weight=gauss",
                      "layout=indexer_fp4 records=1024 more=3072 table=65536 weight=gauss"},
            .host_note = "the error of rsqrtf, and which products nvcc fuses",
        }) {}

  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    std::vector<std::string> names;
    if (p.is("plan", "decode")) names.emplace_back("more");
    if (used_records(p).empty()) {
      for (const char* name : {"angles", "at", "table", "eps", "order", "weight", "fill"}) names.emplace_back(name);
    } else if (has_trivial_rows(p)) {
      for (const char* name : {"angles", "at", "table", "eps", "weight"}) names.emplace_back(name);
    } else if (p.is("weight", "zeros")) {
      for (const char* name : {"angles", "at", "table", "eps", "fill"}) names.emplace_back(name);
    } else {
      Params groups = p;
      if (p.integer("table") <= p.integer("ratio")) groups.set("table", 1);  // only position 0 is used
      for (std::string& name : idle_angles(groups)) names.push_back(std::move(name));
    }
    return names;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const CacheGeometry g(p);
    const std::vector<std::int64_t> used = used_records(p);
    const std::int64_t records = p.integer("records"), used_count = std::ssize(used);
    const std::int64_t tokens = records + (p.is("plan", "decode") ? 0 : p.integer("more"));
    const std::int64_t pages =
        std::max<std::int64_t>((used_count + g.page_size - 1) / g.page_size + p.integer("spare"), 1);
    const Params compile = Params().set("layout", p.text("layout")).set("page", p.text("page"));
    Call call =
        allocate(c, {{"dim", g.dim()}, {"tokens", tokens}, {"pages", pages}, {"bytes", g.page_bytes()}}, compile);

    const HostTensor table = angle_table(p.text("angles"), p.integer("table"), c.seed);
    const std::vector<std::int64_t> positions = entry_positions(p, c.seed);
    HostTensor& input = call.arg("input").tensor();
    Random random(c.seed, "input");
    for (std::int64_t i = 0; i < records; ++i) {
      const float* const angles = &table.at<float>(positions[static_cast<std::size_t>(i)], 0);
      norm_row_fills(angles).apply(p.text("fill"), random, Elements(input, i * g.dim(), g.dim()));
    }
    HostTensor& weight = call.arg("weight").tensor();
    Random weight_random(c.seed, "weight");
    for (std::int64_t d = 0; d < g.dim(); d += g.group())
      key_weight_fills().apply(p.text("weight"), weight_random, Elements(weight, d, g.group()));

    const std::vector<std::int64_t> token = tokens_of_records(c, used, tokens);
    call.arg("plan").tensor() = entry_plan(p, positions, token, c.seed);
    call.arg("out_loc").tensor() = numbers(slots_of_tokens(c, used, token, tokens, pages * g.page_size), kI32);
    call.arg("freqs_cis").tensor() = table;
    call.arg("eps").value = eps_of(p);
    call.arg("is_decode").value = p.is("plan", "decode");
    call.arg("compress_ratio").value = p.integer("ratio");
    poison(call.arg("kvcache").tensor());
    fit(call);
    return call;
  }
  /// The call may write to the slots of the entries.
  void fit(Call& call) const override {
    Arg& cache = call.arg("kvcache");
    cache.footprint = footprint(CacheGeometry(call.compile, cache.tensor()), cache.tensor(), entry_slots(call));
  }
  [[nodiscard]] std::vector<std::int64_t> indices_of(const Call& call, const std::string& /*argument*/,
                                                     std::int64_t row) const override {
    const std::int64_t token = entry_tokens(call).at(static_cast<std::size_t>(row));
    return token < 0 ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{token};
  }

  /// The contents of the slot of each record; zeros for a record without an entry.
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return entries_in(call, result.tensor("kvcache"));
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult& got, const Observation&,
                                      Caller& reference) const override {
    return key_tolerances(call, got, reference, [&](const HostTensor& cache) { return entries_in(call, cache); });
  }

  /// `unrounded_codes`: the elements are quantised without a rounding to bfloat16 before.
  [[nodiscard]] std::optional<Alternative> variant(const std::string& name, const Case& c, const Call& given,
                                                   Caller& reference) const override {
    if (name != "unrounded_codes" || !c.params.is("layout", "flashmla")) return std::nullopt;
    if (reference.call(given).refusal) return std::nullopt;
    const Call call = with_near_pages(given, "kvcache", "out_loc");
    const KeyIntervals ends = key_intervals(call, reference, "unrounded_interval",
                                            [&](const HostTensor& cache) { return entries_in(call, cache); });
    Alternative other;
    for (const char* output : {"codes", "scales"}) {
      other.outputs.push_back({output, ends.low.output(output)});
      other.tolerances[output] = Tolerance::between(ends.low.output(output), ends.high.output(output),
                                                    "the same errors, without the rounding to bfloat16");
    }
    return other;
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return used_records(c.params).empty() || has_trivial_rows(c.params) || c.params.is("weight", "zeros");
  }

  [[nodiscard]] Cost cost(const Case& c, const Call& call) const override {
    const CacheGeometry g(c.params);
    const auto entries = static_cast<double>(used_records(c.params).size());
    const auto bytes = static_cast<double>(g.dim() * 4 + g.data_bytes() + g.scale_bytes() + kRotaryDim * 4 + 4);
    return {.bytes = entries * bytes + static_cast<double>(call.tensor("plan").storage.size()),
            .flops = entries * static_cast<double>(g.dim()) * 5.0};
  }

  /// `empty_request`: 1 for a record of length 0 in a decode plan.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    std::vector<std::int64_t> empty;
    for (const auto& record : records_of<layout::DecodePlan>(call.tensor("plan")))
      empty.push_back(flag_of(call, "is_decode") && record.seq_len == 0 ? 1 : 0);
    return {{"empty_request", numbers(empty)}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return compress_norm_rope_store_scenarios(*this); }
  [[nodiscard]] std::vector<Pair> pairs() const override { return compress_norm_rope_store_pairs(*this); }

 private:
  static Observation entries_in(const Call& call, const HostTensor& cache) {
    return stored_keys(CacheGeometry(call.compile, cache), cache, entry_slots(call));
  }

  /// The token of each record; -1 if it has no entry. Tokens of a plan to extend are in random order. A record has its
  /// token as a number of 16 bits.
  static std::vector<std::int64_t> tokens_of_records(const Case& c, const std::vector<std::int64_t>& used,
                                                     std::int64_t tokens) {
    std::vector<std::int64_t> token(static_cast<std::size_t>(c.params.integer("records")), -1);
    const auto order = Random(c.seed, "tokens").permutation(tokens);
    for (std::size_t n = 0; n < used.size(); ++n)
      token[static_cast<std::size_t>(used[n])] = c.params.is("plan", "decode") ? used[n] : order[n];
    return token;
  }

  /// The slot of each token. The other tokens have slots that no entry has, if there are such slots.
  static std::vector<std::int64_t> slots_of_tokens(const Case& c, const std::vector<std::int64_t>& used,
                                                   const std::vector<std::int64_t>& token, std::int64_t tokens,
                                                   std::int64_t capacity) {
    Params all = c.params;
    Random random(c.seed, "out_loc");
    const std::vector<std::int64_t> own = slots_of(all.set("tokens", std::ssize(used)), capacity, random);
    std::vector<std::int64_t> free;
    for (std::int64_t slot = 0; slot < capacity; ++slot) {
      if (std::ranges::find(own, slot) == own.end()) free.push_back(slot);
    }
    if (free.empty()) free.push_back(0);
    std::vector<std::int64_t> slots;
    for (std::int64_t t = 0; t < tokens; ++t)
      slots.push_back(free[static_cast<std::size_t>(random.below(std::ssize(free)))]);
    for (std::size_t n = 0; n < used.size(); ++n)
      slots[static_cast<std::size_t>(token[static_cast<std::size_t>(used[n])])] = own[n];
    return slots;
  }
};

DSV4_REGISTER_OP(CompressNormRopeStore);

}  // namespace
}  // namespace dsv4
