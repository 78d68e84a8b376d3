/// Shell commands that a user can copy and paste.
#pragma once

#include <string>
#include <vector>

namespace dsv4 {

/// One line that a POSIX shell splits into exactly these words, whatever characters they contain. Words with control
/// characters are written as $'...', which bash, zsh, ksh and busybox understand.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace dsv4
