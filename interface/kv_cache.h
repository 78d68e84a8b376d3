/// Byte layouts of the paged KV caches that DSv4 attention and its indexer read. This header contains only
/// these layouts.
///
/// A cache is `u8[pages, page_bytes]`. Slot s is row s % page_size of page s / page_size. Page sizes are powers of two.
/// In each layout, a page has first all its data rows, and then all its scale rows.
#pragma once

#include <cstdint>

namespace dsv4::layout {

/// Attention cache ("FlashMLA V4"): 584 bytes per token. A page begins with data rows of 576 bytes: 448 E4M3 codes and
/// 64 bfloat16 values. After all data rows come scale rows of 8 bytes. The last byte of a scale row is never written.
/// At the end, a page is padded to a multiple of 576 bytes. The padding is never written.
struct FlashMlaCache {
  static constexpr std::int64_t kDim = 512;        ///< number of elements of a token
  static constexpr std::int64_t kQuantized = 448;  ///< number of elements, from the first one, that are stored as E4M3
  static constexpr std::int64_t kGroup = 64;       ///< number of elements with a common scale
  static constexpr std::int64_t kGroups = 7;       ///< number of scale bytes of a token; a UE8M0 byte b means 2^(b-127)
  static constexpr std::int64_t kDataRow = 576;    ///< bytes of a data row: 448 codes, then 64 bfloat16
  static constexpr std::int64_t kScaleRow = 8;     ///< bytes of a scale row; 7 of them are used
  static constexpr std::int64_t kPageMultiple = 576;

  static constexpr std::int64_t page_bytes(std::int64_t page_size) {
    return (page_size * (kDataRow + kScaleRow) + kPageMultiple - 1) / kPageMultiple * kPageMultiple;
  }
  static constexpr std::int64_t data_offset(std::int64_t row) { return row * kDataRow; }
  static constexpr std::int64_t scale_offset(std::int64_t page_size, std::int64_t row) {
    return page_size * kDataRow + row * kScaleRow;
  }
};

/// Rows of the attention cache without pages, as sglang 0.5.12 keeps them in host memory: the data row of a token, and
/// its scale row right after it. It has no padding.
struct LinearCache {
  static constexpr std::int64_t kItem = FlashMlaCache::kDataRow + FlashMlaCache::kScaleRow;  ///< bytes of a token
};

/// Indexer cache: 132 bytes per token. A page begins with data rows of 128 E4M3 codes. After them comes one float scale
/// for each row. It has no padding.
struct IndexerCache {
  static constexpr std::int64_t kDim = 128;
  static constexpr std::int64_t kScaleBytes = 4;  ///< one float32, little endian

  static constexpr std::int64_t page_bytes(std::int64_t page_size) { return page_size * (kDim + kScaleBytes); }
  static constexpr std::int64_t data_offset(std::int64_t row) { return row * kDim; }
  static constexpr std::int64_t scale_offset(std::int64_t page_size, std::int64_t row) {
    return page_size * kDim + row * kScaleBytes;
  }
};

/// Indexer cache with 4-bit codes: 68 bytes per token. A page begins with data rows of 64 bytes: 128 E2M1 codes, that
/// of an even element in the low half of its byte. After them come four UE8M0 bytes for each row. It has no padding.
struct Fp4IndexerCache {
  static constexpr std::int64_t kDim = 128;
  static constexpr std::int64_t kGroup = 32;  ///< number of elements with a common scale
  static constexpr std::int64_t kGroups = 4;  ///< number of scale bytes of a token
  static constexpr std::int64_t kDataRow = 64;

  static constexpr std::int64_t page_bytes(std::int64_t page_size) { return page_size * (kDataRow + kGroups); }
  static constexpr std::int64_t data_offset(std::int64_t row) { return row * kDataRow; }
  static constexpr std::int64_t scale_offset(std::int64_t page_size, std::int64_t row) {
    return page_size * kDataRow + row * kGroups;
  }
};

static_assert(FlashMlaCache::page_bytes(1) == 1152 && FlashMlaCache::page_bytes(2) == 1728);
static_assert(FlashMlaCache::page_bytes(64) == 37440 && FlashMlaCache::page_bytes(256) == 149760);
static_assert(FlashMlaCache::scale_offset(64, 0) == 36864 && FlashMlaCache::scale_offset(256, 1) == 147464);
static_assert(IndexerCache::page_bytes(64) == 8448 && Fp4IndexerCache::page_bytes(64) == 4352);

}  // namespace dsv4::layout
