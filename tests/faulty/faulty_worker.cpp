#include "tests/faulty/faulty_worker.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "harness/core/error.h"
#include "harness/device/crash_report.h"
#include "harness/run/case_answer.h"
#include "harness/run/trial.h"
#include "harness/workers/worker.h"
#include "tests/faulty/test_ops.h"

namespace dsv4::testing {
namespace {

constexpr const char* kFlag = "--faulty-worker";

int serve() {
  WorkerConnection connection;
  apply_limits({.memory_gib = 1});
  install_crash_report();
  register_test_ops();
  {
    const auto faulty = open_faulty();
    const auto right = open_right();
    connection.serve([&](const std::string& id) -> Answer {
      const Sides sides{*faulty, *right, *right};
      const auto tried = [&] { return CaseAnswer{.result = try_case(checked_case(id), sides)}; };
      bool out_of_memory = false;
      const CaseAnswer answer = answer_of(id, sides.names, tried, out_of_memory);
      return {answer, out_of_memory};
    });
  }
  connection.bye();
  return 0;
}

/// Runs before main(), because googletest's own main() does not know the worker's flag.
__attribute__((constructor)) void become_worker(int argc, char** argv) {
  if (argc != 2 || std::strcmp(argv[1], kFlag) != 0) return;
  try {
    std::_Exit(serve());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "exception: %s\n", e.what());
    std::_Exit(70);
  }
}

}  // namespace

std::vector<std::string> faulty_worker() { return {"/proc/self/exe", kFlag}; }

}  // namespace dsv4::testing
