/// The content of a golden file, and its form in HDF5: schema 1.
///
/// All cases are packed into columns; each column is one data set. A group for each case would take half a kilobyte
/// before it holds anything. Cases are sorted by id; the outputs of case i follow those of case i-1.
///
///   attributes of the root    schema, op, set, provenance (JSON object of strings, keys sorted)
///   case_id                   string[n]
///   case_inputs               u8[n,16]    input_digest()
///   case_verdict, case_fault  string[n]   verdict against the reference at recording; id of the fault that showed
///   case_outputs              i64[n]      number of outputs
///   output_name, output_dtype, output_shape ("4x512", "" for a scalar), output_tolerance     string[m]
///   output_digest             u8[m,16]    of the packed bytes
///   output_range              f64[m,4]    min, max and sum of the finite elements; tightness
///   output_counts             i64[m,4]    NaN, infinities, zeros; certified alternatives
///   blocks                    u64[...]    block digests, block_count() of each output
///   kept                      u8[...]     all bytes of each output of at most kFullBytes, else its sampled elements
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "harness/golden/digest.h"
#include "harness/golden/entry.h"

namespace dsv4 {

/// Must be raised when a reader of the old form would misread the new one. This includes the formulas of digest.h.
constexpr std::int64_t kGoldenSchema = 1;

struct Golden {
  std::string op;
  std::string set;  ///< set it was recorded from
  /// Package, version, compiler, arch, device, driver, ...; never a time, because files must be deterministic.
  std::map<std::string, std::string> provenance;
  std::vector<GoldenEntry> entries;  ///< sorted by id
};

/// Throws Error unless `e` is consistent: its shapes are possible, its sizes follow from them, and kept bytes have the
/// recorded digest.
void check_entry(const GoldenEntry& e);

/// Sorts the entries and gives every NaN the same bits. Throws Error for what a file may not hold: inconsistent or
/// duplicate entries, entries of another op or set, control characters in provenance.
void normalize(Golden& golden);

/// How a recording differs from the one before it.
struct GoldenDifference {
  std::size_t added = 0;    ///< cases that only the new one has
  std::size_t changed = 0;  ///< cases that both have, with at least one different bit
  std::size_t removed = 0;  ///< cases that only the old one has
  bool origin = false;      ///< op, set or provenance differs
  bool operator==(const GoldenDifference&) const = default;
};

/// How `after` differs from `before`. Both must be normalized.
GoldenDifference difference(const Golden& before, const Golden& after);

/// True if two normalized goldens have the same content, bit for bit.
bool same_content(const Golden& a, const Golden& b);

/// The HDF5 image of a normalized golden. `schema` differs from kGoldenSchema only in tests.
Bytes encode_golden(const Golden& golden, std::int64_t schema = kGoldenSchema);

/// The inverse of encode_golden. Throws Error if the image is not a valid golden of schema 1. Messages begin with
/// `where`, the file's path.
Golden decode_golden(std::span<const std::uint8_t> image, const std::string& where);

/// The sentence that says how to make a golden again.
std::string record_again(const std::string& op, const std::string& set);

}  // namespace dsv4
