/// Commands for people to paste.
#pragma once

#include <string>
#include <vector>

namespace dsv4 {

/// One line that a POSIX shell reads as these words, whatever is in them. Words with control characters take a form
/// ($'...') that bash, zsh, ksh and busybox know.
std::string shell_command(const std::vector<std::string>& words);

}  // namespace dsv4
