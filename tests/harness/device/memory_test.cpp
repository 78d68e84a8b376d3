/// Tests of blocks at inaccessible pages. Every byte beyond the tensor must be inaccessible on one side, and guarded on
/// the other side.
#include "harness/device/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::KilledBySignal;

constexpr std::size_t kPage = DeviceMemory::kPage;

struct Placed {
  std::unique_ptr<DeviceMemory> memory = make_host_memory();
  GuardedBlock block;

  Placed(std::size_t bytes, Surround surround, std::size_t misalign = 0, std::size_t alignment = 1)
      : block(*memory, bytes, 2, misalign, surround, alignment) {}
  [[nodiscard]] volatile std::uint8_t* at(std::ptrdiff_t byte) const {
    return static_cast<std::uint8_t*>(block.payload()) + byte;
  }
  [[nodiscard]] std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(block.payload()); }
  [[nodiscard]] std::vector<Finding> findings() const {
    std::vector<Finding> list;
    block.check("x", list);
    return list;
  }
};

constexpr std::size_t kSizes[] = {1, 20, 76, 4095, 4096, 4097, 100000};

TEST(PageBlock, TheTensorBeginsOrEndsAtAPageAndKeepsItsBytes) {
  for (const std::size_t bytes : kSizes) {
    const Placed start(bytes, Surround::kPageBefore), end(bytes, Surround::kPageAfter);
    EXPECT_EQ(start.address() % kPage, 0u) << bytes;
    EXPECT_EQ((end.address() + bytes) % kPage, 0u) << bytes;
    for (const Placed* p : {&start, &end}) {
      std::vector<std::uint8_t> image(bytes);
      for (std::size_t i = 0; i < bytes; ++i) image[i] = static_cast<std::uint8_t>(3 * i + 1);
      const_cast<GuardedBlock&>(p->block).write(image);
      EXPECT_EQ(p->block.read(), image);
      EXPECT_THAT(p->findings(), IsEmpty());
    }
  }
}

TEST(PageBlock, AMisalignedTensorBeginsSoManyBytesAfterThePage) {
  const Placed p(20, Surround::kPageBefore, 2);
  EXPECT_EQ(p.address() % kPage, 2u);
  *p.at(-1) = 0;
  EXPECT_THAT(p.findings().at(0).detail, HasSubstr("'x': byte 1 before its memory was overwritten"));
}

TEST(PageBlock, AnAlignedTensorEndsAFewBytesBeforeThePageAndTheyAreGuarded) {
  for (const std::size_t bytes : kSizes) {
    const Placed p(bytes, Surround::kPageAfter, 0, 16);
    EXPECT_EQ(p.address() % 16, 0u) << bytes;
    const std::size_t gap = (kPage - (p.address() + bytes) % kPage) % kPage;
    EXPECT_LT(gap, 16u) << bytes;
    EXPECT_THAT(p.findings(), IsEmpty());
    if (gap == 0) continue;
    *p.at(static_cast<std::ptrdiff_t>(bytes)) = 0;
    EXPECT_THAT(p.findings().at(0).detail, HasSubstr("byte 1 after its memory")) << bytes;
  }
}

TEST(PageBlock, TheOtherSideHasAGuardBand) {
  const Placed start(20, Surround::kPageBefore), end(20, Surround::kPageAfter);
  *start.at(20) = 0;
  *end.at(-1) = 0;
  EXPECT_THAT(start.findings().at(0).detail, HasSubstr("byte 1 after its memory"));
  EXPECT_THAT(end.findings().at(0).detail, HasSubstr("byte 1 before its memory"));
}

TEST(PageBlock, AnAllocationOfItsOwnHasNoBands) {
  const Placed p(20, Surround::kNothing);
  EXPECT_EQ(p.block.bytes(), 20u);
  EXPECT_THAT(p.findings(), IsEmpty());
}

// Under AddressSanitizer, a segmentation fault is a report and an exit, not the end by a signal.
#if !defined(__SANITIZE_ADDRESS__)
TEST(PageBlockDeathTest, EveryByteBeyondTheEdgeIsInaccessible) {
  for (const std::size_t bytes : kSizes) {
    const Placed start(bytes, Surround::kPageBefore), end(bytes, Surround::kPageAfter);
    const auto n = static_cast<std::ptrdiff_t>(bytes);
    for (const std::ptrdiff_t far : {std::ptrdiff_t{0}, std::ptrdiff_t{4096}, std::ptrdiff_t{1} << 33}) {
      EXPECT_EXIT((void)*start.at(-1 - far), KilledBySignal(SIGSEGV), "") << bytes;
      EXPECT_EXIT((void)*end.at(n + far), KilledBySignal(SIGSEGV), "") << bytes;
      EXPECT_EXIT(*end.at(n + far) = 1, KilledBySignal(SIGSEGV), "") << bytes;
    }
  }
}

TEST(PageBlockDeathTest, ATensorWithoutElementsHasNoAccessibleByte) {
  for (const Surround surround : {Surround::kPageBefore, Surround::kPageAfter}) {
    const Placed p(0, surround);
    EXPECT_THAT(p.findings(), IsEmpty());
    EXPECT_EXIT((void)*p.at(0), KilledBySignal(SIGSEGV), "");
    EXPECT_EXIT((void)*p.at(-1), KilledBySignal(SIGSEGV), "");
  }
}
#endif

}  // namespace
}  // namespace dsv4
