/// Shows the progress of a run. On a terminal, one line is overwritten again and again. Elsewhere, a new line is
/// printed every few seconds.
#pragma once

#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

#include "harness/verdict/result.h"

namespace dsv4 {

class Progress {
 public:
  struct Options {
    std::FILE* out = stderr;
    bool terminal = false;             ///< true if `out` is a terminal
    std::string label;                 ///< the set
    std::optional<std::size_t> total;  ///< number of cases, if it is known
    std::optional<double> seconds;     ///< duration of a run that is limited by time
    double plain_interval_seconds = 5;
    double terminal_interval_seconds = 0.2;
  };

  explicit Progress(Options options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(Verdict verdict);
  /// Changes the verdict of a case that was added with the verdict `from`.
  void change(Verdict from, Verdict to);
  /// Prints the line if the interval since the last printed line is over.
  void tick();

  /// Returns a line such as "host: 120/514 (23 %), 95 cases/s, 0:04 left, 1 failed".
  [[nodiscard]] std::string line(double elapsed_seconds) const;

 private:
  Options options_;
  std::array<std::size_t, 7> counts_{};
  std::size_t done_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point printed_ = start_;
  std::size_t width_ = 0;  // width of the last line on the terminal
};

}  // namespace dsv4
