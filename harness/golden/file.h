/// Golden files on disk: golden/<op>/<set>.h5 and, beside it, the text index golden/<op>/<set>.txt.
#pragma once

#include <string>
#include <vector>

#include "harness/golden/columns.h"

namespace dsv4 {

/// "<root>/<op>/<set>.h5". Throws Error for an op or set name that would leave `root`.
std::string golden_path(const std::string& root, const std::string& op, const std::string& set);
/// The text index of an HDF5 file: the same name with .txt.
std::string index_path(const std::string& golden_path);
/// Ops that have a golden of `set` under `root`, or at least one file of it, sorted.
/// Empty when there is no such folder.
std::vector<std::string> recorded_ops(const std::string& root, const std::string& set);
/// Sets that any op has a golden of under `root`, sorted.
std::vector<std::string> recorded_sets(const std::string& root);

enum class GoldenChange {
  kNew,        ///< there was none
  kChanged,    ///< there was another one, or a damaged one
  kUnchanged,  ///< the file there already says exactly this, and was left alone
};

/// What writing a golden did to the one that was there.
struct GoldenWriting {
  GoldenChange change = GoldenChange::kNew;
  GoldenDifference difference;  ///< from the old one; empty if there was none or it could not be read
  std::string damage;           ///< why the old one could not be read; "" if it could, or there was none
};

/// Writes a golden and its index. Entries need not be sorted. A file that already says the same is left alone, so that
/// recording again leaves git clean even where another version of HDF5 or zlib packs the same content into other bytes.
/// Throws Error if the golden is inconsistent or cannot be written; then the old files are still there, whole.
GoldenWriting write_golden(const std::string& path, Golden golden);

/// Reads a golden. Nothing is tolerated: a file that is missing, truncated, damaged by a single bit, no HDF5 file, of
/// another schema, op or set than its name says, or that does not belong to the index beside it gives an Error that
/// says which file, what is wrong and what to do. HDF5 only sees bytes whose checksum is right.
Golden read_golden(const std::string& path, const std::string& expected_op);

}  // namespace dsv4
