/// Reads and writes golden files. A golden consists of an HDF5 file, golden/<op>/<set>.h5, and a text index in the same
/// folder, golden/<op>/<set>.txt.
#pragma once

#include <string>
#include <vector>

#include "harness/golden/columns.h"
#include "harness/golden/movement.h"

namespace dsv4 {

/// Returns "<root>/<op>/<set>.h5". Throws Error if a name could lead out of `root`.
std::string golden_path(const std::string& root, const std::string& op, const std::string& set);
/// Returns the path of the text index for an HDF5 file: the same path with the extension .txt.
std::string index_path(const std::string& golden_path);
/// Returns the ops with a golden of `set` under `root`, sorted. One of the two files of a golden is enough. The result
/// is empty if the folder does not exist.
std::vector<std::string> recorded_ops(const std::string& root, const std::string& set);
/// Returns the sets with a golden of any op under `root`, sorted. One of the two files of a golden is enough.
std::vector<std::string> recorded_sets(const std::string& root);

enum class GoldenChange {
  kNew,        ///< there was no old golden
  kChanged,    ///< the old golden was different, incomplete or damaged
  kUnchanged,  ///< the old golden has the same content, so its files were not touched
};

/// What happened to the old golden when a new one was written.
struct GoldenWriting {
  GoldenChange change = GoldenChange::kNew;
  GoldenDifference difference;  ///< from the old golden; empty if it did not exist or could not be read
  std::string damage;           ///< why the old golden could not be read; "" if it could be read or did not exist
};

/// What a recording would change.
struct GoldenPreview {
  GoldenWriting writing;
  std::vector<Movement> moved;       ///< outputs with other bits, the farthest first
  std::vector<std::string> failing;  ///< cases that passed in the old golden, and differ in the new one
};

/// Compares `golden` with the golden at `path`, and writes nothing. Throws Error if the golden is inconsistent.
GoldenPreview preview_golden(const std::string& path, Golden golden);

/// Writes a golden and its index. The entries need not be sorted. If the old golden has the same content, its files are
/// not touched. So a repeated recording changes nothing in git, even if another version of HDF5 or zlib would write
/// different bytes. Throws Error if the golden is inconsistent or cannot be written. The old files are then unchanged,
/// except in the case that replace_pair() (files.h) describes.
GoldenWriting write_golden(const std::string& path, Golden golden);

/// Reads a golden. Throws Error if the file is missing, truncated or not an HDF5 file, or if a single bit of it is
/// wrong. Also throws Error if the schema is another one, if op or set do not match the path, or if the index is
/// missing or belongs to another file. The message names the file, the problem and the remedy. HDF5 reads the bytes
/// only after their checksum has been verified.
Golden read_golden(const std::string& path, const std::string& expected_op);

}  // namespace dsv4
