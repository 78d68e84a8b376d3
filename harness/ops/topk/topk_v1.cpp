/// topk_v1 selects the k positions with the best scores in each row, and maps them through the row's page table.
///
/// The op does not promise an order of the selected positions. Positions whose scores equal the k-th best score are
/// interchangeable. So two things are compared exactly: the multiset of selected scores, and the positions whose scores
/// are above the k-th best.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "harness/op/define.h"
#include "harness/ops/topk/score_fills.h"
#include "harness/ops/topk/selection.h"
#include "harness/ops/topk/topk_v1_scenarios.h"

namespace dsv4 {
namespace {

class TopKV1 final : public Op {
 public:
  TopKV1()
      : Op({
            .name = "topk_v1",
            .family = "topk",
            .summary = "the k best-scored positions of each row, mapped through its page table",
            .upstream = "topk_transform_512, _jit_topk_v1_module, _jit_topk_module, _jit_topk1024_module",
            .space = {word("k", {"512", "1024"}, "positions to select"),
                      number("batch", 1, 32768, "rows",
                             {.usual = 1, .quick = {1, 2, 5}, .full = {1, 3}, .soak = {33, 132}}),
                      number("len", 0, 1 << 20, "scores of a row of full length",
                             {.usual = 2048,
                              .quick = {1, 511, 512, 513, 1023, 1024, 1025, 2048, 4099},
                              .full = {8191, 8192, 8193, 16385, 32767, 65536},
                              .soak = {0, 4096, 16384, 32769}}),
                      number("page", 1, 256, "positions per page, a power of two",
                             {.usual = 64, .both = {1, 2, 64, 256}, .soak = {4, 8, 16, 32, 128}}),
                      flag("raw", "whether the call also asks for the positions"),
                      number("tail", 0, 64, "columns of garbage after the scores, and as many between rows",
                             {.both = {0, 1, 5}, .soak = {64}}),
                      word("lens", {"full", "mixed"},
                           "lengths of the rows: full, around every edge, or a sixteenth of full", {"sixteenth"}),
                      word("fill", score_fills(1).names(), "distribution of the scores")},
            .signature = {{in("scores", {kF32}, "rows? columns", {.gaps = true}),
                           in("seq_lens", {kI32}, "rows:count",
                              {.called = "lengths", .index = Index{.limit = "columns", .count = true}}),
                           in("page_table", {kI32}, "rows pages", {.called = "table", .gap_of = "tail"}),
                           out("page_indices", {kI32}, "rows k!:width", {.called = "output"}), integer("page_size"),
                           out("raw_indices", {kI32}, "rows k", {.called = "raw", .optional = true})},
                          "rows"},
            .smoke = {"batch=3 raw=1 tail=5", "k=1024 batch=4 len=3000 lens=mixed fill=ties",
                      "len=8193 page=1 raw=1 tail=1 fill=equal", "len=2048 page=1 tail=1 fill=half_nan"},
            .quick = joined(
                {{"cover"},
                 // Rows whose scores are in one or two coarse bins. Their lengths are around and above the capacity of
                 // upstream's buffer.
                 each(each({"len={} raw=1 fill={}"}, {"8191", "8192", "8193", "16384"}), {"equal", "cluster", "tiny"}),
                 {"k=1024 batch=2 len=32769 tail=1 fill=uniform", "batch=33 len=1024 raw=1 lens=mixed",
                  // Short rows in a wide matrix.
                  "batch=9 len=9000 raw=1 lens=mixed", "batch=2 len=16384 lens=sixteenth",
                  // More positions than 16 bits can number.
                  "len=70000 raw=1 fill=last_best"}}),
            .full = joined({{"cover"},
                            each(each({"k=1024 len={} raw=1 fill={}"},
                                      {"65535", "65537", "131072", "262144", "262145", "1048576"}),
                                 {"gauss", "last_best", "cluster"}),
                            each({"batch={} len=1100 tail=4 lens=mixed"}, {"132", "1024"}),
                            // As many rows as a long prefill has. Some of these rows have more than k scores.
                            {"batch=32768 len=520 lens=mixed"}}),
            .bench = {"batch=64 len=131072", "k=1024 batch=64 len=131072", "batch=64 len=32768",
                      "batch=64 len=131072 lens=sixteenth", "len=262144", "batch=1024 len=8192",
                      "batch=4096 len=16384"},
            .host_note = "the order of atomics on a GPU; on a CPU the schedule seed varies this order",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (!std::has_single_bit(static_cast<std::uint64_t>(p.integer("page")))) return "page must be a power of two";
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("batch") * std::max(p.integer("len"), p.integer("k")) <= 1 << 25) return std::nullopt;
    return "this case would take too long: batch times len and batch times k must be at most 2^25";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    std::vector<std::string> names;
    // A row of at most k scores gives all its positions in order, whatever the scores are.
    if (p.integer("len") <= p.integer("k")) names.emplace_back("fill");
    // The first of the mixed lengths is the full length, so a single row has the same length in both cases.
    if (p.integer("batch") == 1 && !p.is("lens", "sixteenth")) names.emplace_back("lens");
    return names;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t k = p.integer("k"), batch = p.integer("batch"), tail = p.integer("tail");
    const std::int64_t columns = p.integer("len") + tail;
    const std::int64_t pages = (p.integer("len") + p.integer("page") - 1) / p.integer("page");
    Call call = allocate(c, {{"k", k}, {"rows", batch}, {"columns", columns}, {"pages", pages}}, Params().set("k", k));
    call.arg("scores").value = HostTensor::with_gaps(kF32, {batch, columns}, tail);
    const Fills fills = score_fills(k);
    for (std::int64_t row = 0; row < batch; ++row) {
      // Each row has its own random stream, so that its data do not depend on other rows (batch_permutation) or on
      // the tail.
      Random random(c.seed, fmt::format("row {}", row));
      const std::int64_t n = length_of(p, random, row);
      set_integer(call.arg("seq_lens").tensor(), row, n);
      fill_row(call, row, n, fills, p.text("fill"), random);
    }
    call.arg("page_size").value = p.integer("page");
    if (!p.flag("raw")) call.arg("raw_indices") = absent("raw_indices");
    return call;
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_selection(call, result);
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call&, const CallResult&, const Observation&,
                                      Caller&) const override {
    return {{"positions",
             Tolerance::exact("the selected positions are exact; those that tie with the k-th best are masked")},
            {"scores", Tolerance::exact("the k best scores are exact, as a multiset")}};
  }

  /// `threshold_bin` is the largest element fact of this name.
  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    const std::vector<std::int64_t> bins = threshold_bins(call);
    return {{"threshold_bin", bins.empty() ? 0 : *std::ranges::max_element(bins)}};
  }

  /// `threshold_bin`, for each row: the number of scores in the coarse bin of the k-th best score; 0 for a row of at
  /// most k scores.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    return {{"threshold_bin", numbers(threshold_bins(call))}};
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    const std::int64_t len = c.params.integer("len");
    const bool no_score = len == 0 || (len < 16 && c.params.is("lens", "sixteenth"));
    return no_score || may_select_equal_scores(c.params.text("fill"));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    std::int64_t elements = call.tensor("page_indices").numel() * (call.arg("raw_indices").is_tensor() ? 2 : 1);
    for (std::int64_t row = 0; row < call.tensor("scores").size(0); ++row) elements += std::ssize(scores_of(call, row));
    return {.bytes = 4.0 * static_cast<double>(elements)};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return topk_v1_scenarios(*this); }

 private:
  static std::vector<std::int64_t> threshold_bins(const Call& call) {
    const std::int64_t k = call.tensor("page_indices").size(1);
    std::vector<std::int64_t> bins;
    for (std::int64_t row = 0; row < call.tensor("scores").size(0); ++row) {
      const auto scores = scores_of(call, row);
      bins.push_back(std::ssize(scores) > k ? threshold_bin(scores, k).population : 0);
    }
    return bins;
  }
  static std::int64_t length_of(const Params& p, Random& random, std::int64_t row) {
    const std::int64_t k = p.integer("k"), len = p.integer("len");
    if (p.is("lens", "full")) return len;
    if (p.is("lens", "sixteenth")) return len / 16;
    const std::vector<std::int64_t> edges{len, k + 1, 0, k, len - 1, 1, k - 1, random.between(0, len)};
    return std::clamp<std::int64_t>(edges[static_cast<std::size_t>(row) % edges.size()], 0, len);
  }
};

DSV4_REGISTER_OP(TopKV1);

}  // namespace
}  // namespace dsv4
