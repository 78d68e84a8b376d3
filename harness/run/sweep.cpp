#include "harness/run/sweep.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "harness/core/error.h"
#include "harness/core/shell.h"
#include "harness/op/op.h"
#include "harness/run/own_code.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

std::string reproduction(const SweepOptions& options, const std::string& id) {
  auto words = options.reproduce;
  words.emplace_back("--case");
  words.push_back(id);
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

CaseAnswer read_answer(const SweepOptions& options, const Outcome& outcome) {
  if (!outcome.answered()) return without_answer(options, outcome);
  try {
    return options.read(outcome.answer);
  } catch (const std::exception& e) {
    return {
        CaseResult::error(outcome.id, options.names, fmt::format("the worker's answer is malformed: {}", e.what()))};
  }
}

}  // namespace

SweepResult sweep(const SweepOptions& options, const CaseSource& next) {
  const auto start = std::chrono::steady_clock::now();
  std::map<std::string, CaseResult> results;
  SweepResult swept;
  {
    Progress progress(options.progress);
    PoolEvents events;
    events.next = next;
    events.on_start = [&](const std::string& id) {
      if (options.journal == nullptr) return;
      options.journal->start(id, reproduction(options, id));
    };
    events.on_outcome = [&](const Outcome& outcome) {
      CaseAnswer answer = read_answer(options, outcome);
      CaseResult& result = answer.result;
      result.reproduce = reproduction(options, outcome.id);
      if (answer.cannot_go_on && swept.failure.empty()) swept.failure = result.reason;
      if (options.journal != nullptr) options.journal->end(result);
      const auto [at, fresh] = results.try_emplace(outcome.id);
      if (fresh) {
        progress.add(result.verdict);
      } else {
        progress.change(at->second.verdict, result.verdict);
      }
      at->second = std::move(result);
    };
    events.stop = [] { return InterruptGuard::signal() != 0; };
    events.on_tick = [&] { progress.tick(); };
    swept.end = run_pool(options.pool, events);
    if (swept.end.how == PoolEnd::How::kFailed) swept.failure = swept.end.message;
  }
  for (auto& [id, result] : results) swept.results.push_back(std::move(result));
  swept.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return swept;
}

CaseSource source_of(std::vector<std::string> ids) {
  const auto list = std::make_shared<std::vector<std::string>>(std::move(ids));
  const auto at = std::make_shared<std::size_t>(0);
  return [list, at]() -> std::optional<std::string> {
    if (*at == list->size()) return std::nullopt;
    return (*list)[(*at)++];
  };
}

}  // namespace dsv4
