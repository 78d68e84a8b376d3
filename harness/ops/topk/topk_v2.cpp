/// topk_v2 selects the k positions with the best scores in each row, and maps them through the row's page table. The
/// selection is that of topk_v1. A plan (plan_topk_v2) divides the work: it does not change the result.
///
/// Upstream's kernel has several paths, which are chosen by the columns of the matrix, the rows, and the length of a
/// row. `len`, `batch`, `tail` and `threshold` reach each of them (path_of in topk_v2_paths.h).
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>

#include "harness/op/define.h"
#include "harness/ops/topk/score_fills.h"
#include "harness/ops/topk/selection.h"
#include "harness/ops/topk/topk_plan.h"
#include "harness/ops/topk/topk_v2_paths.h"
#include "harness/ops/topk/topk_v2_scenarios.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kWorkspaceInts = 2050;
/// The number of columns, and the distance of rows, are multiples of this number: upstream copies 16 bytes at a time.
constexpr std::int64_t kAlignedScores = 4;

std::int64_t columns_of(const Params& p) {
  const std::int64_t len = p.integer("len");
  return (len + kAlignedScores - 1) / kAlignedScores * kAlignedScores + p.integer("tail");
}

class TopKV2 final : public Op {
 public:
  TopKV2()
      : Op({
            .name = "topk_v2",
            .family = "topk",
            .summary =
                "the k best-scored positions of each row, mapped through its page table, with a plan of long rows",
            .upstream = "topk_transform_512_v2, _jit_topk_v2_module",
            .space = {word("k", {"512", "1024"}, "positions to select"),
                      number("batch", 1, 1 << 16, "rows",
                             {.usual = 1, .quick = {1, 2, 5}, .full = {1, 3}, .soak = {15, 16, 17, 31}}),
                      number("len", 0, kLongestRow, "scores of a row of full length",
                             {.usual = 2048,
                              .quick = {1, 511, 512, 513, 1023, 1024, 1025, 2048, 4099},
                              .full = {8191, 8193, 16383, 16384, 16385, 32767, 32768, 32769},
                              .soak = {0, 4096, 40001, 65537}}),
                      number("page", 1, 256, "positions per page, a power of two",
                             {.usual = 64, .both = {1, 2, 64, 256}, .soak = {4, 8, 16, 32, 128}}),
                      number("tail", 0, 64,
                             "columns of garbage after the scores, and as many between rows; a multiple of 4",
                             {.both = {0, 4, 12}, .soak = {64}}),
                      number("threshold", 0, std::numeric_limits<std::uint32_t>::max(),
                             "the threshold that the caller gives the planner; 0: it follows from the lengths",
                             {.both = {0, 40000, 262144}}),
                      word(
                          "lens", {"full", "mixed"},
                          "lengths of the rows: full, around every edge, a sixteenth of full, or one long row of eight",
                          {"sixteenth", "few"}),
                      word("fill", score_fills(1).names(), "distribution of the scores")},
            .signature = {{in("scores", {kF32}, "rows? columns", {.gaps = true}),
                           in("seq_lens", {kI32}, "rows:count",
                              {.called = "lengths", .index = Index{.limit = "columns", .count = true}}),
                           in("page_table", {kI32}, "rows pages", {.called = "table", .gap_of = "tail"}),
                           out("page_indices", {kI32}, "rows k!:width", {.called = "output"}), integer("page_size"),
                           workspace("workspace", {kI32}, "rows 2050:width", {.gap_of = "tail"}),
                           in("metadata", {kI32}, "entries? 4:ints")},
                          "rows"},
            .smoke = {"batch=3 tail=4", "k=1024 batch=4 len=17003 lens=mixed fill=ties",
                      "batch=17 len=32769 tail=4 lens=few",
                      "k=1024 batch=16 len=32770 page=1 threshold=262144 lens=few fill=plateau"},
            .quick =
                joined({{"cover"},
                        // The last length of the kernel for short rows, and the first one of each other path.
                        each(each({"len={} fill={}"}, {"16383", "16384", "16385", "20003"}),
                             {"gauss", "last_best", "plateau", "signed_zeros", "cluster"}),
                        each(each({"batch=16 len={} lens=few fill={}"}, {"16385", "32768", "32769"}),
                             {"gauss", "last_best", "plateau", "signed_zeros", "cluster"}),
                        each({"k=1024 batch=16 len=40001 threshold=262144 lens=few fill={}"},
                             {"gauss", "last_best", "plateau", "signed_zeros", "cluster", "ties"}),
                        // Ties in the bin of the k-th best score: as many as upstream's buffer takes, and one more.
                        each(each({"k={} len={} fill=equal"}, {"512", "1024"}), {"1024", "1025", "1026"}),
                        // The threshold follows from the lengths of more than 30 rows.
                        {"batch=40 len=41000 lens=few", "batch=24 len=33000 tail=4 lens=mixed",
                         "len=16384 tail=4 fill=many_inf", "k=1024 len=262144 fill=last_best"}}),
            .full =
                joined({{"cover"},
                        each(each({"k=1024 len={} fill={}"}, {"131072", "262141", "262143", "262144"}),
                             {"gauss", "last_best", "cluster"}),
                        each(each({"batch={} len={} lens=mixed"}, {"15", "16", "17", "30", "31"}), {"32769", "40003"}),
                        // More items than clusters.
                        {"batch=20 len=32769", "batch=33 len=33001", "batch=32769 len=520 lens=mixed"}}),
            .bench = {"batch=64 len=131072", "k=1024 batch=64 len=131072", "batch=64 len=32768",
                      "batch=64 len=131072 lens=sixteenth", "len=262144", "batch=1024 len=8192",
                      "batch=4096 len=16384"},
            .host_note = "the order of atomics on a GPU; on a CPU the schedule seed varies this order",
        }) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (!std::has_single_bit(static_cast<std::uint64_t>(p.integer("page")))) return "page must be a power of two";
    if (p.integer("tail") % kAlignedScores != 0) return "tail must be a multiple of 4";
    return std::nullopt;
  }
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("batch") * std::max(p.integer("len"), p.integer("k")) <= 1 << 26) return std::nullopt;
    return "this case would take too long: batch times len and batch times k must be at most 2^26";
  }
  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    std::vector<std::string> names;
    // A row of at most k scores gives all its positions in order, whatever the scores are.
    if (p.integer("len") <= p.integer("k")) names.emplace_back("fill");
    // The first of the mixed lengths is the full length, so a single row has the same length in both cases.
    if (p.integer("batch") == 1 && (p.is("lens", "full") || p.is("lens", "mixed"))) names.emplace_back("lens");
    if (p.integer("batch") <= kMostUnplanned || p.integer("len") <= plans::kTopkSteps.front().threshold)
      names.emplace_back("threshold");
    return names;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t k = p.integer("k"), batch = p.integer("batch"), tail = p.integer("tail");
    const std::int64_t columns = columns_of(p);
    const std::int64_t pages = (p.integer("len") + p.integer("page") - 1) / p.integer("page");
    Call call = allocate(c, {{"k", k}, {"rows", batch}, {"columns", columns}, {"pages", pages}, {"entries", batch + 1}},
                         Params().set("k", k));
    call.arg("scores").value = HostTensor::with_gaps(kF32, {batch, columns}, tail);
    const Fills fills = score_fills(k);
    std::vector<std::int64_t> lengths;
    for (std::int64_t row = 0; row < batch; ++row) {
      // Each row has its own random stream, so that its data do not depend on other rows (batch_permutation) or on
      // the tail.
      Random random(c.seed, fmt::format("row {}", row));
      const std::int64_t n = length_of(p, random, row);
      lengths.push_back(n);
      fill_row(call, row, n, fills, p.text("fill"), random);
    }
    call.arg("seq_lens").value = numbers(lengths, kI32);
    call.arg("page_size").value = p.integer("page");
    call.arg("metadata").value = make_topk_plan(lengths, p.integer("threshold"));
    return call;
  }

  /// Makes a plan of the rows that the call has now. Any threshold is legal, so the old one is kept.
  void fit(Call& call) const override {
    HostTensor& plan = call.arg("metadata").tensor();
    const std::int64_t threshold =
        written_entries(plan) == 0 ? 0 : static_cast<std::uint32_t>(plan.at<std::int32_t>(0, 0));
    plan = make_topk_plan(numbers_of(call, "seq_lens"), threshold);
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_selection(call, result, [&call](std::int64_t row) { return bin_bits(path_of(call, row)); });
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call&, const CallResult&, const Observation&,
                                      Caller&) const override {
    return {{"positions",
             Tolerance::exact("the selected positions are exact; those that tie with the k-th best are masked")},
            {"scores", Tolerance::exact("the k best scores are exact, as a multiset")}};
  }

  /// The largest element fact of each name.
  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    Facts largest;
    for (const auto& [name, values] : row_facts(call))
      largest[name] = values.empty() ? 0 : *std::ranges::max_element(values);
    return largest;
  }

  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override {
    ElementFacts facts;
    for (const auto& [name, values] : row_facts(call)) facts.emplace(name, numbers(values));
    return facts;
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    const std::int64_t len = c.params.integer("len");
    const bool no_score = len == 0 || (len < 16 && c.params.is("lens", "sixteenth"));
    return no_score || may_select_equal_scores(c.params.text("fill"));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    std::int64_t elements = call.tensor("page_indices").numel();
    for (std::int64_t row = 0; row < call.tensor("scores").size(0); ++row) elements += std::ssize(scores_of(call, row));
    return {.bytes = 4.0 * static_cast<double>(elements)};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return topk_v2_scenarios(*this); }
  [[nodiscard]] std::vector<Pair> pairs() const override { return topk_v2_pairs(*this); }

 private:
  static std::int64_t length_of(const Params& p, Random& random, std::int64_t row) {
    const std::int64_t k = p.integer("k"), len = p.integer("len");
    if (p.is("lens", "full")) return len;
    if (p.is("lens", "sixteenth")) return len / 16;
    if (p.is("lens", "few") && row % 8 == 1) return len;
    if (p.is("lens", "few")) return std::min(len, random.between(0, 2 * k));
    const std::vector<std::int64_t> edges{len,   k + 1, 0,     k,    len - 1, 1, k - 1, random.between(0, len),
                                          16384, 16385, 32768, 32769};
    return std::clamp<std::int64_t>(edges[static_cast<std::size_t>(row) % edges.size()], 0, len);
  }
};

DSV4_REGISTER_OP(TopKV2);

}  // namespace
}  // namespace dsv4
