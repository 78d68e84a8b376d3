/// Report files.
#pragma once

#include <string>

namespace dsv4 {

/// Replaces the file as a whole: a reader sees the old one or the new one. Devices, pipes and what is open already
/// (/dev/stdout) are written to directly.
/// Throws Error that names the file.
void write_report(const std::string& path, const std::string& text);

/// Throws Error if a report at `path` could not be written for a reason that can be seen beforehand (no such folder, no
/// permission), so that a long run does not end with one.
void check_report_path(const std::string& option, const std::string& path);

/// True if both name one regular file, which may not be there yet.
bool same_file(const std::string& a, const std::string& b);

}  // namespace dsv4
