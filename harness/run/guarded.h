/// Runs the steps of a case so that whatever the kernels do becomes a verdict.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <new>

#include "harness/core/error.h"
#include "harness/run/trial.h"

namespace dsv4 {

/// Calls `steps`, which fills `result`. A set that lacks the op, a machine that lacks memory for it, and a dead GPU
/// context become verdicts; an Error (the harness itself cannot go on) passes through. Sets `result.seconds`. A known
/// fault that ends in a dead context excuses it.
template <class Steps>
void guarded(const Case& c, const KnownFaults& known, const TrialOptions& options, CaseResult& result, Steps&& steps) {
  const auto start = std::chrono::steady_clock::now();
  try {
    steps();
  } catch (const Unsupported& e) {
    result.verdict = Verdict::kUnsupported;
    result.reason = e.what();
  } catch (const Unavailable& e) {
    result.verdict = Verdict::kSkipped;
    result.reason = e.what();
  } catch (const DeviceLost& e) {
    result.verdict = Verdict::kError;
    result.reason = fmt::format("the GPU context is dead: {}", e.what());
    excuse_error(c, known, options, "device_lost", result);
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;  // this process may be of no more use
  } catch (const std::exception& e) {
    // An op reads outputs as it promises them; what throws there is a kernel that returned something else.
    result.verdict = Verdict::kError;
    result.reason = fmt::format("the outputs are not in the form that the op promises: {}", e.what());
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace dsv4
