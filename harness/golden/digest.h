/// Digests, samples and statistics. A golden keeps them of a tensor that is too large to keep in full.
///
/// Everything here is part of the file format. Changing a constant or a formula requires a new schema (columns.h),
/// because recorded files would be misread.
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

/// An output of at most this many packed bytes is kept in full; a larger one is kept as digests, a sample
/// and statistics.
constexpr std::size_t kFullBytes = 256;
/// Number of elements that are kept of an output that is not kept in full.
constexpr std::int64_t kSampleElements = 32;
/// Smallest block of a block digest, in bytes, and the largest number of blocks. Larger outputs get larger blocks.
constexpr std::size_t kSmallestBlock = 64 * 1024;
constexpr std::size_t kMostBlocks = 32;

Digest digest_of(std::span<const std::uint8_t> bytes);

/// Digest of everything that a call gives to a kernel: op, auxiliary function, compile-time parameters and arguments.
/// Of each argument, its name, role, place and misalignment count. Of a tensor, dtype, shape, strides, offset and
/// storage size count too. The storage bytes of inputs (gaps included) and the bits of scalars also count. The storage
/// of outputs and workspaces is poison and does not count.
Digest input_digest(const Call& call);

/// Size in bytes of the blocks that `total` bytes are cut into: kSmallestBlock, doubled until there are at
/// most kMostBlocks.
std::size_t block_size(std::size_t total);
/// Number of blocks of `total` bytes; 0 for an output that is kept in full.
std::size_t block_count(std::size_t total);
/// XXH3-64 of each block of packed bytes; empty for an output that is kept in full.
std::vector<std::uint64_t> block_digests(std::span<const std::uint8_t> bytes);

/// Row-major indices of the sampled elements, ascending; all elements if there are at most kSampleElements. Otherwise
/// the range is cut into kSampleElements strata. Each stratum gives one element at a fixed pseudo-random place; a
/// constant stride would see only one column. The first and the last element are always included, because tails break
/// most often.
std::vector<std::int64_t> sample_positions(std::int64_t numel);

/// Statistics of an output. `min`, `max` and `sum` are over the finite elements (NaN if there are none).
struct Statistics {
  double min = 0;
  double max = 0;
  double sum = 0;
  std::int64_t nan = 0;
  std::int64_t infinite = 0;
  std::int64_t zero = 0;
};
/// `packed` must have no gaps. The sum is taken in row-major order in double precision, so that it is the
/// same everywhere.
Statistics statistics_of(const HostTensor& packed);

std::string hex(std::span<const std::uint8_t> bytes);
/// The inverse of hex. Throws Error for anything but pairs of lower-case hex digits.
Bytes bytes_from_hex(std::string_view text);
/// A digest from 32 lower-case hex digits. Throws Error for any other text.
Digest digest_from_hex(std::string_view text);

}  // namespace dsv4
