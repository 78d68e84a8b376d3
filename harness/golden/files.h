/// Reads and replaces whole files.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "harness/golden/digest.h"

namespace dsv4 {

/// The file's bytes. Throws an Error that names the file if it is absent, unreadable, not a regular file, or larger
/// than `most_bytes`.
Bytes read_whole_file(const std::string& path, std::size_t most_bytes);

/// Replaces (or makes) `first` and `second`, and makes their folder if needed. Both are written and synced under
/// temporary names in that folder (temporary_name) before `first` is renamed. So at every moment each name holds the
/// complete old or new content, even if the process dies. Between the two renames `first` is new and `second` is old;
/// the new `second` is then complete under its temporary name.
/// Throws Error if the folder is not writable, the disk is full, another process is writing the files, or the like.
/// Both are then unchanged, except if the second rename fails.
void replace_pair(const std::string& first, std::span<const std::uint8_t> first_bytes, const std::string& second,
                  std::string_view second_text);

/// Where replace_pair prepares a file: ".<name>.new" in the same folder.
std::string temporary_name(const std::string& path);

}  // namespace dsv4
