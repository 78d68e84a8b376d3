#include "harness/bench/timer.h"

#include <fmt/format.h>

#include "harness/core/error.h"
#include "harness/device/plugin.h"

namespace dsv4::bench {

const char* name_of(Clock clock) {
  switch (clock) {
    case Clock::kGraph:
      return "graph";
    case Clock::kStream:
      return "stream";
    case Clock::kHost:
      return "host";
  }
  return "?";
}

std::unique_ptr<Timer> open_timer() {
  using Open = Timer* (*)(char*, std::size_t);
  const auto open = reinterpret_cast<Open>(plugin_function("dsv4_bench", "dsv4_open_timer",
                                                           "dsv4diff bench needs libdsv4_bench.so and the CUDA runtime",
                                                           "Run scripts/setup on the GPU machine"));
  char why[1024] = "";
  Timer* timer = open(why, sizeof why);
  if (timer == nullptr) throw Error(fmt::format("no usable CUDA device: {}", why));
  return std::unique_ptr<Timer>(timer);
}

}  // namespace dsv4::bench
