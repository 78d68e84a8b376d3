/// topk_v1: the k best-scored positions of each row, mapped through the row's page table.
///
/// The op promises a set, not an order, and equal scores at the cut are interchangeable. So what is compared is the
/// multiset of selected scores, and the positions of those that no tie leaves open; exactly.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "harness/case/covering.h"
#include "harness/core/poison.h"
#include "harness/generate/random.h"
#include "harness/op/op.h"
#include "harness/ops/topk/score_fills.h"
#include "harness/ops/topk/selection.h"
#include "harness/ops/topk/topk_v1_scenarios.h"

namespace dsv4 {
namespace {

class TopKV1 final : public Op {
 public:
  TopKV1()
      : Op({.name = "topk_v1",
            .family = "topk",
            .summary = "the k best-scored positions of each row, mapped through its page table",
            .upstream = "topk_transform_512",
            .abis = {"topk_v1/1"},
            .space = {ParamSpec::choice("k", {"512", "1024"}, "positions to select"),
                      ParamSpec::integer("batch", 1, 32768, "rows", {1, 2, 3, 5, 33, 132}),
                      ParamSpec::integer(
                          "len", 0, 1 << 20, "scores of the longest row",
                          {0, 1, 511, 512, 513, 1023, 1024, 1025, 2048, 4096, 8191, 8192, 8193, 16384, 32769}),
                      ParamSpec::choice("page", {"1", "2", "4", "8", "16", "32", "64", "128", "256"},
                                        "positions per page"),
                      ParamSpec::choice("raw", {"0", "1"}, "whether the positions themselves are asked for too"),
                      ParamSpec::integer("tail", 0, 64, "columns of garbage after the scores, and again between rows",
                                         {0, 1, 5, 64}),
                      ParamSpec::choice("lens", {"full", "mixed"},
                                        "all rows of full length, or lengths around every edge"),
                      ParamSpec::choice("fill", score_fills(), "distribution of the scores")},
            .host_note = "the real order of atomics; the schedule seed varies the latter"}) {}

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    const std::int64_t width = std::max(p.integer("len"), p.integer("k"));
    if (p.integer("batch") * width > 1 << 25)
      return "batch times len, or times k, must be at most 2^25: larger cases try patience, not kernels";
    return std::nullopt;
  }

  [[nodiscard]] std::vector<Params> points(Tier tier) const override {
    if (tier == Tier::kSmoke) {
      return {point(512, 3, 2048, 64, 1, 5, "full", "gauss"), point(1024, 4, 3000, 64, 0, 0, "mixed", "ties"),
              point(512, 1, 8193, 1, 1, 1, "full", "equal")};
    }
    std::vector<Params> all;
    const auto axes = [](std::vector<std::int64_t> batch, std::vector<std::int64_t> len) {
      return std::vector<Axis>{axis("k", {512, 1024}),
                               axis("batch", batch),
                               axis("len", len),
                               axis("page", {1, 2, 64, 256}),
                               axis("raw", {0, 1}),
                               axis("tail", {0, 1, 5}),
                               axis("lens", {std::string("full"), "mixed"}),
                               axis("fill", score_fills())};
    };
    if (tier == Tier::kQuick) {
      all = pairwise(axes({1, 2, 5}, {1, 511, 512, 513, 1023, 1024, 1025, 2048, 4099}));
      // Around the capacity of upstream's stash, and above it: whole rows in one coarse bin.
      for (const std::int64_t len : {8191, 8192, 8193, 16384}) {
        for (const char* fill : {"equal", "cluster", "tiny"}) all.push_back(point(512, 1, len, 64, 1, 0, "full", fill));
      }
      all.push_back(point(1024, 2, 32769, 64, 0, 1, "full", "uniform"));
      all.push_back(point(512, 33, 1024, 64, 1, 0, "mixed", "gauss"));
      all.push_back(point(512, 9, 9000, 64, 1, 0, "mixed", "gauss"));  // short rows in a wide matrix
      return all;
    }
    all = pairwise(axes({1, 3}, {8191, 8192, 8193, 16385, 32767, 65536}));
    for (const std::int64_t len : {65535, 65537, 131072, 262144, 262145, 1048576}) {
      for (const char* fill : {"gauss", "last_best", "cluster"})
        all.push_back(point(1024, 1, len, 64, 1, 0, "full", fill));
    }
    for (const std::int64_t batch : {132, 1024}) all.push_back(point(512, batch, 1100, 64, 0, 4, "mixed", "gauss"));
    // As many rows as a long prefill has, some of which select.
    all.push_back(point(512, 32768, 520, 64, 0, 0, "mixed", "gauss"));
    return all;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t k = p.integer("k"), batch = p.integer("batch"), len = p.integer("len");
    const std::int64_t tail = p.integer("tail"), page_size = p.integer("page");
    const std::int64_t columns = len + tail;
    HostTensor scores =
        HostTensor::strided(DType::kF32, {batch, columns}, {columns + tail, 1}, 0, batch * (columns + tail));
    HostTensor lengths = HostTensor::make(DType::kI32, {batch});
    const std::int64_t pages = (len + page_size - 1) / page_size;
    HostTensor table = HostTensor::strided(DType::kI32, {batch, pages}, {pages + tail, 1}, 0, batch * (pages + tail));
    poison(table);
    for (std::int64_t row = 0; row < batch; ++row) {
      // A stream per row, so that a row does not depend on the others (batch permutation) nor on the tail.
      Random random(c.seed, fmt::format("row {}", row));
      const std::int64_t n = p.is("lens", "full") ? len : mixed_length(random, row, k, len);
      lengths.at<std::int32_t>(row) = static_cast<std::int32_t>(n);
      std::vector<float> values(static_cast<std::size_t>(n));
      fill_scores(p.text("fill"), k, random, values);
      for (std::int64_t i = 0; i < columns; ++i) {
        // Past the length lies what would win if it were looked at.
        const float garbage =
            i % 2 == 0 ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
        scores.at<float>(row, i) = i < n ? values[static_cast<std::size_t>(i)] : garbage;
      }
      const std::int64_t first_page = random.below(1 << 20);
      const auto order = random.permutation(pages);
      for (std::int64_t i = 0; i < pages; ++i)
        table.at<std::int32_t>(row, i) = static_cast<std::int32_t>(first_page + order[i]);
    }
    const Shape selected{batch, k};
    return {"topk_v1",
            "",
            Params().set("k", k),
            {in("scores", std::move(scores)), in("seq_lens", std::move(lengths)), in("page_table", std::move(table)),
             out("page_indices", HostTensor::make(DType::kI32, selected)), scalar("page_size", page_size),
             p.flag("raw") ? out("raw_indices", HostTensor::make(DType::kI32, selected)) : absent("raw_indices")}};
  }

  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_selection(call, result);
  }

  [[nodiscard]] Tolerances tolerances(const Case&, const Call&, const CallResult&, const Observation&,
                                      Caller&) const override {
    return {{"positions", Tolerance::exact("which positions are selected is exact; ties at the cut are masked")},
            {"scores", Tolerance::exact("the k best scores are exact, as a multiset")}};
  }

  /// `threshold_bin`: the greatest number of scores that share the coarse bin of the cut, over the rows that select.
  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    const std::int64_t k = call.tensor("page_indices").size(1);
    std::int64_t most = 0;
    for (std::int64_t row = 0; row < call.tensor("scores").size(0); ++row) {
      const auto scores = scores_of(call, row);
      if (std::ssize(scores) > k) most = std::max(most, threshold_bin(scores, k).population);
    }
    return {{"threshold_bin", most}};
  }

  /// Where all selected scores may be equal, all compared values are the same; that the positions are distinct, in
  /// range and rightly mapped is then the test.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    static const std::set<std::string> kOneScore{"equal", "maxima", "ties", "many_inf", "huge", "half_nan", "all_nan"};
    return c.params.integer("len") == 0 || kOneScore.contains(c.params.text("fill"));
  }

  [[nodiscard]] Cost cost(const Case&, const Call& call) const override {
    double bytes =
        4.0 * static_cast<double>(call.tensor("page_indices").numel()) * (call.arg("raw_indices").is_tensor() ? 2 : 1);
    for (std::int64_t row = 0; row < call.tensor("scores").size(0); ++row) {
      bytes += 4.0 * static_cast<double>(std::ssize(scores_of(call, row)));
    }
    return {.bytes = bytes, .flops = 0};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override { return topk_v1_scenarios(); }

 private:
  static Params point(std::int64_t k, std::int64_t batch, std::int64_t len, std::int64_t page, std::int64_t raw,
                      std::int64_t tail, const char* lens, const char* fill) {
    return Params()
        .set("k", k)
        .set("batch", batch)
        .set("len", len)
        .set("page", page)
        .set("raw", raw)
        .set("tail", tail)
        .set("lens", lens)
        .set("fill", fill);
  }

  static std::int64_t mixed_length(Random& random, std::int64_t row, std::int64_t k, std::int64_t len) {
    const std::vector<std::int64_t> edges{len, k + 1, 0, k, len - 1, 1, k - 1, random.between(0, len)};
    return std::clamp<std::int64_t>(edges[static_cast<std::size_t>(row) % edges.size()], 0, len);
  }
};

DSV4_REGISTER_OP(TopKV1);

}  // namespace
}  // namespace dsv4
