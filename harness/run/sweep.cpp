#include "harness/run/sweep.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <memory>

#include "harness/core/shell.h"
#include "harness/run/trial.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

std::string reproduction(const SweepOptions& options, const std::string& id) {
  auto words = options.reproduce;
  words.emplace_back("--case");
  words.push_back(id);
  return shell_command(words);
}

CaseResult result_of(const SweepOptions& options, const Outcome& outcome) {
  CaseResult result;
  result.id = outcome.id;
  result.set = options.set;
  result.against = options.against;
  result.verdict = Verdict::kError;
  result.reason = outcome.error;
  result.seconds = outcome.seconds;
  if (!outcome.answered()) {
    try {
      result.set = options.set_name;  // known faults go by it
      excuse_error(parse_case_id(outcome.id), options.known, {}, "crash", result);
    } catch (const std::exception&) {
      // A golden may hold a case that the op no longer has: then no known fault is about it.
    }
    result.set = options.set;
    return result;
  }
  try {
    return options.read ? options.read(outcome.answer) : outcome.answer.get<CaseResult>();
  } catch (const std::exception& e) {
    result.reason = fmt::format("the worker's answer is malformed: {}", e.what());
    return result;
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
      CaseResult result = result_of(options, outcome);
      result.reproduce = reproduction(options, outcome.id);
      if (outcome.answered() && outcome.answer.contains(kEnvironmentAtFault) && swept.failure.empty()) {
        swept.failure = result.reason;
      }
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
