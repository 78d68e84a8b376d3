/// The terminal to which a command prints.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "harness/report/layout.h"

namespace dsv4 {

/// The option --color, and what the environment says about the terminal.
class ScreenOptions {
 public:
  void add(CLI::App& app);
  /// Returns the layout of standard output. The width is that of the terminal, or $COLUMNS, or 80 if the output is not
  /// a terminal. With --color auto there are colours on a terminal, unless $NO_COLOR is set or $TERM is "dumb".
  [[nodiscard]] Layout layout() const;

 private:
  std::string color_ = "auto";
};

}  // namespace dsv4
