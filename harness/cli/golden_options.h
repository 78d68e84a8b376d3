/// Finds goldens, for the commands that record and verify.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace dsv4 {

/// One recorded set: its golden files by op.
struct RecordedSet {
  std::string set;                           ///< "" if --golden names one file
  std::string against;                       ///< its name in results: "golden:<set>", or "golden:<file>"
  std::map<std::string, std::string> files;  ///< op -> HDF5 file
};

/// The folder of goldens: `given` if not empty, else the one that comes with the tool, else "golden" in the
/// current folder.
std::string golden_root(const std::string& given);

/// The same folder for recording. Throws Error if it cannot be written, so that this is known before a long recording.
std::string golden_root_to_write(const std::string& given);

/// Finds the goldens that --golden and --recorded name. `golden` is a folder or one file; "" means the default folder.
/// `recorded` lists sets; empty means all. Throws an Error with a suggestion if there are none.
std::vector<RecordedSet> find_goldens(const std::string& golden, const std::vector<std::string>& recorded);

}  // namespace dsv4
