#include "harness/run/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/core/text.h"

namespace dsv4 {

Progress::Progress(Options options) : options_(std::move(options)) {}

Progress::~Progress() {
  if (options_.terminal && width_ != 0) {
    std::fprintf(options_.out, "\r%*s\r", static_cast<int>(width_), "");
    std::fflush(options_.out);
  }
}

void Progress::add(Verdict verdict) {
  ++counts_[static_cast<std::size_t>(verdict)];
  ++done_;
}

void Progress::change(Verdict from, Verdict to) {
  --counts_[static_cast<std::size_t>(from)];
  ++counts_[static_cast<std::size_t>(to)];
}

std::string Progress::line(double elapsed) const {
  std::string text = fmt::format("{}: {}", options_.label, done_);
  if (options_.total) {
    const auto share = *options_.total == 0 ? 100.0 : 100.0 * static_cast<double>(done_) / *options_.total;
    text += fmt::format("/{} ({:.0f} %)", *options_.total, std::floor(share));
  } else {
    text += " cases";
  }
  const double rate = elapsed > 0 ? static_cast<double>(done_) / elapsed : 0;
  if (rate > 0) text += fmt::format(", {:.{}f} cases/s", rate, rate < 10 ? 1 : 0);
  if (options_.seconds) {
    text += fmt::format(", {} left", format_duration(*options_.seconds - elapsed));
  } else if (options_.total && rate > 0) {
    text += fmt::format(", {} left", format_duration(static_cast<double>(*options_.total - done_) / rate));
  }
  for (const Verdict v : {Verdict::kFailed, Verdict::kError, Verdict::kMistrusted, Verdict::kKnown}) {
    const auto n = counts_[static_cast<std::size_t>(v)];
    if (n != 0) text += fmt::format(", {} {}", n, name_of(v));
  }
  return text;
}

void Progress::tick() {
  const auto now = std::chrono::steady_clock::now();
  const double interval = options_.terminal ? options_.terminal_interval_seconds : options_.plain_interval_seconds;
  if (std::chrono::duration<double>(now - printed_).count() < interval) return;
  printed_ = now;
  const std::string text = line(std::chrono::duration<double>(now - start_).count());
  if (options_.terminal) {
    std::fprintf(options_.out, "\r%-*s", static_cast<int>(width_), text.c_str());
    width_ = text.size();
  } else {
    std::fprintf(options_.out, "%s\n", text.c_str());
  }
  std::fflush(options_.out);
}

}  // namespace dsv4
