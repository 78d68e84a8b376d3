/// Golden files on disk: golden/<op>/<set>.h5 and, beside it, the text index golden/<op>/<set>.txt.
#pragma once

#include <string>
#include <vector>

#include "harness/golden/columns.h"

namespace dsv4 {

/// "<root>/<op>/<set>.h5". Throws Error for a name that could lead out of `root`.
std::string golden_path(const std::string& root, const std::string& op, const std::string& set);
/// The text index of an HDF5 file: the same name with .txt.
std::string index_path(const std::string& golden_path);
/// Ops that have at least one file of a golden of `set` under `root`, sorted. Empty if the folder does not exist.
std::vector<std::string> recorded_ops(const std::string& root, const std::string& set);
/// Sets for which any op has at least one file of a golden under `root`, sorted.
std::vector<std::string> recorded_sets(const std::string& root);

enum class GoldenChange {
  kNew,        ///< there was no old one
  kChanged,    ///< the old one was different, or damaged
  kUnchanged,  ///< the old one has the same content and was not touched
};

/// What writing a golden did to the old one.
struct GoldenWriting {
  GoldenChange change = GoldenChange::kNew;
  GoldenDifference difference;  ///< from the old one; empty if there was none or it could not be read
  std::string damage;           ///< why the old one could not be read; "" if it could, or there was none
};

/// Writes a golden and its index. Entries need not be sorted. If the old file has the same content, it is not touched.
/// So recording again leaves git clean, even where another version of HDF5 or zlib packs the same content into other
/// bytes. Throws Error if the golden is inconsistent or cannot be written. The old files are then unchanged, except as
/// replace_pair (files.h) says.
GoldenWriting write_golden(const std::string& path, Golden golden);

/// Reads a golden. Throws Error if the file is missing, truncated, not an HDF5 file, or wrong in a single bit. It also
/// throws if the schema is another one, or if the path or the index beside the file does not fit. The message says
/// which file, what is wrong and what to do. HDF5 only reads bytes whose checksum is right.
Golden read_golden(const std::string& path, const std::string& expected_op);

}  // namespace dsv4
