#include "harness/run/reading.h"

#include <fmt/format.h>

#include <optional>

#include "harness/core/error.h"
#include "harness/core/shell.h"
#include "harness/op/op.h"
#include "harness/run/own_code.h"

namespace dsv4 {
namespace {

std::string command(const SweepOptions& options, const char* option, const std::vector<std::string>& ids) {
  auto words = options.reproduce;
  for (const std::string& id : ids) words.insert(words.end(), {option, id});
  return shell_command(words);
}

/// True if the worker ended as a wrong memory access ends it.
bool is_memory_crash(const std::string& error) {
  return error.find("SIGSEGV") != std::string::npos || error.find("SIGBUS") != std::string::npos ||
         error.find("the heap is damaged") != std::string::npos;
}

/// The result of a case whose worker gave no answer: `error`, or `known` if a known fault covers the crash.
CaseAnswer without_answer(const SweepOptions& options, const Outcome& outcome) {
  CaseResult result = CaseResult::error(outcome.id, options.names, outcome.error);
  result.cause = "crash";
  result.seconds = outcome.seconds;
  if (outcome.outside) {
    result.reason += fmt::format(
        ". This says nothing about the kernel. Look for who killed the process, for too little memory (--jobs, "
        "--memory), or for a limit of the shell (ulimit -a). Case '{}'",
        outcome.id);
    return {.result = result, .cannot_go_on = true};
  }
  std::optional<CheckedCase> c;
  try {
    c = checked_case(outcome.id);
  } catch (const Error&) {
    return {result};  // a golden may hold a case that the op does not have any more; no known fault covers it
  }
  try {
    const auto facts = [&] {
      return own_code(*c, "computing the facts that known faults refer to (its worker had crashed)",
                      [&] { return c->definition->facts(*c, c->definition->make(*c)); });
    };
    apply_known_faults(options.policy, options.policy.matches(*c, facts), "crash", result);
    if (result.verdict == Verdict::kError) result.not_excused = options.policy.not_excused(*c, facts);
  } catch (const InternalError& e) {
    result.reason = e.what();
    return {.result = result, .cannot_go_on = true};
  }
  if (result.verdict == Verdict::kError && is_memory_crash(outcome.error)) {
    if (const std::string advice = options.crash_advice(outcome.id); !advice.empty()) result.reason += ". " + advice;
  }
  return {result};
}

}  // namespace

CaseAnswer read_answer(const SweepOptions& options, const Outcome& outcome) {
  if (!outcome.answered()) return without_answer(options, outcome);
  try {
    CaseAnswer answer = options.read(outcome.answer);
    answer.result.note = outcome.note;
    return answer;
  } catch (const std::exception& e) {
    return {
        CaseResult::error(outcome.id, options.names, fmt::format("the worker's answer is malformed: {}", e.what()))};
  }
}

std::string reproduction(const SweepOptions& options, const std::string& id) {
  return command(options, "--case", {id});
}

std::string reproduction(const SweepOptions& options, const std::vector<std::string>& sequence) {
  return command(options, "--sequence", sequence);
}

}  // namespace dsv4
