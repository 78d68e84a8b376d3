/// The text index beside a golden's HDF5 file. It has one line for each case, sorted, for people who review a change in
/// git. A checksum says which HDF5 file it belongs to.
///
///   # dsv4diff golden schema 1
///   # h5 bytes=48213 xxh3=<32 hex digits>            the whole .h5 beside it
///   # text xxh3=<32 hex digits>                      every line below
///   # op topk_v1, set sglang-0.5.12, 214 cases
///   # provenance arch=sm_90 compiler="..." ...
///   topk_v1/k=512,.../seed=7 in=1a2b3c4d5e6f passed t=0.31 | indices i32[4,512] 9f3e21aa04b1 0..8192 sum=8.3e6 zero=3
///
/// `in=` is the input digest, and the word after the shape is the output digest (first 12 hex digits of each).
/// Then follow the smallest and largest finite value and their sum. Counts of zeros, NaN, infinities and certified
/// alternatives follow if they are not 0. `t` is the largest error over bound. A known fault follows its verdict
/// in brackets.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "harness/golden/columns.h"

namespace dsv4 {

/// The index of a normalized golden whose HDF5 image is `image`.
std::string format_index(const Golden& golden, std::span<const std::uint8_t> image,
                         std::int64_t schema = kGoldenSchema);

/// The line of one case, without the line end.
std::string index_line(const GoldenEntry& entry);

/// What the index says about the HDF5 file.
struct IndexHeader {
  std::size_t bytes = 0;
  Digest digest{};
};

/// Checks the index against its own checksum. Throws Error if the index is malformed, has another schema, or was
/// edited. Messages begin with `where`.
IndexHeader parse_index(std::string_view text, const std::string& where);

}  // namespace dsv4
