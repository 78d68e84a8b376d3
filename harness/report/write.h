/// Report files.
#pragma once

#include <string>

namespace dsv4 {

/// Replaces the file as a whole: a reader sees the old one or the new one. Devices and pipes are written to directly.
/// Throws Error that names the file.
void write_report(const std::string& path, const std::string& text);

/// Throws Error if a report at `path` could not be written for a reason that can be seen beforehand (no such folder, no
/// permission), so that a long run does not end with one.
void check_report_path(const std::string& option, const std::string& path);

}  // namespace dsv4
