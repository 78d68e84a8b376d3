/// Finds goldens for the commands `record` and `verify`.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace dsv4 {

/// The golden files of one recorded set.
struct RecordedSet {
  std::string set;                           ///< "" if --golden names one file
  std::string against;                       ///< name of the other side in results: "golden:<set>" or "golden:<file>"
  std::map<std::string, std::string> files;  ///< HDF5 file of each op
};

/// Returns the folder of goldens: `given` if it is not empty, else the folder that comes with the tool, else "golden"
/// in the current folder.
std::string golden_root(const std::string& given);

/// Returns golden_root(given) for a recording. Throws Error if the folder cannot be written, so that the user knows
/// this before a long recording.
std::string golden_root_to_write(const std::string& given);

/// Finds the goldens that --golden and --recorded name. `golden` is a folder or one file; "" means the default
/// folder. `recorded` is a list of sets; an empty list means all sets. If there are no such goldens, throws an Error
/// with a suggestion.
std::vector<RecordedSet> find_goldens(const std::string& golden, const std::vector<std::string>& recorded);

}  // namespace dsv4
