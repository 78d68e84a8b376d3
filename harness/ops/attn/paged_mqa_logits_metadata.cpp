/// paged_mqa_logits_metadata divides the work of a batch's attention scores evenly among the multiprocessors. A row
/// is divided into splits of 256 tokens, and each multiprocessor gets a share of adjacent splits. Every entry must
/// be exact.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kSplitTokens = 256;
constexpr std::int64_t kLongest = std::numeric_limits<std::int32_t>::max();

std::int64_t splits_of(std::int64_t length) {
  return (std::max<std::int64_t>(length, 0) + kSplitTokens - 1) / kSplitTokens;
}

std::int64_t length_of(const std::string& lens, Random& random, std::int64_t row) {
  if (lens == "zero") return 0;
  if (lens == "one") return 1;
  if (lens == "giant") return row == 1 ? kLongest : 1;
  if (lens == "longest") return kLongest;
  if (lens == "wide") return random.between(0, 1 << 26) >> random.below(26);
  if (lens == "small") return random.between(0, 1024);
  constexpr std::int64_t kEdges[] = {300, 0, 1, 255, 256, 257, 0, 512, 513, 10};
  return row % 11 == 10 ? random.between(0, 1 << 20) : kEdges[row % 11];
}

/// Moves each entry to the rows of a batch in which row r of the old batch has number `rows[r]`.
HostTensor renumbered(const HostTensor& metadata, const std::vector<std::int64_t>& rows) {
  HostTensor moved = metadata.packed();
  for (std::int64_t i = 0; i < moved.size(0); ++i) {
    const std::int32_t row = moved.at<std::int32_t>(i, 0);
    if (row >= 0 && row < std::ssize(rows)) moved.at<std::int32_t>(i, 0) = static_cast<std::int32_t>(rows[row]);
  }
  return moved;
}

/// Puts rows of length 0 before, between and after the rows of the batch. The entries keep their splits.
void with_empty_rows(Case&, Call& call, Observation& want) {
  std::vector<std::int64_t> lengths, places;
  for (const std::int64_t length : numbers_of(call, "seq_lens")) {
    lengths.insert(lengths.end(), length % 3 + 1, 0);
    places.push_back(std::ssize(lengths));
    lengths.push_back(length);
  }
  lengths.insert(lengths.end(), 2, 0);
  places.push_back(std::ssize(lengths));  // the end of the batch
  call.arg("seq_lens").value = numbers(lengths, kI32);
  want.outputs.front().value = renumbered(want.outputs.front().value, places);
}

/// The shares of a call must follow each other without a gap, and each must have G / shares splits or one more. This
/// check holds for every way to choose the longer shares.
void even_shares(ScenarioContext& x) {
  const Call call = x.op.make(x.c);
  const Observation got = x.observed("call", call);
  const HostTensor& metadata = got.output("metadata");
  std::vector<std::int64_t> firsts{0};  // for each row: the number of splits before it
  for (const std::int64_t length : numbers_of(call, "seq_lens")) firsts.push_back(firsts.back() + splits_of(length));
  const std::int64_t rows = std::ssize(firsts) - 1, shares = metadata.size(0) - 1, size = firsts.back() / shares;
  const auto split_at = [&](std::int64_t i) {
    const std::int64_t row = metadata.at<std::int32_t>(i, 0);
    return row >= 0 && row <= rows ? firsts[row] + metadata.at<std::int32_t>(i, 1) : -1;
  };
  if (split_at(0) != 0) x.fail("shares", "the first share does not begin with the first split");
  if (split_at(shares) != firsts.back()) x.fail("shares", "the last share does not end with the last split");
  for (std::int64_t i = 0; i < shares; ++i) {
    const std::int64_t splits = split_at(i + 1) - split_at(i);
    if (splits != size && splits != size + 1) {
      return x.fail("shares", fmt::format("share {} has {} splits, expected {} or {}", i, splits, size, size + 1));
    }
  }
  x.compared(metadata.numel());
}

/// A negative or huge length must not make the function access memory outside its arguments. The entries may then have
/// any values that do not depend on this memory. The last entry is still the end of the batch.
void lengths_outside(ScenarioContext& x) {
  const Call good = x.op.make(x.c);
  const auto usual = observed_once(x, good);
  const auto entries = [](bool last) {
    return [last](const Observation& o) {
      const HostTensor& metadata = o.output("metadata");
      std::vector<std::int64_t> rows;
      for (std::int64_t i = last ? metadata.size(0) - 1 : 0; i < metadata.size(0); ++i) rows.push_back(i);
      return Observation().add("metadata", rows_of(metadata, rows));
    };
  };
  for (const std::int64_t value : values_outside(-1, true, kI32)) {
    for (const std::int64_t element : {std::int64_t{0}, good.tensor("seq_lens").numel() - 1}) {
      Call bad = good;
      set_integer(bad.arg("seq_lens").tensor(), element, value);
      try_outside(x, fmt::format("length {} is {}", element, value), bad, bad, usual, entries(true), entries(false));
    }
  }
}

class PagedMqaLogitsMetadata final : public Op {
 public:
  PagedMqaLogitsMetadata()
      : Op({
            .name = "paged_mqa_logits_metadata",
            .family = "attn",
            .summary = "an even division of the paged attention scores among the multiprocessors",
            .upstream = "get_paged_mqa_logits_metadata, _jit_metadata_module",
            .space = {number("rows", 1, 1 << 20, "rows of the batch",
                             {.usual = 9, .quick = {1, 2, 63, 64, 65}, .full = {31, 33, 1023, 1024, 1025, 11674}}),
                      number("shares", 1, 1024, "multiprocessors",
                             {.usual = 132, .both = {1, 2, 78, 132, 148, 255, 256, 257, 1024}}),
                      word(
                          "lens", {"mixed", "small", "wide", "zero", "one", "giant"},
                          "tokens of the rows: around the edges of a split, up to 1024, of every magnitude up to 2^26, "
                          "all 0, all 1, or one row of 2^31 - 1",
                          {"longest"})},
            .signature = {{in("seq_lens", {kI32}, "rows", {.called = "lengths"}),
                           out("metadata", {kI32}, "entries 2:pair")}},
            .smoke = {"", "rows=300 shares=7 lens=wide", "rows=5000 shares=40 lens=small"},
            .quick = joined({{"cover"},
                             each({"rows={} shares=132 lens=small", "rows={} shares=257 lens=wide"},
                                  {"2047", "2048", "2049", "4095", "4096", "4097", "32768", "32769"})}),
            .full = {"cover", "rows=8193 shares=1024 lens=wide"},
            .bench = {"rows=64 lens=wide", "rows=8192 lens=wide", "rows=32768 lens=small"},
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    Call call = allocate(c, {{"entries", c.params.integer("shares") + 1}});
    HostTensor& lengths = call.arg("seq_lens").tensor();
    Random random(c.seed, "seq_lens");
    for (std::int64_t row = 0; row < lengths.numel(); ++row)
      set_integer(lengths, row, length_of(c.params.text("lens"), random, row));
    return call;
  }

  /// `splits` is the number of splits of the batch.
  [[nodiscard]] Facts facts(const Case&, const Call& call) const override {
    std::int64_t splits = 0;
    for (const std::int64_t length : numbers_of(call, "seq_lens")) splits += splits_of(length);
    return {{"splits", splits}};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    const Points several = at({"", "rows=300 shares=7 lens=wide"}, {"rows=65 shares=148 lens=small", "lens=giant"});
    std::vector<Scenario> list{
        call_relation("empty_rows", "rows of length 0 between the others change only the numbers of the rows", several,
                      with_empty_rows),
        call_relation("whole_splits", "lengths rounded up to whole splits give the same entries", several,
                      [](Case&, Call& call, Observation&) {
                        std::vector<std::int64_t> lengths = numbers_of(call, "seq_lens");
                        for (std::int64_t& n : lengths) n = std::min(kLongest, splits_of(n) * kSplitTokens);
                        call.arg("seq_lens").value = numbers(lengths, kI32);
                      }),
        relation("even_shares", "the shares follow each other, and their sizes differ by at most one split", several,
                 even_shares),
        many_rows_relation(
            *this, {"rows=65537 shares=132 lens=small", "rows=70000 shares=1024 lens=wide", "rows=513 lens=longest"})};
    Contracts contracts(list);
    contracts.add(
        "lengths_outside",
        "a length below 0 or far too large is refused, or gives entries that do not depend on the memory around "
        "the arguments",
        lengths_outside);
    contracts.edge("no_rows", "without rows every entry is 0, or the call is refused",
                   [](Call& call) { call.arg("seq_lens").value = HostTensor::make(kI32, {0}); });
    contracts.edge("no_shares",
                   "without multiprocessors the only entry is the end of the batch, or the call is refused",
                   [](Call& call) {
                     call.arg("metadata").value = HostTensor::make(kI32, {1, 2});
                   });
    contracts.edge("many_shares", "1025 multiprocessors get right shares, or the call is refused", [](Call& call) {
      call.arg("metadata").value = HostTensor::make(kI32, {1026, 2});
    });
    contracts.reshaped("no_entries", "an output without an entry is refused", "metadata",
                       [](Shape& shape) { shape[0] = 0; });
    return list;
  }
};

DSV4_REGISTER_OP(PagedMqaLogitsMetadata);

}  // namespace
}  // namespace dsv4
