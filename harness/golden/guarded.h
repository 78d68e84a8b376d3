/// Runs the steps of a case so that whatever the kernels do becomes a verdict.
#pragma once

#include <fmt/format.h>

#include <chrono>

#include "harness/run/result.h"
#include "harness/set/memory.h"

namespace dsv4 {

/// Calls `steps`, which fills `result`. A set that lacks the op, and a dead GPU context, become verdicts; an Error
/// (the harness itself cannot go on) passes through. Sets `result.seconds`.
template <class Steps>
void guarded(CaseResult& result, Steps&& steps) {
  const auto start = std::chrono::steady_clock::now();
  try {
    steps();
  } catch (const Unsupported& e) {
    result.verdict = Verdict::kUnsupported;
    result.reason = e.what();
  } catch (const DeviceLost& e) {
    result.verdict = Verdict::kError;
    result.reason = fmt::format("the GPU context is dead: {}", e.what());
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace dsv4
