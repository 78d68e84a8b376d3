#include "harness/ops/compress/slot_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/ops/compress/walked.h"

namespace dsv4 {
namespace {

using ::testing::IsEmpty;

std::int64_t ring_row(std::int64_t id, std::int64_t position) { return 8 * id + position % 8; }

TEST(SlotMap, FollowsPrefillDecodeAndFindsNothingWrong) {
  SlotMap slots(4);
  const Batch first{{1}, {6}, {6}}, second{{1}, {9}, {3}};
  slots.read(first, plans::prefill_records(requests_of(first), 4, {}, ring_row).compress);
  slots.write(first, plans::prefill_records(requests_of(first), 4, {}, ring_row).write);
  slots.read(second, plans::prefill_records(requests_of(second), 4, {}, ring_row).compress);
  slots.write(second, plans::prefill_records(requests_of(second), 4, {}, ring_row).write);
  for (std::int64_t length = 10; length < 20; ++length) {
    const Batch step{{1}, {length}, {1}};
    slots.decode(step, plans::decode_records(requests_of(step), 4, ring_row));
    slots.check_live(1, length, ring_row);
  }
  EXPECT_THAT(slots.take_findings(), IsEmpty());
  EXPECT_GT(slots.checked(), 50);
}

TEST(SlotMap, FindsARowThatWasNotKept) {
  SlotMap slots(4);
  const Batch first{{1}, {6}, {6}};
  auto kept = plans::prefill_records(requests_of(first), 4, {}, ring_row).write;
  kept.erase(kept.begin());
  slots.write(first, kept);
  slots.check_live(1, 6, ring_row);
  const auto findings = slots.take_findings();
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].check, "state_row");
}

TEST(SlotMap, FindsAPageTailThatWasNotKept) {
  const auto row = [](std::int64_t id, std::int64_t position) {  // cache pages of 16 tokens, rings of 8 rows
    return 64 * id + position / 16 * 8 + position % 8;
  };
  for (const std::int64_t tail_page : {16, 0}) {
    SlotMap slots(4);
    const Batch batch{{1}, {38}, {38}};
    slots.write(batch, plans::prefill_records(requests_of(batch), 4, {4, tail_page}, row).write);
    slots.check_live(1, 38, row);
    EXPECT_THAT(slots.take_findings(), IsEmpty());
    slots.check_page_tails(1, 38, 16, row);
    EXPECT_EQ(slots.take_findings().size(), tail_page == 0 ? 8u : 0u);  // two pages end below position 38
    slots.check_page_tails(1, 14, 16, row);                             // only positions 12 and 13 of the first page
    EXPECT_EQ(slots.take_findings().size(), tail_page == 0 ? 2u : 0u);
  }
}

TEST(SlotMap, FindsAForeignRowAndATakenBackOne) {
  SlotMap slots(4);
  const Batch first{{1, 2}, {6, 6}, {6, 6}};
  slots.write(first, plans::prefill_records(requests_of(first), 4, {}, ring_row).write);
  const Batch next{{1}, {8}, {2}};
  auto entries = plans::prefill_records(requests_of(next), 4, {}, ring_row).compress;
  entries[0].read_page_0 = 4;  // a page of request 2
  slots.read(next, entries);
  EXPECT_EQ(slots.take_findings().size(), 4u);
  slots.take_back(1, 5);
  slots.read(next, plans::prefill_records(requests_of(next), 4, {}, ring_row).compress);
  EXPECT_EQ(slots.take_findings().size(), 1u);  // position 5 was removed
}

TEST(SlotMap, SeesTheDraftsThatAPlanWithoutPadLoses) {
  const auto row = [](std::int64_t id, std::int64_t position) { return 256 * id + position % 256; };
  for (const std::int64_t pad : {0, 4}) {
    SlotMap slots(128);
    const Batch prefill{{0}, {126}, {126}}, verify{{0}, {130}, {4}};
    slots.write(prefill, plans::prefill_records(requests_of(prefill), 128, {pad, 0}, row).write);
    slots.write(verify, plans::prefill_records(requests_of(verify), 128, {pad, 0}, row).write);
    slots.take_back(0, 127);
    slots.check_live(0, 127, row);
    EXPECT_EQ(slots.take_findings().size(), pad == 0 ? 1u : 0u);
  }
}

}  // namespace
}  // namespace dsv4
