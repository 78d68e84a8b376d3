/// Writes report files.
#pragma once

#include <string>

namespace dsv4 {

/// Replaces the file in one step, so that a reader sees either the old file or the new one. Devices, pipes and open
/// descriptors (/dev/stdout) are written to directly. If the file cannot be written, throws an Error that names it.
void write_report(const std::string& path, const std::string& text);

/// Puts `text` in the place of the report that an earlier run may have left. Devices, pipes and open descriptors are
/// not written to, because they do not keep a report. Throws like write_report().
void replace_old_report(const std::string& path, const std::string& text);

/// Throws Error if it is already clear that `path` cannot be written, for example because its folder is missing or not
/// writable. Call this before a long run, so that the run does not end with this error. The message begins with
/// `option`, the name of the option that gave `path`.
void check_report_path(const std::string& option, const std::string& path);

/// True if both paths name the same regular file. The file need not exist yet.
bool same_file(const std::string& a, const std::string& b);

}  // namespace dsv4
