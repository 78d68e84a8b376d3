/// Runs the Python programs that come with the tool, in scripts/.
#pragma once

#include <string>
#include <vector>

namespace dsv4 {

/// Replaces this process by `python3 scripts/<script> <words>`, with its exit status. Standard output is flushed first.
/// Throws Error if the script is not with the tool, or if Python cannot be started.
[[noreturn]] void become_python_program(const std::string& script, const std::vector<std::string>& words);

}  // namespace dsv4
