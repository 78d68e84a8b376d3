/// Where goldens are, shared by the commands that record and verify.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

namespace dsv4 {

/// One recorded set: its golden files by op.
struct RecordedSet {
  std::string set;                           ///< "" for one file that was named
  std::string against;                       ///< as results name it: "golden:<set>", or "golden:<file>"
  std::map<std::string, std::string> files;  ///< op -> HDF5 file
};

/// The folder of goldens: `given`, or the one that comes with the tool, or "golden" in the current folder.
std::string golden_root(const std::string& given);

/// The same, to record into. Throws Error for a reason not to that can be seen beforehand, so that a long recording
/// does not end with one.
std::string golden_root_to_write(const std::string& given);

/// What --golden (a folder or one file, "" for the default) and --recorded (sets; none: all) name. Throws Error if
/// there is nothing, with a suggestion.
std::vector<RecordedSet> find_goldens(const std::string& golden, const std::vector<std::string>& recorded);

}  // namespace dsv4
