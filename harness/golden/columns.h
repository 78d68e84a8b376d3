/// Defines the content of a golden file and its form in HDF5 (schema 1).
///
/// The values of all cases are stored in columns. Each column is one HDF5 data set, because an HDF5 group for each case
/// would take half a kilobyte even if it were empty. Cases are sorted by id. The outputs of case i come after the
/// outputs of case i-1. Below, n is the number of cases, and m is the number of outputs.
///
///   attributes of the root    schema, op, set, provenance (JSON object of strings, keys sorted)
///   case_id                   string[n]
///   case_inputs               u8[n,16]    input_digest()
///   case_verdict, case_fault  string[n]   verdict against the reference at recording; id of the known fault, or ""
///   case_outputs              i64[n]      number of outputs
///   output_name, output_dtype, output_shape ("4x512", "" for a scalar), output_tolerance     string[m]
///   output_digest             u8[m,16]    digest of the packed bytes
///   output_range              f64[m,4]    min, max and sum of the finite elements; error/bound
///   output_counts             i64[m,4]    number of NaN, infinities, zeros, certified alternatives
///   blocks                    u64[...]    block digests: block_count() numbers for each output
///   kept                      u8[...]     for each output: all bytes if at most kFullBytes, else the sampled elements
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "harness/golden/digest.h"
#include "harness/golden/entry.h"

namespace dsv4 {

/// Number of the file format. It must be raised if a reader of the old format would misread the new one, for example
/// because a formula of digest.h has changed.
constexpr std::int64_t kGoldenSchema = 1;

struct Golden {
  std::string op;
  std::string set;  ///< name of the recorded set
  /// Package, version, compiler, arch, device, driver and so on. A time is never stored, because the files must
  /// be deterministic.
  std::map<std::string, std::string> provenance;
  std::vector<GoldenEntry> entries;  ///< sorted by id
};

/// Throws Error unless `e` is consistent. Its shapes must be possible. Its numbers of kept bytes and of block digests
/// must follow from shapes and dtypes. An output that is kept in full must have the recorded digest. Texts must not
/// contain control characters.
void check_entry(const GoldenEntry& e);

/// Sorts the entries by id, and gives every NaN the same bits. Throws Error if the golden contains something that a
/// file must not contain: inconsistent or duplicate entries, entries of another op or set, or control characters in
/// the provenance.
void normalize(Golden& golden);

/// Counts the differences between a new recording and the recording before it.
struct GoldenDifference {
  std::size_t added = 0;    ///< cases that only the new recording has
  std::size_t changed = 0;  ///< cases that both recordings have, but with at least one different bit
  std::size_t removed = 0;  ///< cases that only the old recording has
  bool origin = false;      ///< true if op, set or provenance differs
  bool operator==(const GoldenDifference&) const = default;
};

/// Compares two goldens, which must be normalized.
GoldenDifference difference(const Golden& before, const Golden& after);

/// True if two normalized goldens have the same content, bit for bit.
bool same_content(const Golden& a, const Golden& b);

/// Returns the HDF5 image of a normalized golden: the bytes of its file. Only tests pass a `schema` that is
/// not kGoldenSchema.
Bytes encode_golden(const Golden& golden, std::int64_t schema = kGoldenSchema);

/// The inverse of encode_golden(). Throws Error if the image is not a valid golden of schema 1. The message begins with
/// `where`, the path of the file.
Golden decode_golden(std::span<const std::uint8_t> image, const std::string& where);

/// Returns the advice that ends error messages: the command that records a golden again.
std::string record_again(const std::string& op, const std::string& set);

}  // namespace dsv4
