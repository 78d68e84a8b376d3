/// Digests, samples and statistics: what a golden keeps of tensors that are too large to keep.
///
/// Everything here is part of the file format. A change of a constant or of a formula is a new schema (columns.h),
/// because recorded files would no longer mean what they say.
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

/// XXH3-128 in canonical (big-endian) byte order, so that its hex text is the one xxhsum prints.
using Digest = std::array<std::uint8_t, 16>;

/// An output of at most this many packed bytes is kept in full; a larger one as digests, a sample and statistics.
constexpr std::size_t kFullBytes = 256;
/// Elements kept of an output that is not kept in full.
constexpr std::int64_t kSampleElements = 32;
/// Smallest block of a block digest, and the most blocks an output is cut into (larger outputs get larger blocks).
constexpr std::size_t kSmallestBlock = 64 * 1024;
constexpr std::size_t kMostBlocks = 32;

Digest digest_of(std::span<const std::uint8_t> bytes);

/// Digest of everything that a call gives to a kernel: compile-time parameters, and for each argument its name, role,
/// place and misalignment; of tensors dtype, shape, strides, offset and storage size; the storage bytes of inputs (gaps
/// included); the bits of scalars. Storages of outputs and workspaces are poison and do not count.
Digest input_digest(const Call& call);

/// Size of the blocks that `total` bytes are cut into: kSmallestBlock, doubled until there are at most kMostBlocks.
std::size_t block_size(std::size_t total);
/// Number of blocks of `total` bytes; 0 for an output that is kept in full.
std::size_t block_count(std::size_t total);
/// XXH3-64 of each block of packed bytes; empty for an output that is kept in full.
std::vector<std::uint64_t> block_digests(std::span<const std::uint8_t> bytes);

/// Row-major indices of the sampled elements, ascending. The range is cut into kSampleElements strata with one element
/// of each at a fixed pseudo-random place (a constant stride would see one column only); the first and the last element
/// are always in, as tails break most. All elements when there are no more than kSampleElements.
std::vector<std::int64_t> sample_positions(std::int64_t numel);

/// Statistics of an output. `min`, `max` and `sum` are over the finite elements (NaN when there are none).
struct Statistics {
  double min = 0;
  double max = 0;
  double sum = 0;
  std::int64_t nan = 0;
  std::int64_t infinite = 0;
  std::int64_t zero = 0;
};
/// `packed` has no gaps. The sum is taken in row-major order in double precision, so that it is the same everywhere.
Statistics statistics_of(const HostTensor& packed);

std::string hex(std::span<const std::uint8_t> bytes);
/// The inverse of hex. Throws Error for anything but pairs of lower-case hex digits.
Bytes bytes_from_hex(std::string_view text);
/// A digest from 32 hex digits. Throws Error.
Digest digest_from_hex(std::string_view text);

}  // namespace dsv4
