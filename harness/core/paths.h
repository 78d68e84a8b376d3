/// Finds the files that belong to the tool. They are searched relative to the executable, so that a build folder or an
/// installation can be moved.
#pragma once

#include <optional>
#include <string>

namespace dsv4 {

/// Folder of the running executable.
std::string executable_folder();

/// Path of a file or folder that comes with the tool. These places are searched in this order: beside the executable,
/// one level up (a build folder in the repository), in share/dsv4diff beside the executable's folder, in the current
/// folder. nullopt if it is in none of them.
std::optional<std::string> find_data(const std::string& name);

/// Path of a script that comes with the tool, such as "report.py" in scripts/. It is searched beside the executable
/// and one level up. The current folder is not searched, because a script is run and not only read. nullopt if it is in
/// neither place.
std::optional<std::string> find_script(const std::string& name);

}  // namespace dsv4
