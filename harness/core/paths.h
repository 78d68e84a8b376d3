/// Where the tool finds what belongs to it. Everything is looked for relative to the executable, so that a build folder
/// or an installation can be moved.
#pragma once

#include <optional>
#include <string>

namespace dsv4 {

/// Folder of the running executable.
std::string executable_folder();

/// A file or folder that comes with the tool: beside the executable, one level up (a build folder in the repository),
/// in share/dsv4diff beside the executable's folder, or else in the current folder. nullopt if it is nowhere.
std::optional<std::string> find_data(const std::string& name);

}  // namespace dsv4
