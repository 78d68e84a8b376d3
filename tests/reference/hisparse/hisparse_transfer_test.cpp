#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/reference/common/module.h"

namespace dsv4::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kPageBytes = 37440;  // 64 tokens of 584 bytes, rounded up to a multiple of 576

/// A cache of this many bytes. Byte i has the value i * step modulo 251.
HostTensor cache_of(std::int64_t bytes, int step) {
  HostTensor cache = HostTensor::make(DType::kU8, {bytes});
  for (std::int64_t i = 0; i < bytes; ++i) cache.storage[i] = static_cast<std::uint8_t>(i * step % 251);
  return cache;
}

HostTensor numbers_of(std::vector<std::int64_t> values) {
  HostTensor t = HostTensor::make(DType::kI64, {std::ssize(values)});
  std::memcpy(t.storage.data(), values.data(), t.storage.size());
  return t;
}

HostTensor addresses_of(std::vector<HostTensor>& caches) {
  HostTensor t = HostTensor::make(DType::kU64, {std::ssize(caches)});
  for (std::size_t i = 0; i < caches.size(); ++i)
    t.at<std::uint64_t>(static_cast<std::int64_t>(i)) = reinterpret_cast<std::uintptr_t>(caches[i].storage.data());
  return t;
}

/// Copies items from each of `sources` to the cache of the same number in `targets`.
void transfer(const std::string& function, std::vector<HostTensor>& sources, std::vector<HostTensor>& targets,
              std::vector<std::int64_t> from, std::vector<std::int64_t> to) {
  HostTensor src = addresses_of(sources), dst = addresses_of(targets);
  HostTensor src_indices = numbers_of(std::move(from)), dst_indices = numbers_of(std::move(to));
  call_reference("hisparse_transfer", function, {&src, &dst, &src_indices, &dst_indices});
}

/// Expects that `got` is `before` with these parts copied from `source`: (to, from, bytes).
void expect_copied(const HostTensor& got, HostTensor before, const HostTensor& source,
                   const std::vector<std::array<std::int64_t, 3>>& parts) {
  for (const auto& [to, from, bytes] : parts)
    std::memcpy(before.storage.data() + to, source.storage.data() + from, static_cast<std::size_t>(bytes));
  EXPECT_EQ(got.storage, before.storage);
}

TEST(HisparseTransferReference, PagedTokensAreCopiedInTwoParts) {
  std::vector<HostTensor> sources{cache_of(2 * kPageBytes, 7)}, targets{cache_of(3 * kPageBytes, 3)};
  const HostTensor before = targets[0];
  // Token 66 is row 2 of page 1; token 191 is row 63 of page 2.
  transfer("transfer_cache_dsv4_mla", sources, targets, {66, 0}, {191, 64});
  expect_copied(targets[0], before, sources[0],
                {{2 * 37440 + 63 * 576, 37440 + 2 * 576, 576},
                 {2 * 37440 + 36864 + 63 * 8, 37440 + 36864 + 2 * 8, 8},
                 {37440, 0, 576},
                 {37440 + 36864, 36864, 8}});
}

TEST(HisparseTransferReference, LinearTokensHaveTheirScalesBehindTheData) {
  std::vector<HostTensor> sources{cache_of(2 * kPageBytes, 7)}, targets{cache_of(5 * 584, 3)};
  const HostTensor before = targets[0];
  transfer("hisparse_transfer", sources, targets, {63, 64}, {4, 0});
  expect_copied(
      targets[0], before, sources[0],
      {{4 * 584, 63 * 576, 576}, {4 * 584 + 576, 36864 + 63 * 8, 8}, {0, 37440, 576}, {576, 37440 + 36864, 8}});
}

TEST(HisparseTransferReference, EveryLayerHasItsOwnCaches) {
  std::vector<HostTensor> sources{cache_of(kPageBytes, 7), cache_of(kPageBytes, 11), cache_of(kPageBytes, 13)};
  std::vector<HostTensor> targets{cache_of(kPageBytes, 1), cache_of(kPageBytes, 2), cache_of(kPageBytes, 3)};
  const std::vector<HostTensor> before = targets;
  transfer("transfer_cache_dsv4_mla", sources, targets, {5}, {1});
  for (std::size_t layer = 0; layer < 3; ++layer) {
    expect_copied(targets[layer], before[layer], sources[layer], {{576, 5 * 576, 576}, {36864 + 8, 36864 + 5 * 8, 8}});
  }
}

TEST(HisparseTransferReference, NegativeIndicesAndNoItemsCopyNothing) {
  std::vector<HostTensor> sources{cache_of(kPageBytes, 7)}, targets{cache_of(kPageBytes, 1)};
  const HostTensor before = targets[0];
  transfer("transfer_cache_dsv4_mla", sources, targets, {}, {});
  transfer("transfer_cache_dsv4_mla", sources, targets, {-1, 3, -64}, {4, -1, -5});
  EXPECT_EQ(targets[0].storage, before.storage);
}

TEST(HisparseTransferReference, RefusesWrongArguments) {
  HostTensor two = HostTensor::make(DType::kU64, {2}), one = HostTensor::make(DType::kU64, {1});
  HostTensor signed_pointers = HostTensor::make(DType::kI64, {2});
  HostTensor items = numbers_of({1, 2, 3}), fewer = numbers_of({1, 2}), narrow = HostTensor::make(DType::kI32, {3});
  for (const char* function : {"hisparse_transfer", "transfer_cache_dsv4_mla"}) {
    const auto refused = [&](HostTensor& a, HostTensor& b, HostTensor& c, HostTensor& d) {
      return refusal("hisparse_transfer", function, {&a, &b, &c, &d});
    };
    EXPECT_THAT(refused(two, one, items, items), HasSubstr("'dst_ptrs': expected size 2 in dimension 0, got 1"));
    EXPECT_THAT(refused(signed_pointers, two, items, items), HasSubstr("'src_ptrs': expected uint64, got int64"));
    EXPECT_THAT(refused(two, two, items, fewer), HasSubstr("'dst_indices': expected size 3 in dimension 0, got 2"));
    EXPECT_THAT(refused(two, two, narrow, items), HasSubstr("'src_indices': expected int64, got int32"));
  }
}

}  // namespace
}  // namespace dsv4::testing
