#include "harness/cli/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "harness/case/work.h"

namespace dsv4 {
namespace {

constexpr std::size_t kLeastWidth = 40;
constexpr std::size_t kMostWidth = 1000;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Width that $COLUMNS or the terminal states; nullopt if neither does.
std::optional<std::size_t> stated_width() {
  if (const auto n = number_in(variable("COLUMNS")); n && *n > 0) return static_cast<std::size_t>(*n);
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return std::nullopt;
}

}  // namespace

void ScreenOptions::add(CLI::App& app) {
  app.add_option("--color", color_, "Print in colours: auto (on a terminal, unless $NO_COLOR is set), always or never")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}).description(""))
      ->capture_default_str();
}

Layout ScreenOptions::layout() const {
  Layout layout;
  if (const auto width = stated_width()) layout.width = std::clamp(*width, kLeastWidth, kMostWidth);
  const bool suitable = ::isatty(STDOUT_FILENO) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  layout.color = color_ == "always" || (color_ == "auto" && suitable);
  return layout;
}

}  // namespace dsv4
