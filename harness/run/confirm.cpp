#include "harness/run/confirm.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "harness/case/work.h"
#include "harness/core/error.h"
#include "harness/run/reading.h"
#include "harness/run/select.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

using Clock = std::chrono::steady_clock;

/// nullopt if the id cannot be parsed: a golden may hold such a case.
std::optional<Case> parsed(const std::string& id) {
  try {
    return parse_case_id(id);
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// What differs, without numbers: cases with the same sign probably have the same cause.
std::string sign_of(const CaseResult& r) {
  std::string sign = fmt::format("{} {} ", r.op(), name_of(r.verdict));
  if (const auto c = parsed(r.id)) sign += c->scenario + " ";
  if (!r.findings.empty()) return sign + r.findings.front().check;
  for (const OutputReport& o : r.outputs) {
    if (o.violations != 0) return sign + o.name;
  }
  return sign + r.reason.substr(0, 40);
}

class Confirmation {
 public:
  Confirmation(const SweepOptions& options, std::map<std::string, CaseResult>& results,
               const std::function<CaseList(const std::string& id)>& earlier)
      : options_(options), results_(results), earlier_(earlier) {}

  void run() {
    CaseList agreeing;
    for (const std::string& id : tried_alone(cases_to_confirm(results_, options_.confirm.most))) {
      CaseResult& r = results_.at(id);
      const auto differs = alone_.find(id);
      if (differs == alone_.end()) continue;  // the time was over, or somebody killed the process
      if (differs->second) {
        r.confirmed = Confirmed::kAlone;
      } else {
        agreeing.push_back(id);
      }
    }
    for (const std::string& id : agreeing) search(id);
  }

 private:
  /// Tries each case alone. Returns the same list.
  CaseList tried_alone(CaseList ids) {
    PoolOptions pool = options_.pool;
    pool.alone = true;
    Progress::Options shown = options_.progress;
    shown.label += ", differing cases alone";
    shown.total = ids.size();
    shown.seconds.reset();
    Progress progress(shown);
    std::size_t at = 0;
    const auto until = Clock::now() + std::chrono::duration<double>(options_.confirm.alone_seconds);
    PoolEvents events;
    events.next = [&]() -> std::optional<std::string> {
      if (at == ids.size() || Clock::now() > until) return std::nullopt;
      return ids[at++];
    };
    events.on_start = [](const std::string&) {};
    events.on_outcome = [&](const Outcome& o) {
      if (!o.outside) alone_[o.id] = differs(o);
      progress.add(read_answer(options_, o).result.verdict);
    };
    events.on_tick = [&] { progress.tick(); };
    events.stop = [] { return InterruptGuard::signal() != 0; };
    run_pool(pool, events);
    return ids;
  }

  [[nodiscard]] bool differs(const Outcome& outcome) const {
    return !outcome.outside && is_difference(read_answer(options_, outcome).result.verdict);
  }

  /// Runs the cases in one process. Returns true if the last one differs.
  bool fails(CaseList cases, const std::string& id) {
    ++tries_;
    cases.push_back(id);
    PoolOptions pool = options_.pool;
    pool.jobs = 1;
    pool.together = true;
    std::size_t at = 0;
    std::size_t answered = 0;
    bool last_differs = false;
    PoolEvents events;
    events.next = [&]() -> std::optional<std::string> {
      return at == cases.size() ? std::nullopt : std::optional(cases[at++]);
    };
    events.on_start = [](const std::string&) {};
    events.on_outcome = [&](const Outcome& o) {
      // If the process dies while it closes its sets, the last case gets a second outcome.
      answered += answered < cases.size() ? 1 : 0;
      if (answered == cases.size() && o.id == id) last_differs = last_differs || differs(o);
    };
    events.stop = [] { return InterruptGuard::signal() != 0; };
    run_pool(pool, events);
    return last_differs;
  }

  void search(const std::string& id) {
    if (InterruptGuard::signal() != 0) return;
    CaseResult& r = results_.at(id);
    const CaseList before = earlier_(id);
    tries_ = 0;
    const auto start = Clock::now();
    const auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    const auto may_go_on = [&] {
      return seconds() + searched_ < options_.confirm.search_seconds && tries_ < options_.confirm.most_tries &&
             InterruptGuard::signal() == 0;
    };
    const auto fails_after = [&](const CaseList& cases) { return fails(cases, id); };
    Shrunk found = known_sequence(before, fails_after, may_go_on);
    if (found.cases.empty()) found = shrink(before, fails_after, may_go_on);
    // A difference that comes and goes by chance may have ended the search at a wrong place. So the sequence must give
    // the difference once more.
    const bool again = !found.cases.empty() && fails(found.cases, id);
    searched_ += seconds();
    if (again) {
      found_.push_back(found.cases);
      r.confirmed = Confirmed::kSequence;
      r.note =
          fmt::format("depends on earlier calls: the case agrees alone, and differs after {} in the same process{}",
                      count(found.cases.size()),
                      found.complete ? "" : "; the search for a shorter sequence was ended by its limit of time");
      CaseList sequence = found.cases;
      sequence.push_back(id);
      r.reproduce = reproduction(options_, sequence);
    } else {
      r.confirmed = Confirmed::kNotAgain;
      r.note =
          before.empty() ? "failed once, not again when it was tried alone"
          : found.cases.empty() && found.complete
              ? fmt::format("failed once, not again: neither alone nor after the {} before it", count(before.size()))
          : found.cases.empty()
              ? fmt::format(
                    "failed once, not again alone; the search among the {} before it was ended by its limit "
                    "of time",
                    count(before.size()))
              : fmt::format("fails by chance: not alone, and not each time after the {} before it",
                            count(before.size()));
    }
  }

  /// Tries the sequences that other cases needed, if the same cases ran before this one.
  [[nodiscard]] Shrunk known_sequence(const CaseList& before, const std::function<bool(const CaseList&)>& fails_after,
                                      const std::function<bool()>& may_go_on) const {
    std::size_t tried = 0;
    for (auto known = found_.rbegin(); known != found_.rend() && tried < 3; ++known) {
      const bool ran = std::ranges::all_of(
          *known, [&](const std::string& id) { return std::ranges::find(before, id) != before.end(); });
      if (!ran) continue;
      ++tried;
      if (!may_go_on()) return {};
      if (fails_after(*known)) return {*known, true};
    }
    return {};
  }

  static std::string count(std::size_t n) { return n == 1 ? "1 case" : fmt::format("{} cases", n); }

  const SweepOptions& options_;
  std::map<std::string, CaseResult>& results_;
  const std::function<CaseList(const std::string& id)>& earlier_;
  std::map<std::string, bool> alone_;  // id -> whether the case differs when it runs alone
  std::vector<CaseList> found_;        // sequences that other cases needed
  std::size_t tries_ = 0;
  double searched_ = 0;
};

}  // namespace

CaseList cases_to_confirm(const std::map<std::string, CaseResult>& results, std::size_t most) {
  std::map<std::string, std::vector<std::pair<double, std::string>>> groups;
  for (const auto& [id, r] : results) {
    if (!is_difference(r.verdict)) continue;
    const auto c = parsed(id);
    groups[sign_of(r)].emplace_back(c ? expected_work(*c) : 0, id);
  }
  CaseList chosen;
  bool more = !groups.empty();
  for (std::size_t round = 0; more && (round == 0 || chosen.size() < most); ++round) {
    more = false;
    for (auto& [sign, cases] : groups) {
      if (round == 0) std::ranges::sort(cases);
      if (round >= cases.size() || (round > 0 && chosen.size() >= most)) continue;
      chosen.push_back(cases[round].second);
      more = true;
    }
  }
  return chosen;
}

void confirm(const SweepOptions& options, std::map<std::string, CaseResult>& results,
             const std::function<CaseList(const std::string& id)>& earlier) {
  Confirmation(options, results, earlier).run();
}

}  // namespace dsv4
