/// Tests of far tensors, which have elements at very large offsets. The elements must be where the far layout says, and
/// the test must be able to read them back. The memory between the elements must be guarded.
#include "harness/device/far_block.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <new>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kTwo31 = std::int64_t{1} << 31;

/// Fills the storage so that each byte differs from its neighbours.
HostTensor numbered(HostTensor t) {
  for (std::size_t i = 0; i < t.storage.size(); ++i) t.storage[i] = static_cast<std::uint8_t>(7 * i + 1);
  return t;
}

struct Placed {
  std::unique_ptr<DeviceMemory> memory = make_host_memory();
  HostTensor tensor;
  FarLayout far_layout;
  FarBlock block;

  Placed(HostTensor t, FarLayout p, std::size_t misalign = 0)
      : tensor(numbered(std::move(t))), far_layout(std::move(p)), block(*memory, "x", tensor, far_layout, 3, misalign) {
    block.write(tensor.storage);
  }
  /// Returns the address of element `index` plus `byte` bytes, in the tensor that the function sees.
  [[nodiscard]] std::uint8_t* at(const Shape& index, std::ptrdiff_t byte = 0) const {
    std::int64_t element = 0;
    for (std::size_t d = 0; d < index.size(); ++d) element += index[d] * far_layout.strides[d];
    return static_cast<std::uint8_t*>(block.payload()) + element * size_of(tensor.dtype) + byte;
  }
  [[nodiscard]] std::vector<Finding> findings() const {
    std::vector<Finding> list;
    block.check("x", list);
    return list;
  }
};

/// An f32 tensor [3, 5]. On the host there is a gap of two elements between its rows. In the block, the rows are 2^31
/// elements apart.
Placed rows_apart(std::size_t misalign = 0) {
  return {HostTensor::strided(DType::kF32, {3, 5}, {7, 1}, 0, 21), {{3, 5}, {kTwo31, 1}, {0, 1, 2}}, misalign};
}

/// Expects that the tensor's elements are where the far layout says.
void expect_in_place(const Placed& p) {
  for (std::int64_t i = 0; i < p.tensor.numel(); ++i) {
    Shape index = p.tensor.coordinates(i);
    index[0] = p.far_layout.rows[static_cast<std::size_t>(index[0])];
    ASSERT_EQ(std::memcmp(p.at(index), p.tensor.element(i), static_cast<std::size_t>(size_of(p.tensor.dtype))), 0) << i;
  }
  EXPECT_EQ(p.block.read(), p.tensor.storage);
  EXPECT_THAT(p.findings(), IsEmpty());
}

TEST(FarBlock, PlacesRowsFarApart) {
  expect_in_place(rows_apart());
  const Placed moved = rows_apart(4);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(moved.block.payload()) % 256, 4u);
  expect_in_place(moved);
}

TEST(FarBlock, PlacesAFewPagesOfAVeryLargePool) {
  // The pages are on both sides of the offset of 2^32 bytes. Pages edge + 1 and edge are neighbours, in reverse order.
  // The two other pages have no neighbour.
  const std::int64_t page = 132;
  const std::int64_t edge = 2 * kTwo31 / page;
  expect_in_place(
      {HostTensor::make(DType::kU8, {4, page}), {{edge + 2, page}, {page, 1}, {edge + 1, 0, edge, edge - 70}}});
}

TEST(FarBlock, PlacesElementsOfALongRow) {
  expect_in_place({HostTensor::make(DType::kI64, {4}), {{kTwo31 - 1}, {1}, {kTwo31 - 2, 5, 6, 1 << 29}}});
}

TEST(FarBlock, PlacesAPartOfALargeInnerDimension) {
  // The function sees [experts, words, tokens]. Only 2 of the 1000 experts and 2 of the 2^20 tokens have data.
  const std::int64_t tokens = 1 << 20;
  expect_in_place({HostTensor::make(DType::kI32, {2, 3, 2}), {{1000, 3, tokens}, {3 * tokens, tokens, 1}, {0, 999}}});
}

TEST(FarBlock, ATensorWithoutElementsHasNoBytes) {
  const Placed p{HostTensor::make(DType::kF32, {0, 5}), {{10, 5}, {5, 1}, {}}};
  EXPECT_THAT(p.block.read(), IsEmpty());
  EXPECT_THAT(p.findings(), IsEmpty());
}

TEST(FarBlock, ReadsBackWhatWasWrittenAndKeepsTheGapsOfTheStorage) {
  const Placed p = rows_apart();
  for (std::int64_t row = 0; row < 3; ++row) *p.at({row, 4}, 3) ^= 0xff;
  HostTensor want = p.tensor;
  for (const std::int64_t last : {4, 9, 14}) want.element(last)[3] ^= 0xff;
  EXPECT_EQ(p.block.read(), want.storage);
  EXPECT_THAT(p.findings(), IsEmpty());
}

TEST(FarBlock, WritesBesideARowAreFound) {
  const std::ptrdiff_t row_bytes = 5 * sizeof(float);
  for (const std::int64_t row : {0, 1, 2}) {
    for (const std::ptrdiff_t byte : {std::ptrdiff_t{-1}, -static_cast<std::ptrdiff_t>(MemoryBlock::kGuard), row_bytes,
                                      row_bytes + static_cast<std::ptrdiff_t>(MemoryBlock::kGuard) - 1}) {
      const Placed p = rows_apart();
      *p.at({row, 0}, byte) ^= 0x40;
      const auto found = p.findings();
      ASSERT_EQ(found.size(), 1u) << row << " " << byte;
      EXPECT_EQ(found[0].check, "guard");
      EXPECT_THAT(found[0].detail,
                  AllOf(HasSubstr("'x': the byte at offset " + std::to_string(row * kTwo31 * 4 + byte) + " from"),
                        HasSubstr("was overwritten")));
      EXPECT_EQ(p.block.read(), p.tensor.storage);
    }
  }
}

TEST(FarBlock, WritesBetweenCloseRowsAreFound) {
  const Placed p{HostTensor::make(DType::kU8, {2, 8}), {{200, 16}, {16, 1}, {150, 151}}};
  for (const std::ptrdiff_t byte : {8, 15}) {
    *p.at({150, 0}, byte) ^= 1;
    EXPECT_EQ(p.findings().size(), 1u) << byte;
    *p.at({150, 0}, byte) ^= 1;
    EXPECT_THAT(p.findings(), IsEmpty());
  }
}

TEST(PlacedBlockDeathTest, MemoryBetweenFarRowsCannotBeAccessed) {
  const Placed p = rows_apart();
  const auto touch = [](const std::uint8_t* byte) { return *static_cast<const volatile std::uint8_t*>(byte); };
  EXPECT_EQ(touch(p.at({1, 0})), p.tensor.storage[28]);
  EXPECT_DEATH(touch(p.at({1, 0}, 1 << 20)), "");
  EXPECT_DEATH(touch(p.at({2, 0}, -(1 << 20))), "");
  // A kernel that computes offsets in an int would touch these addresses. There, the second row's offset of 2^31
  // elements becomes -2^31 elements, and an offset of 2^31 bytes becomes -2^31 bytes.
  EXPECT_DEATH(touch(p.at({0, 0}, -kTwo31 * 4)), "");
  EXPECT_DEATH(touch(p.at({0, 0}, -kTwo31)), "");
}

TEST(FarBlock, APlacementThatDoesNotFitIsAnError) {
  const auto memory = make_host_memory();
  const HostTensor t = HostTensor::make(DType::kF32, {2, 5});
  for (const FarLayout& wrong :
       {FarLayout{{2, 5}, {5, 1}, {0}}, FarLayout{{2, 5}, {5, 1}, {0, 2}}, FarLayout{{2, 5}, {5, 1}, {-1, 0}},
        FarLayout{{2, 4}, {5, 1}, {0, 1}}, FarLayout{{2, 5}, {-5, 1}, {0, 1}}, FarLayout{{10}, {1}, {0, 1}},
        FarLayout{{2, 5}, {4, 1}, {0, 1}}, FarLayout{{9, 5}, {5, 1}, {3, 3}}}) {
    EXPECT_THROW(FarBlock(*memory, "x", t, wrong, 0), Error) << format_shape(wrong.shape);
  }
}

/// Counts the reserved blocks. If a test asks for it, reserving or opening memory fails.
struct ScarceMemory final : DeviceMemory {
  std::unique_ptr<DeviceMemory> host = make_host_memory();
  bool can_reserve = true, can_open = true;
  int blocks = 0;

  void* allocate(std::size_t bytes) override { return host->allocate(bytes); }
  void* reserve(std::size_t bytes) override {
    if (!can_reserve) throw std::bad_alloc();
    ++blocks;
    return host->reserve(bytes);
  }
  void open(void* part, std::size_t bytes) override {
    if (!can_open) throw std::bad_alloc();
    host->open(part, bytes);
  }
  void release(void* block) override {
    --blocks;
    host->release(block);
  }
  void upload(void* device, const void* from, std::size_t bytes) override { host->upload(device, from, bytes); }
  void download(void* to, const void* device, std::size_t bytes) override { host->download(to, device, bytes); }
  void synchronize() override {}
  void* stream() override { return nullptr; }
};

TEST(FarBlock, TheErrorSaysHowMuchMemoryIsNeeded) {
  ScarceMemory memory;
  memory.can_reserve = false;
  try {
    const FarBlock block(memory, "scores", HostTensor::make(DType::kF32, {3, 5}), {{3, 5}, {kTwo31, 1}, {0, 1, 2}}, 0);
    FAIL() << "FarBlock must throw, because no memory can be reserved";
  } catch (const Unavailable& e) {
    EXPECT_STREQ(e.what(), "'scores' is spread out over 16.0 GiB, and the machine has no block of memory of that size");
  }
}

TEST(FarBlock, MemoryIsReleasedAlsoAfterAFailure) {
  ScarceMemory memory;
  const HostTensor t = HostTensor::make(DType::kF32, {3, 5});
  const FarLayout p{{3, 5}, {kTwo31, 1}, {0, 1, 2}};
  {
    const FarBlock block(memory, "x", t, p, 0);
    EXPECT_EQ(memory.blocks, 1);
  }
  EXPECT_EQ(memory.blocks, 0);
  memory.can_open = false;
  EXPECT_THROW(FarBlock(memory, "x", t, p, 0), std::bad_alloc);
  EXPECT_EQ(memory.blocks, 0);
}

}  // namespace
}  // namespace dsv4
