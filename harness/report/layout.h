/// How a text is laid out for a terminal: its width, and whether it has colours.
#pragma once

#include <cstddef>
#include <string>

namespace dsv4 {

constexpr std::size_t kUsualWidth = 80;  ///< columns of a terminal, if nothing else is known

struct Layout {
  std::size_t width = kUsualWidth;
  bool color = false;
};

enum class Paint { kBold, kGood, kBad, kFaint };

/// Returns `text` in a colour, or unchanged if the layout has no colours. `text` must be one line.
std::string painted(const Layout& layout, Paint paint, const std::string& text);

/// The same for each line of a text.
std::string painted_lines(const Layout& layout, Paint paint, const std::string& text);

/// Breaks a text into lines that fit, and ends the last line. The first line keeps the spaces at the start of the text.
/// The other lines begin with `indent` spaces. A word that is longer than a line, such as a case id, is not broken.
std::string lines_of(const Layout& layout, const std::string& text, std::size_t indent = 2);

/// Number of rows that `text` takes on the terminal, where a line that is too long continues in the next row.
std::size_t rows_of(const Layout& layout, const std::string& text);

}  // namespace dsv4
