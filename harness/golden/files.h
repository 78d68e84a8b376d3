/// Files read and replaced as a whole.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "harness/golden/digest.h"

namespace dsv4 {

/// The file's bytes. Throws Error that names the file: absent, unreadable, no regular file, or above `most_bytes`.
Bytes read_whole_file(const std::string& path, std::size_t most_bytes);

/// Replaces (or makes) `first` and `second`, making their folder where needed. Both are written and synced under
/// temporary names in that folder (temporary_name) before the first is renamed, so that at every moment, whatever
/// happens to the process, each name holds either the old or the new content, whole. Only between the two renames is
/// `first` new and `second` old, and then the new `second` is complete under its temporary name.
/// Throws Error (folder not writable, disk full, another process is at it, ...), after which both are as they were,
/// except when the second rename itself fails.
void replace_pair(const std::string& first, std::span<const std::uint8_t> first_bytes, const std::string& second,
                  std::string_view second_text);

/// Where replace_pair prepares a file: ".<name>.new" in the same folder.
std::string temporary_name(const std::string& path);

}  // namespace dsv4
