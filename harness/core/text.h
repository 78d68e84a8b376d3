/// Text for people: tables, globs, suggestions for mistyped words, and escaping of text that comes from outside the
/// tool (refusals, printed output, file names).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dsv4 {

/// Returns `text` with control characters, and bytes that are not UTF-8, written as \xNN. So the text cannot move a
/// terminal's cursor. Line ends and tabs stay.
std::string printable(std::string_view text);
/// The same on one line: line ends and tabs become spaces.
std::string one_line(std::string_view text);

/// Returns `text`, or its first `most` bytes, "..." and its length if it is longer. Messages use this for names that
/// the user gave, because a name can have any length.
std::string shortened(std::string_view text, std::size_t most = 200);
/// Describes an error number: "No space left on device". For a limit of the shell, names the limit too.
std::string describe_errno(int number);

/// The parts of `text` between separators. Empty parts are left out.
std::vector<std::string> split(std::string_view text, char separator);

/// Number of characters (not bytes) of UTF-8 text.
std::size_t width_of(std::string_view text);

/// Formats a table whose first row is the heading. Each column is as wide as its widest cell. There are two spaces
/// between columns, and no spaces at the end of a line. `right` says which columns are aligned to the right.
std::string align(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right);

/// Breaks `text` between words into lines of at most `width` characters. Every line but the first begins with `indent`
/// spaces. A word that is longer than a line, such as a case id, is not broken. The last line has no line end.
std::string wrap(std::string_view text, std::size_t width, std::size_t indent);

/// "1 case" or "2 cases". `plural` is the singular with an s unless it is given.
std::string count_of(std::size_t n, std::string_view singular, std::string_view plural = "");

/// "0.42 s", "12.3 s" or "12:05".
std::string format_seconds(double seconds);

/// The largest ratio of error to bound: "0.31", "1e-06", or "-" for zero.
std::string format_tightness(double tightness);

/// "12:05" or "1:02:03": hours, minutes and seconds.
std::string format_duration(double seconds);

/// True if `text` matches `glob` by the rules of fnmatch(3). '*' matches any characters, '?' matches one character, and
/// '[abc]' matches one of a, b and c.
bool glob_match(const std::string& glob, const std::string& text);
/// True if `text` matches one of the globs.
bool any_glob_match(const std::vector<std::string>& globs, const std::string& text);
/// True if `text` contains a wildcard. Otherwise it is the name of one thing.
bool is_glob(std::string_view text);

/// The candidate with the smallest edit distance to `word`. Empty if no candidate is so close that `word` is probably a
/// typing error.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
/// ", did you mean 'topk_v1'?" or "".
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace dsv4
