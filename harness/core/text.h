/// Text for people: tables, escaping of foreign text (refusals, printed output, file names), globs, and suggestions for
/// mistyped words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// `text` with control characters and bytes that are not UTF-8 written as \xNN, so that it cannot move a terminal's
/// cursor. Line ends and tabs stay.
std::string printable(std::string_view text);
/// The same on one line: line ends and tabs become spaces.
std::string one_line(std::string_view text);

/// Number of characters (not bytes) of UTF-8 text.
std::size_t width_of(std::string_view text);

/// Columns padded to their widest cell, two spaces between, no spaces at the end. The first row is the heading.
/// `right`: which columns are aligned to the right.
std::string align(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right);

/// "0.42 s", "12.3 s" or "12:05".
std::string format_seconds(double seconds);

/// The largest error over bound: "0.31", "1e-06", or "-" for zero.
std::string format_tightness(double tightness);

/// "12:05" or "1:02:03": hours, minutes and seconds.
std::string format_duration(double seconds);

/// True if `text` matches `glob` as fnmatch(3) does. '*' matches any characters, '?' one character, and '[abc]' one
/// of these.
bool glob_match(const std::string& glob, const std::string& text);
/// True if `text` matches one of the globs.
bool any_glob_match(const std::vector<std::string>& globs, const std::string& text);
/// True if `text` contains a wildcard. Otherwise it names one thing.
bool is_glob(std::string_view text);

/// The candidate closest to `word` by edit distance, if close enough to be a likely typing error; else empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
/// ", did you mean 'topk_v1'?" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace dsv4
