#include "harness/workers/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "tests/harness/workers/misbehaving_worker.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Swept {
  std::map<std::string, Outcome> outcomes;  // the last outcome of each case
  std::multiset<std::string> started;
  PoolEnd end;
};

PoolOptions options(int jobs, double timeout = 20) {
  PoolOptions o;
  o.command = testing::misbehaving_worker();
  o.jobs = jobs;
  o.timeout_seconds = timeout;
  o.start_seconds = 20;
  return o;
}

Swept sweep(const std::vector<std::string>& ids, const PoolOptions& o) {
  Swept swept;
  std::size_t at = 0;
  PoolEvents events;
  events.next = [&]() -> std::optional<std::string> {
    if (at == ids.size()) return std::nullopt;
    return ids[at++];
  };
  events.on_start = [&](const std::string& id) { swept.started.insert(id); };
  events.on_outcome = [&](const Outcome& outcome) {
    EXPECT_TRUE(swept.started.contains(outcome.id)) << outcome.id << " has an outcome without a call of on_start";
    swept.outcomes[outcome.id] = outcome;
  };
  swept.end = run_pool(o, events);
  return swept;
}

std::vector<std::string> good(int n) {
  std::vector<std::string> ids;
  for (int i = 0; i < n; ++i) ids.push_back("ok/" + std::to_string(i));
  return ids;
}

/// Runs `bad` among good cases. Every good case must have an answer. `bad` must have an error that contains `why`.
void expect_costs_one(const std::string& bad, const std::string& why, double timeout = 20) {
  for (const int jobs : {1, 2}) {
    auto ids = good(40);
    ids.insert(ids.begin() + 17, bad);
    const Swept swept = sweep(ids, options(jobs, timeout));
    EXPECT_EQ(swept.end.how, PoolEnd::How::kFinished) << swept.end.message;
    ASSERT_EQ(swept.outcomes.size(), 41u) << bad;
    for (const auto& [id, outcome] : swept.outcomes) {
      if (id == bad) {
        EXPECT_FALSE(outcome.answered());
        EXPECT_THAT(outcome.error, HasSubstr(why)) << bad;
      } else {
        EXPECT_TRUE(outcome.answered()) << id << ": " << outcome.error;
        EXPECT_EQ(outcome.answer.at("echo"), id);
      }
    }
  }
}

TEST(Pool, EveryCaseIsAnsweredOnce) {
  for (const int jobs : {1, 2, 5}) {
    const Swept swept = sweep(good(300), options(jobs));
    EXPECT_EQ(swept.outcomes.size(), 300u);
    EXPECT_EQ(swept.started.size(), 300u);
    EXPECT_EQ(swept.end.replacements, 0);
    std::set<int> processes;
    for (const auto& [id, outcome] : swept.outcomes) processes.insert(outcome.answer.at("pid").get<int>());
    EXPECT_LE(processes.size(), static_cast<std::size_t>(jobs));
  }
}

TEST(Pool, WithoutCasesTheRunFinishes) {
  const Swept swept = sweep({}, options(2));
  EXPECT_EQ(swept.end.how, PoolEnd::How::kFinished);
  EXPECT_TRUE(swept.outcomes.empty());
}

TEST(Pool, CrashCostsOneCase) { expect_costs_one("segv/x", "SIGSEGV (segmentation fault)"); }
TEST(Pool, ErrorOfACrashHasThePrintedText) { expect_costs_one("segv/y", "it printed: about to crash in segv/y"); }
TEST(Pool, AbortCostsOneCase) { expect_costs_one("abort/x", "SIGABRT"); }
TEST(Pool, KillCostsOneCase) { expect_costs_one("kill/x", "SIGKILL"); }
TEST(Pool, ExitCostsOneCase) { expect_costs_one("exit0/x", "exited with status 0"); }
TEST(Pool, ErrorOfAnExitHasTheStatus) { expect_costs_one("exit3/x", "exited with status 3"); }
TEST(Pool, ExceptionCostsOneCase) { expect_costs_one("throw/x", "thrown on purpose"); }
// 2 s are long enough for the good cases, even on a machine that is busy with other programs.
TEST(Pool, HangCostsOneCase) { expect_costs_one("hang/x", "no answer within 2 s", 2); }
TEST(Pool, GarbageCostsOneCase) { expect_costs_one("garbage/x", "broke the protocol"); }
TEST(Pool, AnswerForAnotherCaseCostsOneCase) { expect_costs_one("liar/x", "broke the protocol"); }
TEST(Pool, ClosedDescriptorsCostOneCase) { expect_costs_one("closes/x", "closed its connection"); }
#ifndef __SANITIZE_ADDRESS__
TEST(Pool, EndlessAllocationCostsOneCase) { expect_costs_one("eats/x", "bad_alloc"); }
TEST(Pool, SmashedHeapCostsOneCase) { expect_costs_one("smash/x", "SIG"); }
#endif

TEST(Pool, ProcessesThatACaseLeftBehindDoNotDisturbOthers) {
  auto ids = good(10);
  ids.insert(ids.begin() + 3, "forks/1");
  ids.insert(ids.begin() + 5, "segv/1");
  const Swept swept = sweep(ids, options(1));
  ASSERT_EQ(swept.outcomes.size(), 12u);
  EXPECT_TRUE(swept.outcomes.at("forks/1").answered());
  EXPECT_FALSE(swept.outcomes.at("segv/1").answered());
}

TEST(Pool, PrintedTextIsNotReadAsAnAnswer) {
  const Swept swept = sweep({"ok/1", "chatter/1", "ok/2"}, options(1));
  ASSERT_EQ(swept.outcomes.size(), 3u);
  for (const auto& [id, outcome] : swept.outcomes) EXPECT_EQ(outcome.answer.value("echo", ""), id) << outcome.error;
}

/// Runs the cases one after another in one worker process, which is replaced if it crashes. Returns the cases without
/// an answer, with their errors.
std::map<std::string, std::string> unanswered(const std::vector<std::string>& ids) {
  const Swept swept = sweep(ids, options(1));
  EXPECT_EQ(swept.end.how, PoolEnd::How::kFinished) << swept.end.message;
  EXPECT_EQ(swept.outcomes.size(), ids.size());
  std::map<std::string, std::string> errors;
  for (const auto& [id, outcome] : swept.outcomes) {
    if (!outcome.answered()) errors[id] = outcome.error;
  }
  return errors;
}

TEST(Pool, LateCrashIsTracedToTheCaseThatCausedIt) {
  auto ids = good(20);
  ids.insert(ids.begin() + 8, "bomb/1");
  const auto errors = unanswered(ids);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_THAT(
      errors.begin()->second,
      AllOf(HasSubstr("SIGSEGV"),
            HasSubstr("When this case ran together with others, it damaged the process, which then crashed in a later "
                      "case ('ok/8')"),
            HasSubstr("about to crash in its end")));
  EXPECT_EQ(errors.begin()->first, "bomb/1");
}

TEST(Pool, LateCrashThatNoCaseCausesAloneIsReportedWhereItHappened) {
  auto ids = good(20);
  ids.insert(ids.begin() + 8, "damage/1");
  const auto errors = unanswered(ids);
  // Neither "damage/1" nor "ok/8", the case in which the process crashed, crashes when it runs alone.
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors.begin()->first, "ok/8");
  EXPECT_THAT(errors.begin()->second, AllOf(HasSubstr("SIGSEGV"), HasSubstr("none of them crashes alone"),
                                            HasSubstr("about to crash in ok/8")));
}

TEST(Pool, ACrashWhileSetsAreClosedIsTracedToo) {
  auto ids = good(6);
  ids.emplace_back("bomb/1");
  const auto traced = unanswered(ids);
  ASSERT_EQ(traced.size(), 1u);
  EXPECT_EQ(traced.begin()->first, "bomb/1");
  EXPECT_THAT(traced.begin()->second, HasSubstr("it damaged the process, which then crashed at the end"));
  ids.back() = "grudge/1";
  const auto reported = unanswered(ids);
  ASSERT_EQ(reported.size(), 1u);
  EXPECT_EQ(reported.begin()->first, "grudge/1");
  EXPECT_THAT(reported.begin()->second, HasSubstr("none of them crashes alone"));
}

TEST(Pool, DamageByTheLastCaseIsFound) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer reports the write itself";
#endif
  const Swept swept = sweep({"smash/1"}, options(1));
  ASSERT_EQ(swept.outcomes.size(), 1u);
  EXPECT_FALSE(swept.outcomes.at("smash/1").answered());
}

TEST(Pool, ARunOfBadCasesOnlyFinishes) {
  std::vector<std::string> ids;
  for (int i = 0; i < 12; ++i) ids.push_back((i % 2 ? "segv/" : "exit3/") + std::to_string(i));
  const Swept swept = sweep(ids, options(2));
  EXPECT_EQ(swept.end.how, PoolEnd::How::kFinished);
  EXPECT_EQ(swept.outcomes.size(), 12u);
  for (const auto& [id, outcome] : swept.outcomes) EXPECT_FALSE(outcome.answered());
}

TEST(Pool, LeavingWorkerIsReplacedAndItsAnswerCounts) {
  const Swept swept = sweep({"ok/1", "leaving/1", "ok/2", "ok/3"}, options(1));
  ASSERT_EQ(swept.outcomes.size(), 4u);
  for (const auto& [id, outcome] : swept.outcomes) EXPECT_TRUE(outcome.answered()) << id;
  EXPECT_NE(swept.outcomes.at("ok/1").answer.at("pid"), swept.outcomes.at("ok/2").answer.at("pid"));
}

TEST(Pool, WorkerThatCannotStartEndsTheRun) {
  PoolOptions o = options(2);
  o.command = testing::misbehaving_worker("dies");
  const Swept died = sweep(good(5), o);
  EXPECT_EQ(died.end.how, PoolEnd::How::kFailed);
  EXPECT_THAT(died.end.message, AllOf(HasSubstr("exited with status 9"), HasSubstr("no such library")));
  o.command = testing::misbehaving_worker("fatal");
  const Swept fatal = sweep(good(5), o);
  EXPECT_EQ(fatal.end.how, PoolEnd::How::kFailed);
  EXPECT_EQ(fatal.end.message, "set 'x' cannot be opened");
  o.command = testing::misbehaving_worker("mute");
  o.start_seconds = 0.2;
  const Swept mute = sweep(good(5), o);
  EXPECT_EQ(mute.end.how, PoolEnd::How::kFailed);
  EXPECT_THAT(mute.end.message, HasSubstr("gave no answer within 0.2 s"));
  o.command = {"/nowhere/worker"};
  EXPECT_EQ(sweep(good(5), o).end.how, PoolEnd::How::kFailed);
}

TEST(Pool, ACaseWhoseWorkerIsKilledFromOutsideRunsAgain) {
  const std::string mark =
      (std::filesystem::path(::testing::TempDir()) / ("kill" + std::to_string(::getpid()))).string();
  ::setenv("DSV4_TEST_MARK", mark.c_str(), 1);
  for (const bool first : {true, false}) {
    std::filesystem::remove(mark);
    auto ids = good(4);
    ids.insert(first ? ids.begin() : ids.begin() + 2, "killonce/1");
    const Swept swept = sweep(ids, options(1));
    ASSERT_EQ(swept.outcomes.size(), 5u);
    for (const auto& [id, outcome] : swept.outcomes) EXPECT_TRUE(outcome.answered()) << id << ": " << outcome.error;
    EXPECT_THAT(swept.outcomes.at("killonce/1").note,
                AllOf(HasSubstr("was killed by SIGKILL"), HasSubstr("a second try, alone")));
    EXPECT_EQ(swept.outcomes.at("ok/1").note, "");
  }
  ::unsetenv("DSV4_TEST_MARK");
  std::filesystem::remove(mark);
}

TEST(Pool, AProcessThatIsKilledTwiceSaysThatItWasKilledFromOutside) {
  const Swept swept = sweep({"ok/1", "kill/1", "ok/2", "segv/1"}, options(1));
  EXPECT_TRUE(swept.outcomes.at("kill/1").outside);
  EXPECT_THAT(swept.outcomes.at("kill/1").error, HasSubstr("twice"));
  EXPECT_FALSE(swept.outcomes.at("segv/1").outside) << "a kernel causes this signal by a fault";
}

TEST(Pool, CasesRunAloneIfTheyShall) {
  PoolOptions o = options(2);
  o.alone = true;
  auto ids = good(6);
  ids.emplace_back("segv/1");
  const Swept swept = sweep(ids, o);
  ASSERT_EQ(swept.outcomes.size(), 7u);
  std::set<int> processes;
  for (const auto& [id, outcome] : swept.outcomes) processes.insert(outcome.process);
  EXPECT_EQ(processes.size(), 7u);
}

TEST(Pool, CasesRunTogetherIfTheyShall) {
  PoolOptions o = options(1);
  o.together = true;
  const Swept all = sweep(good(6), o);
  ASSERT_EQ(all.outcomes.size(), 6u);
  for (const auto& [id, outcome] : all.outcomes) EXPECT_EQ(outcome.process, 1) << id;
  const Swept ended = sweep({"ok/1", "segv/1", "ok/2"}, o);
  EXPECT_EQ(ended.outcomes.size(), 2u) << "after the crash, the process has gone";
  EXPECT_FALSE(ended.outcomes.at("segv/1").answered());
  const Swept late = sweep({"ok/1", "bomb/1"}, o);
  EXPECT_THAT(late.outcomes.at("bomb/1").error, HasSubstr("after its last case, while it closed its sets"));
}

TEST(Pool, StopAbandonsRunningCases) {
  Swept swept;
  PoolEvents events;
  int at = 0;
  events.next = [&]() -> std::optional<std::string> { return at < 3 ? "ok/" + std::to_string(at++) : "hang/1"; };
  events.on_start = [](const std::string&) {};
  events.on_outcome = [&](const Outcome& o) { swept.outcomes[o.id] = o; };
  events.stop = [&] { return swept.outcomes.size() == 3; };
  swept.end = run_pool(options(2), events);
  EXPECT_EQ(swept.end.how, PoolEnd::How::kStopped);
  EXPECT_EQ(swept.outcomes.size(), 3u);
}

}  // namespace
}  // namespace dsv4
