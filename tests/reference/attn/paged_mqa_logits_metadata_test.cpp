#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Entries = std::vector<std::pair<std::int32_t, std::int32_t>>;

/// The entries for rows of these lengths and this number of multiprocessors.
Entries entries_of(const std::vector<std::int32_t>& lengths, std::int64_t shares) {
  HostTensor seq_lens = HostTensor::make(DType::kI32, {std::ssize(lengths)});
  HostTensor metadata = HostTensor::make(DType::kI32, {shares + 1, 2});
  for (std::int64_t i = 0; i < std::ssize(lengths); ++i) seq_lens.at<std::int32_t>(i) = lengths[i];
  for (std::int64_t i = 0; i <= shares; ++i) metadata.at<std::int32_t>(i, 0) = metadata.at<std::int32_t>(i, 1) = 77;
  call_reference("paged_mqa_logits_metadata", "run", {&seq_lens, &metadata});
  Entries entries;
  for (std::int64_t i = 0; i <= shares; ++i)
    entries.emplace_back(metadata.at<std::int32_t>(i, 0), metadata.at<std::int32_t>(i, 1));
  return entries;
}

using P = std::pair<std::int32_t, std::int32_t>;

TEST(PagedMqaLogitsMetadataReference, FirstSharesHaveOneSplitMore) {
  // Row 0 has one split, row 1 has two. Of four shares, the first three have one split.
  EXPECT_THAT(entries_of({10, 300}, 4), ElementsAre(P{0, 0}, P{1, 0}, P{1, 1}, P{2, 0}, P{2, 0}));
  // Seven splits for three shares: 3, 2 and 2 splits.
  EXPECT_THAT(entries_of({7 * 256}, 3), ElementsAre(P{0, 0}, P{0, 3}, P{0, 5}, P{1, 0}));
  // Eight splits for three shares: 3, 3 and 2. They begin in row 0, at the end of row 1, and in row 3.
  EXPECT_THAT(entries_of({513, 1, 0, 1024}, 3), ElementsAre(P{0, 0}, P{1, 0}, P{3, 2}, P{4, 0}));
}

TEST(PagedMqaLogitsMetadataReference, ASplitHas256Tokens) {
  EXPECT_THAT(entries_of({255, 255}, 2), ElementsAre(P{0, 0}, P{1, 0}, P{2, 0}));
  EXPECT_THAT(entries_of({256, 256}, 2), ElementsAre(P{0, 0}, P{1, 0}, P{2, 0}));
  EXPECT_THAT(entries_of({257, 257}, 2), ElementsAre(P{0, 0}, P{1, 0}, P{2, 0}));
  EXPECT_THAT(entries_of({257, 1}, 3), ElementsAre(P{0, 0}, P{0, 1}, P{1, 0}, P{2, 0}));
}

TEST(PagedMqaLogitsMetadataReference, RowsOfLengthZeroAreSkipped) {
  EXPECT_THAT(entries_of({0, 0, 300, 0, 1, 0}, 3), ElementsAre(P{2, 0}, P{2, 1}, P{4, 0}, P{6, 0}));
  EXPECT_THAT(entries_of({0, 0}, 3), ElementsAre(P{2, 0}, P{2, 0}, P{2, 0}, P{2, 0}));
  EXPECT_THAT(entries_of({-1000, 1}, 1), ElementsAre(P{1, 0}, P{2, 0}));
}

TEST(PagedMqaLogitsMetadataReference, WithoutRowsOrMultiprocessorsOnlyTheEndIsLeft) {
  EXPECT_THAT(entries_of({}, 2), ElementsAre(P{0, 0}, P{0, 0}, P{0, 0}));
  EXPECT_THAT(entries_of({300, 1}, 0), ElementsAre(P{2, 0}));
}

TEST(PagedMqaLogitsMetadataReference, SplitsBeyond32Bits) {
  // 2^9 rows of 2^23 splits: 2^32 splits for two shares.
  const Entries entries = entries_of(std::vector<std::int32_t>(512, 0x7FFFFFFF), 2);
  EXPECT_THAT(entries, ElementsAre(P{0, 0}, P{256, 0}, P{512, 0}));
}

/// A serial replay: the splits are dealt out one by one.
TEST(PagedMqaLogitsMetadataReference, EqualsSplitsThatAreDealtOutOneByOne) {
  std::uint32_t state = 1;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::int32_t> lengths(1 + next() % 40);
    for (auto& n : lengths) n = static_cast<std::int32_t>(next() % (1u << (next() % 14)));
    const std::int64_t shares = 1 + next() % 50;
    Entries splits;
    for (std::size_t row = 0; row < lengths.size(); ++row) {
      for (std::int32_t token = 0; token < lengths[row]; token += 256) splits.emplace_back(row, token / 256);
    }
    Entries want;
    std::size_t at = 0;
    for (std::int64_t i = 0; i <= shares; ++i) {
      want.push_back(at < splits.size() ? splits[at] : P{lengths.size(), 0});
      // The shares that are left get what is left, the first of them one more if it does not divide.
      const std::size_t left = splits.size() - at,
                        sharers = static_cast<std::size_t>(std::max<std::int64_t>(shares - i, 1));
      at += (left + sharers - 1) / sharers;
    }
    EXPECT_EQ(entries_of(lengths, shares), want);
  }
}

TEST(PagedMqaLogitsMetadataReference, RefusesWrongArguments) {
  HostTensor lengths = HostTensor::make(DType::kI32, {2}), wide = HostTensor::make(DType::kI64, {2});
  HostTensor metadata = HostTensor::make(DType::kI32, {5, 2}), triples = HostTensor::make(DType::kI32, {5, 3});
  HostTensor none = HostTensor::make(DType::kI32, {0, 2});
  const auto refused = [](HostTensor& a, HostTensor& b) {
    return refusal("paged_mqa_logits_metadata", "run", {&a, &b});
  };
  EXPECT_THAT(refused(wide, metadata), HasSubstr("'seq_lens': expected int32, got int64"));
  EXPECT_THAT(refused(lengths, triples), HasSubstr("'metadata': expected size 2 in dimension 1, got 3"));
  EXPECT_THAT(refused(lengths, none), HasSubstr("'metadata': expected one entry more than multiprocessors"));
}

}  // namespace
}  // namespace dsv4::testing
