/// Reads and replaces whole files.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "harness/golden/digest.h"

namespace dsv4 {

/// Returns the bytes of a file. Throws an Error that names the file if the file is absent, unreadable, not a regular
/// file, or larger than `most_bytes`.
Bytes read_whole_file(const std::string& path, std::size_t most_bytes);

/// Replaces or creates the files `first` and `second`, and creates their folder if needed. Both contents are first
/// written and synced under temporary names in that folder (temporary_name()). Then `first` is renamed, and then
/// `second`. So each name always has the complete old content or the complete new content, even if the process dies.
/// Between the two renames, `first` is new and `second` is old. The new content of `second` is then complete under its
/// temporary name.
/// Throws Error if a file cannot be written, for example because the folder is not writable, the disk is full, or
/// another process is writing the files. Both files are then unchanged, except if the second rename fails.
void replace_pair(const std::string& first, std::span<const std::uint8_t> first_bytes, const std::string& second,
                  std::string_view second_text);

/// Returns the temporary name that replace_pair() uses for a file: ".<name>.new" in the same folder.
std::string temporary_name(const std::string& path);

}  // namespace dsv4
