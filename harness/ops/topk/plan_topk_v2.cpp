/// plan_topk_v2 chooses a threshold for the lengths of a batch, and lists the rows that are longer. topk_v2 takes
/// the plan.
///
/// The op does not promise an order of the items. They are compared as a set. The flag of an item depends only on its
/// place: it is set if there is an item 15 places later, which the same cluster takes next. The bytes after the flag
/// have no meaning.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "harness/op/define.h"
#include "harness/ops/topk/topk_plan.h"

namespace dsv4 {
namespace {

constexpr std::ptrdiff_t kEntryBytes = 16;
constexpr std::ptrdiff_t kFlagByte = 8;  ///< of an entry

/// Length of a row with the words "mixed" and "wide".
std::int64_t mixed_length(const std::string& lens, Random& random, std::int64_t row) {
  if (lens == "wide") return random.between(0, kLongestRow);
  if (row % 3 == 2) return random.between(0, 40000);
  const std::int64_t edge = plans::kTopkSteps[static_cast<std::size_t>(random.below(8))].threshold;
  return std::min(edge + random.between(-1, 1), kLongestRow);
}

class PlanTopkV2 final : public Op {
 public:
  PlanTopkV2()
      : Op({
            .name = "plan_topk_v2",
            .family = "topk",
            .summary = "the rows of a batch that topk_v2 gives to clusters of blocks",
            .upstream = "plan_topk_v2, _jit_topk_v2_module",
            .space = {number("batch", 0, 1 << 20, "rows",
                             {.usual = 132, .quick = {16, 30, 31, 106}, .full = {17, 29, 32, 1023, 1024, 1025}}),
                      number("threshold", 0, std::numeric_limits<std::uint32_t>::max(),
                             "the threshold that the caller gives; 0: it follows from the lengths",
                             {.both = {0, 1, 32768, 65536, 262144}, .soak = {32767, 32769, 4294967295}}),
                      word("lens", {"mixed", "wide", "zero", "longest", "at_most", "one_more", "count"},
                           "lengths of the rows: around the thresholds; any; all 0; all 262144; so many rows longer "
                           "than the threshold of a step as the step allows, or one more; `long` rows of 32769"),
                      number("step", 0, 7, "the step of at_most and one_more", {.both = {0, 1, 2, 3, 4, 5, 6, 7}}),
                      number("long", 0, 132, "number of long rows", {.both = {0, 1, 14, 15, 16, 30, 31}})},
            .signature = {{in("seq_lens", {kI32}, "rows", {.called = "lengths"}),
                           out("metadata", {kI32}, "entries? 4:ints"), integer("static_cluster_threshold")}},
            .smoke = {"batch=40", "lens=at_most step=2", "lens=one_more step=5", "batch=31 lens=count long=16",
                      "batch=2000 threshold=65536 lens=wide", "batch=8200 threshold=65536 lens=wide"},
            .quick = joined(
                {{"cover"},
                 each(each({"lens={} step={}"}, {"at_most", "one_more"}), {"0", "1", "2", "3", "4", "5", "6", "7"}),
                 each({"batch={} lens=longest"}, {"1", "15", "16", "17", "29", "30", "31", "105", "106"}),
                 each({"batch={} lens=wide"}, {"1023", "1024", "1025", "32768", "32769"})}),
            .full = {"cover", "batch=1048576 lens=wide"},
            .bench = {"batch=64 lens=wide", "batch=1024 lens=wide", "batch=8192 lens=wide"},
            .host_note = "the order of atomics on a GPU; on a CPU the schedule seed varies this order",
        }) {}

  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override {
    std::vector<std::string> names;
    if (p.integer("batch") <= kMostUnplanned) names = {"threshold", "lens", "step", "long"};
    if (!p.is("lens", "at_most") && !p.is("lens", "one_more")) names.emplace_back("step");
    if (!p.is("lens", "count")) names.emplace_back("long");
    return names;
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t rows = p.integer("batch");
    Random random(c.seed, "seq_lens");
    std::vector<std::int64_t> lengths;
    for (std::int64_t row = 0; row < rows; ++row) lengths.push_back(length_of(p, random, row));
    const auto order = Random(c.seed, "order").permutation(rows);
    std::vector<std::int64_t> shuffled;
    for (const std::int64_t i : order) shuffled.push_back(lengths[static_cast<std::size_t>(i)]);

    Call call = allocate(c, {{"rows", rows}, {"entries", rows + 1}});
    call.arg("seq_lens").value = numbers(shuffled, kI32);
    call.arg("static_cluster_threshold").value = p.integer("threshold");
    fit(call);
    return call;
  }

  /// Only the entries that the plan has may be written.
  void fit(Call& call) const override {
    const HostTensor plan = make_topk_plan(numbers_of(call, "seq_lens"), integer_of(call, "static_cluster_threshold"));
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < written_entries(plan); ++i) rows.push_back(i);
    Arg& metadata = call.arg("metadata");
    metadata.footprint = footprint_of_rows(metadata.tensor(), rows, kPlanInts);
    // The bytes after the flag of an entry have no meaning.
    for (std::size_t entry = 1; entry < rows.size(); ++entry) {
      const auto flag = metadata.footprint.begin() + static_cast<std::ptrdiff_t>(entry) * kEntryBytes + kFlagByte;
      std::fill(flag + 1, flag + kEntryBytes - kFlagByte, kMayChangeWithoutMeaning);
    }
  }

  /// "header": entry 0. "items": row and length of each item, in the order of the rows. "flags": the flags of all
  /// entries that are written, by place. "unused": the entries after the items, up to 15; all are 0.
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    const HostTensor& plan = result.tensor("metadata");
    const std::int64_t entries = call.tensor("seq_lens").numel() <= kMostUnplanned ? 0 : written_entries(plan);
    const std::int64_t items = entries == 0 ? 0 : std::clamp<std::int64_t>(plan.at<std::int32_t>(0, 1), 0, entries - 1);
    std::vector<std::int64_t> header, flags, unused;
    std::vector<std::array<std::int32_t, 2>> listed;
    for (std::int64_t j = 0; entries != 0 && j < kPlanInts; ++j) header.push_back(plan.at<std::int32_t>(0, j));
    for (std::int64_t i = 1; i < entries; ++i) {
      const std::int32_t row = plan.at<std::int32_t>(i, 0), length = plan.at<std::int32_t>(i, 1);
      flags.push_back(plan.at<std::int32_t>(i, 2) & 0xff);
      if (i <= items) {
        listed.push_back({row, length});
      } else {
        unused.insert(unused.end(), {row, length});
      }
    }
    std::ranges::sort(listed);
    Observation o;
    o.add("header", numbers(header, kI32));
    o.add("items", tensor_of_rows(kI32, listed));
    o.add("flags", numbers(flags, kI32));
    o.add("unused", numbers(unused, kI32));
    return o;
  }

  /// Without a plan nothing is written.
  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    return c.params.integer("batch") <= kMostUnplanned;
  }

  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    const HostTensor plan = make_topk_plan(numbers_of(call, "seq_lens"), integer_of(call, "static_cluster_threshold"));
    return {{"items", written_entries(plan) == 0 ? 0 : plan.at<std::int32_t>(0, 1)}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{many_rows_relation(*this, {"batch=65537", "batch=70000 lens=wide"})};
    Contracts contracts(list);
    for (const std::int64_t more : {-1, 1}) {
      contracts.reshaped(more < 0 ? "metadata_short" : "metadata_long",
                         "a plan must have one entry more than there are rows", "metadata",
                         [more](Shape& shape) { shape[0] += more; });
    }
    contracts.edge("no_rows", "without rows nothing is written, or the call is refused", [this](Call& call) {
      call.arg("seq_lens").value = HostTensor::make(kI32, {0});
      call.arg("metadata").value = HostTensor::make(kI32, {1, kPlanInts});
      fit(call);
    });
    contracts.edge("lengths_outside", "a negative length counts as 0, or the call is refused",
                   [this](Call& call) { change_length(call, -1); });
    contracts.edge("length_past_the_limit", "a length beyond 262144 is used as it is, or the call is refused",
                   [this](Call& call) { change_length(call, kLongestRow + 1); });
    contracts.edge("threshold_negative", "a negative threshold is refused, or has a defined meaning",
                   [](Call& call) { call.arg("static_cluster_threshold").value = std::int64_t{-1}; });
    contracts.edge("threshold_past_32_bits", "a threshold of 2^32 is refused, or has a defined meaning",
                   [](Call& call) { call.arg("static_cluster_threshold").value = std::int64_t{1} << 32; });
    return list;
  }

 private:
  void change_length(Call& call, std::int64_t length) const {
    set_integer(call.arg("seq_lens").tensor(), 1, length);
    fit(call);
  }
  static std::int64_t length_of(const Params& p, Random& random, std::int64_t row) {
    const std::string& lens = p.text("lens");
    if (lens == "zero") return 0;
    if (lens == "longest") return kLongestRow;
    if (lens == "count") return row < p.integer("long") ? 32769 : random.between(0, 32768);
    if (lens != "at_most" && lens != "one_more") return mixed_length(lens, random, row);
    const plans::TopkStep& step = plans::kTopkSteps[static_cast<std::size_t>(p.integer("step"))];
    // No row is longer than 262144, so the last step never has too many.
    const std::int64_t length = std::min(step.threshold + 1, kLongestRow);
    return row < step.most_rows + (lens == "one_more" ? 1 : 0) ? length : random.between(0, 32768);
  }
};

DSV4_REGISTER_OP(PlanTopkV2);

}  // namespace
}  // namespace dsv4
