#include "harness/run/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "harness/run/confirm.h"
#include "harness/run/reading.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

using Clock = std::chrono::steady_clock;

class Sweep {
 public:
  explicit Sweep(const SweepOptions& options) : options_(options) {}

  void run(const PoolOptions& pool, const CaseSource& next) {
    Progress progress(options_.progress);
    if (options_.journal != nullptr) options_.journal->begin(options_.identity);
    PoolEvents events;
    events.next = [&]() -> std::optional<std::string> {
      auto id = next();
      while (id && take_earlier(*id, progress)) id = next();
      return id;
    };
    events.on_start = [&](const std::string& id) {
      if (options_.journal != nullptr) options_.journal->start(id, reproduction(options_, id));
    };
    events.on_outcome = [&](const Outcome& outcome) { take(outcome, progress); };
    events.stop = [this] { return InterruptGuard::signal() != 0 || (options_.fail_fast && differs_); };
    events.on_tick = [&] { progress.tick(); };
    swept_.end = run_pool(pool, events);
    if (swept_.end.how == PoolEnd::How::kFailed) swept_.failure = swept_.end.message;
  }

  /// Lets the command judge the results again, for instance because another set does the same.
  void judge() {
    if (!options_.judge || !swept_.failure.empty() || InterruptGuard::signal() != 0) return;
    for (auto& [id, result] : results_) swept_.results.push_back(std::move(result));
    options_.judge(swept_);
    results_.clear();
    for (CaseResult& result : swept_.results) results_.emplace(result.id, std::move(result));
    swept_.results.clear();
  }

  void confirm_differences() {
    if (options_.fail_fast && differs_) {
      swept_.notes.push_back(
          fmt::format("{}: --fail-fast ended the run after the first difference; {} cases have a verdict",
                      options_.names.set_label, results_.size()));
    }
    if (!options_.earlier_from.empty()) {
      swept_.notes.push_back(
          fmt::format("{}: {} verdicts come from {}; these cases did not run again, and the report has "
                      "no details about them",
                      options_.names.set_label, taken_, options_.earlier_from));
    }
    if (options_.confirm.most == 0 || !swept_.failure.empty()) return;
    if (InterruptGuard::signal() == 0) confirm_all();
    const auto untried = std::ranges::count_if(results_, [](const auto& entry) {
      return is_difference(entry.second.verdict) && entry.second.confirmed == Confirmed::kNotTried;
    });
    if (untried != 0) {
      swept_.notes.push_back(
          fmt::format("{}: {} differing cases were not tried again alone, so their commands may agree",
                      options_.names.set_label, untried));
    }
  }

  /// Sets the results of cases in a sequence: those that did not run, and the command that runs the sequence again.
  void complete_sequence(const std::vector<std::string>& ids) {
    if (swept_.end.how == PoolEnd::How::kFinished) {
      for (const std::string& id : ids) {
        CaseResult skipped = CaseResult::error(id, options_.names, "the process of the sequence had ended before");
        skipped.verdict = Verdict::kSkipped;
        results_.emplace(id, std::move(skipped));
      }
    }
    for (auto& [id, result] : results_) result.reproduce = reproduction(options_, ids);
  }

  SweepResult result() {
    for (auto& [id, result] : results_) swept_.results.push_back(std::move(result));
    swept_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    return std::move(swept_);
  }

 private:
  /// Where a case ran: its process, and the number of cases that had run there before.
  struct Place {
    int process = 0;
    std::size_t position = 0;
  };

  void confirm_all() {
    confirm(options_, results_, [&](const std::string& id) {
      const auto at = places_.find(id);
      if (at == places_.end()) return CaseList();
      const Place& place = at->second;
      const CaseList& ran = ran_.at(place.process);
      return CaseList(ran.begin(), ran.begin() + static_cast<std::ptrdiff_t>(place.position));
    });
  }

  CaseAnswer answer_of_outcome(const Outcome& outcome) const {
    CaseAnswer answer = read_answer(options_, outcome);
    if (!outcome.answered()) return answer;
    try {
      options_.on_answer(answer);
      return answer;
    } catch (const std::exception& e) {
      return {
          CaseResult::error(outcome.id, options_.names, fmt::format("the worker's answer is malformed: {}", e.what()))};
    }
  }

  /// Takes the verdict of an earlier run, if there is one. Returns false if the case must run.
  bool take_earlier(const std::string& id, Progress& progress) {
    const auto at = options_.earlier.find(id);
    if (at == options_.earlier.end()) return false;
    CaseResult result = CaseResult::error(id, options_.names);
    result.verdict = at->second;
    result.reason = fmt::format("verdict from {}", options_.earlier_from);
    result.reproduce = reproduction(options_, id);
    if (options_.journal != nullptr) options_.journal->end(result);
    progress.add(result.verdict);
    results_.emplace(id, std::move(result));
    ++taken_;
    return true;
  }

  void take(const Outcome& outcome, Progress& progress) {
    CaseAnswer answer = answer_of_outcome(outcome);
    CaseResult& result = answer.result;
    result.reproduce = reproduction(options_, outcome.id);
    differs_ = differs_ || is_difference(result.verdict);
    if (answer.cannot_go_on && swept_.failure.empty()) swept_.failure = result.reason;
    if (options_.journal != nullptr) options_.journal->end(result);
    CaseList& ran = ran_[outcome.process];
    const auto [at, fresh] = results_.try_emplace(outcome.id);
    if (fresh) {
      progress.add(result.verdict);
    } else if (options_.pool.together && is_difference(at->second.verdict)) {
      return;  // the case occurs twice in a sequence, and its first result counts
    } else {
      progress.change(at->second.verdict, result.verdict);
    }
    places_[outcome.id] = {outcome.process, ran.size()};
    ran.push_back(outcome.id);
    at->second = std::move(result);
  }

  const SweepOptions& options_;
  std::map<std::string, CaseResult> results_;
  std::map<std::string, Place> places_;
  std::map<int, CaseList> ran_;  // the cases that each process ran, in order
  SweepResult swept_;
  bool differs_ = false;   // a case differs
  std::size_t taken_ = 0;  // number of verdicts from an earlier run
  Clock::time_point start_ = Clock::now();
};

}  // namespace

SweepResult sweep(const SweepOptions& options, const CaseSource& next) {
  Sweep swept(options);
  swept.run(options.pool, next);
  swept.judge();
  swept.confirm_differences();
  return swept.result();
}

SweepResult sweep_sequence(const SweepOptions& options, const std::vector<std::string>& ids) {
  SweepOptions together = options;
  together.pool.jobs = 1;
  together.pool.together = true;
  Sweep swept(together);
  swept.run(together.pool, source_of(ids));
  swept.complete_sequence(ids);
  return swept.result();
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
