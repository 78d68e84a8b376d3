/// Writes and reads the text index of a golden. The index has one line for each case, sorted by id, for people who
/// review a change in git. A checksum says which HDF5 file the index belongs to.
///
///   # dsv4diff golden schema 1
///   # h5 bytes=48213 xxh3=<32 hex digits>            size and digest of the .h5 file
///   # text xxh3=<32 hex digits>                      digest of all lines below this one
///   # op topk_v1, set sglang-0.5.12, 214 cases
///   # provenance arch=sm_90 compiler="..." ...
///   topk_v1/k=512,.../seed=7 in=1a2b3c4d5e6f passed t=0.31 | indices i32[4,512] 9f3e21aa04b1 0..8192 sum=8.3e6 zero=3
///
/// `in=` is the digest of the inputs. After the shape of an output comes its digest. Only the first 12 hex digits of
/// each digest are written. The next words are the smallest and the largest finite value, and the sum of the finite
/// values. Numbers of zeros, NaN, infinities and certified alternatives follow if they are not 0. `t` is the largest
/// error/bound of the outputs. The id of a known fault follows the verdict in brackets. If the verdict is not `passed`
/// because of findings, which no value shows, the line ends with " ! " and the first of them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "harness/golden/columns.h"

namespace dsv4 {

/// Returns the index of a normalized golden. `image` is the HDF5 image of the golden.
std::string format_index(const Golden& golden, std::span<const std::uint8_t> image,
                         std::int64_t schema = kGoldenSchema);

/// Returns the line of one case, without the line end.
std::string index_line(const GoldenEntry& entry);

/// Size and digest of the HDF5 file, as the index states them.
struct IndexHeader {
  std::size_t bytes = 0;
  Digest digest{};
};

/// Reads the header of an index and verifies the checksum of the index itself. Throws Error if the index is malformed,
/// has another schema, or was edited. The message begins with `where`, the path of the index.
IndexHeader parse_index(std::string_view text, const std::string& where);

}  // namespace dsv4
