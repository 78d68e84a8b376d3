/// Writes report files.
#pragma once

#include <string>

namespace dsv4 {

/// Replaces the file as a whole, so that a reader sees either the old or the new one. Devices, pipes and open
/// descriptors (/dev/stdout) are written to directly. Throws an Error that names the file.
void write_report(const std::string& path, const std::string& text);

/// Throws Error if it is already clear that `path` cannot be written: the folder is missing or may not be written, for
/// example. So a long run does not end with that error. The message begins with `option`.
void check_report_path(const std::string& option, const std::string& path);

/// True if both paths name the same regular file, which need not exist yet.
bool same_file(const std::string& a, const std::string& b);

}  // namespace dsv4
