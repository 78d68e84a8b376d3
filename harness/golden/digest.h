/// Computes digests, samples and statistics of tensors. If a tensor is too large to be kept in full, a golden keeps its
/// digests, a sample and statistics instead.
///
/// Everything here is part of the file format. If a constant or a formula changes, the schema (columns.h) must change
/// too, because recorded files would be misread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/call/call.h"

namespace dsv4 {

using Bytes = std::vector<std::uint8_t>;

/// An XXH3-128 hash in canonical (big-endian) byte order. So its hex text is the text that the program xxhsum prints.
using Digest = std::array<std::uint8_t, 16>;

/// Largest size of an output that is kept in full, in packed bytes (without gaps). Of a larger output, digests, a
/// sample and statistics are kept.
constexpr std::size_t kFullBytes = 256;
/// Number of sampled elements of an output that is not kept in full.
constexpr std::int64_t kSampleElements = 32;
/// Smallest block size for block digests, in bytes, and largest number of blocks. If an output would need more blocks,
/// its blocks are larger.
constexpr std::size_t kSmallestBlock = 64 * 1024;
constexpr std::size_t kMostBlocks = 32;

Digest digest_of(std::span<const std::uint8_t> bytes);

/// Returns a digest of everything that a call gives to a kernel: op, auxiliary function, compile-time parameters and
/// arguments. For each argument, it covers name, role, place and misalignment. For each tensor, it also covers dtype,
/// shape, strides, offset and storage size. It covers the storage bytes of inputs, gaps included, and the bits of
/// scalars. It does not cover the storage of outputs and workspaces, because that storage holds poison.
Digest input_digest(const Call& call);

/// Returns the size in bytes of the blocks of an output with `total` bytes. The size is kSmallestBlock, doubled until
/// there are at most kMostBlocks blocks.
std::size_t block_size(std::size_t total);
/// Returns the number of blocks of an output with `total` bytes. It is 0 for an output that is kept in full.
std::size_t block_count(std::size_t total);
/// Returns the XXH3-64 hash of each block of packed bytes. The result is empty for an output that is kept in full.
std::vector<std::uint64_t> block_digests(std::span<const std::uint8_t> bytes);

/// Returns the row-major indices of the sampled elements in ascending order. If there are at most kSampleElements
/// elements, all of them are sampled. Otherwise the indices are divided into kSampleElements ranges of nearly equal
/// length. One index of each range is taken, at a fixed pseudo-random place, because a constant stride could hit the
/// same column every time. The first and the last element are always sampled, because kernels fail most often at the
/// end of a tensor.
std::vector<std::int64_t> sample_positions(std::int64_t numel);

/// Statistics of an output. `min`, `max` and `sum` take only finite elements, and are NaN if there are none.
struct Statistics {
  double min = 0;
  double max = 0;
  double sum = 0;
  std::int64_t nan = 0;
  std::int64_t infinite = 0;
  std::int64_t zero = 0;
};
/// Computes the statistics of a tensor that must have no gaps. The sum is computed in row-major order and in double
/// precision, so that every machine gets the same result.
Statistics statistics_of(const HostTensor& packed);

std::string hex(std::span<const std::uint8_t> bytes);
/// Converts pairs of lower-case hex digits to bytes, as the inverse of hex(). Throws Error for any other text.
Bytes bytes_from_hex(std::string_view text);
/// Converts 32 lower-case hex digits to a digest. Throws Error for any other text.
Digest digest_from_hex(std::string_view text);

}  // namespace dsv4
