#include "harness/run/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "harness/core/error.h"
#include "harness/workers/interrupt.h"
#include "tests/harness/workers/misbehaving_worker.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string temporary(const std::string& name) {
  return (std::filesystem::path(::testing::TempDir()) / (name + std::to_string(::getpid()))).string();
}

CaseResult passed(const std::string& id) {
  CaseResult r;
  r.id = id;
  r.set_label = r.set_name = "host";
  r.against = "reference";
  r.verdict = Verdict::kPassed;
  return r;
}

SweepOptions options() {
  SweepOptions o;
  o.names = {"host", "host", "reference"};
  o.reproduce = {"dsv4diff", "run", "--set", "host"};
  o.pool.command = testing::misbehaving_worker();
  o.pool.jobs = 2;
  o.progress.plain_interval_seconds = 1e9;
  o.read = [](const nlohmann::json& answer) { return CaseAnswer{passed(answer.at("echo").get<std::string>())}; };
  return o;
}

TEST(Sweep, ResultsAreSortedAndCrashesAreErrors) {
  const SweepResult swept = sweep(options(), source_of({"ok/3", "segv/1", "ok/1", "ok/2"}));
  ASSERT_EQ(swept.results.size(), 4u);
  EXPECT_EQ(swept.results[0].id, "ok/1");
  EXPECT_EQ(swept.results[3].id, "segv/1");
  EXPECT_EQ(swept.results[3].verdict, Verdict::kError);
  EXPECT_EQ(swept.results[3].set_label, "host");
  EXPECT_EQ(swept.results[3].cause, "crash");
  EXPECT_THAT(swept.results[3].reason, HasSubstr("SIGSEGV"));
  EXPECT_EQ(swept.failure, "");
}

TEST(Sweep, MalformedAnswerIsAnErrorOfThatCase) {
  SweepOptions o = options();
  o.read = SweepOptions().read;  // this reader expects complete results, which the worker does not send
  const SweepResult swept = sweep(o, source_of({"ok/1"}));
  ASSERT_EQ(swept.results.size(), 1u);
  EXPECT_EQ(swept.results[0].verdict, Verdict::kError);
  EXPECT_THAT(swept.results[0].reason, HasSubstr("malformed"));
}

TEST(Sweep, WorkersThatCannotStartFailTheSweep) {
  SweepOptions o = options();
  o.pool.command = testing::misbehaving_worker("fatal");
  const SweepResult swept = sweep(o, source_of({"ok/1"}));
  EXPECT_EQ(swept.failure, "set 'x' cannot be opened");
  EXPECT_TRUE(swept.results.empty());
}

TEST(Sweep, ACrashThatDependsOnAnEarlierCaseIsPrintedAsASequence) {
  SweepOptions o = options();
  o.pool.jobs = 1;
  const SweepResult swept = sweep(o, source_of({"ok/1", "ok/2", "damage/1", "ok/3", "ok/4"}));
  const auto crashed = std::ranges::find(swept.results, Verdict::kError, &CaseResult::verdict);
  ASSERT_NE(crashed, swept.results.end());
  EXPECT_EQ(crashed->id, "ok/3");
  EXPECT_EQ(crashed->confirmed, Confirmed::kSequence);
  EXPECT_EQ(crashed->reproduce, "dsv4diff run --set host --sequence damage/1 --sequence ok/3");
}

TEST(Sweep, AProcessThatIsKilledTwiceFailsTheSweep) {
  const SweepResult swept = sweep(options(), source_of({"ok/1", "kill/1", "ok/2"}));
  ASSERT_EQ(swept.results.size(), 3u);
  EXPECT_EQ(swept.results[0].id, "kill/1");
  EXPECT_EQ(swept.results[0].verdict, Verdict::kError);
  EXPECT_THAT(swept.failure, ::testing::AllOf(HasSubstr("SIGKILL"), HasSubstr("twice"), HasSubstr("ulimit -a")));
}

TEST(Sweep, FailFastEndsAfterTheFirstDifference) {
  SweepOptions o = options();
  o.pool.jobs = 1;
  o.fail_fast = true;
  std::vector<std::string> ids{"ok/1", "exit3/1"};
  for (int i = 2; i < 40; ++i) ids.push_back("ok/" + std::to_string(i));
  const SweepResult swept = sweep(o, source_of(ids));
  EXPECT_LT(swept.results.size(), 10u);
  EXPECT_EQ(swept.results.front().id, "exit3/1");
  EXPECT_EQ(swept.results.front().confirmed, Confirmed::kAlone);
  EXPECT_THAT(swept.notes, ::testing::Contains(HasSubstr("--fail-fast ended the run")));
}

TEST(Sweep, VerdictsOfAnEarlierRunAreJoined) {
  const std::string path = temporary("journal");
  SweepOptions o = options();
  o.earlier = {{"ok/1", Verdict::kPassed}, {"segv/1", Verdict::kKnown}, {"ok/9", Verdict::kPassed}};
  o.earlier_from = "journal j";
  o.identity = "{}";
  std::vector<JournalSweep> written;
  {
    Journal journal(path);
    o.journal = &journal;
    const SweepResult swept = sweep(o, source_of({"ok/1", "ok/2", "segv/1"}));
    ASSERT_EQ(swept.results.size(), 3u) << "a case that is not selected is not joined";
    EXPECT_EQ(swept.results[0].reason, "verdict from journal j");
    EXPECT_EQ(swept.results[1].reason, "");
    EXPECT_EQ(swept.results[2].verdict, Verdict::kKnown);
    EXPECT_THAT(swept.notes, ::testing::ElementsAre(HasSubstr("2 verdicts come from journal j")));
    written = read_journal(path);
  }
  ASSERT_EQ(written.size(), 1u);
  EXPECT_EQ(written[0].identity, "{}");
  EXPECT_EQ(written[0].verdicts.size(), 3u) << "so the new journal can be resumed as well";
  std::filesystem::remove(path);
}

TEST(Sweep, JournalHoldsEveryCaseBeforeItRuns) {
  const std::string path = temporary("journal");
  {
    Journal journal(path);
    SweepOptions o = options();
    o.journal = &journal;
    sweep(o, source_of({"ok/1", "segv/1"}));
  }
  const std::string text = text_of(path);
  EXPECT_THAT(text, HasSubstr("start segv/1\tdsv4diff run --set host --case segv/1\n"));
  EXPECT_THAT(text, HasSubstr("error segv/1\n"));
  EXPECT_THAT(text, HasSubstr("passed ok/1\n"));
  EXPECT_LT(text.find("start ok/1"), text.find("passed ok/1"));
  std::filesystem::remove(path);
}

TEST(Journal, ATemporaryJournalIsRemoved) {
  std::string path;
  {
    Journal journal;
    path = journal.path();
    ASSERT_NE(path, "");
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Journal, ATemporaryJournalMustBeWritable) {
  const char* before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TMPDIR", "/nowhere", 1);
  EXPECT_THROW(Journal(), Error);
  before == nullptr ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", kept.c_str(), 1);
}

TEST(Journal, ReadsWhatWasWrittenAndRefusesOtherFiles) {
  const std::string path = temporary("read");
  const auto read = [&](const std::string& text) {
    std::ofstream(path) << text;
    return read_journal(path);
  };
  const auto sweeps = read("sweep a\nstart x/1\tcmd\npassed x/1\nstart x/2\tcmd\nsweep b\nfailed x/1\npass");
  ASSERT_EQ(sweeps.size(), 2u);
  EXPECT_EQ(sweeps[0].verdicts, (std::map<std::string, Verdict>{{"x/1", Verdict::kPassed}}));
  EXPECT_EQ(sweeps[1].identity, "b");
  EXPECT_EQ(sweeps[1].verdicts, (std::map<std::string, Verdict>{{"x/1", Verdict::kFailed}}));
  for (const char* text : {"", "hello\n", "sweep a\nnonsense x\n", "passed x/1\n", "sweep a\npassed\n"}) {
    EXPECT_THROW(read(text), Error) << text;
  }
  std::filesystem::remove(path);
  EXPECT_THROW(read_journal(path), Error);
}

TEST(Journal, ANamedJournalMustBeWritable) { EXPECT_THROW(Journal("/nowhere/journal"), Error); }

TEST(Journal, FullDiskEndsTheJournalOnly) {
  Journal journal("/dev/full");
  journal.start("ok/1", "dsv4diff run --case ok/1");
  journal.end(passed("ok/1"));
  EXPECT_THAT(journal.broken(), HasSubstr("--journal /dev/full: cannot be written: No space left"));
}

TEST(Interrupt, SignalsThatTheCallerIgnoresStayIgnored) {
  ::signal(SIGHUP, SIG_IGN);  // as nohup does
  {
    const InterruptGuard guard;
    std::raise(SIGHUP);
    EXPECT_EQ(InterruptGuard::signal(), 0);
    std::raise(SIGTERM);
    EXPECT_EQ(InterruptGuard::signal(), SIGTERM);
    std::raise(SIGHUP);
  }
  EXPECT_EQ(::signal(SIGHUP, SIG_DFL), SIG_IGN);
}

TEST(Interrupt, FirstSignalIsNoted) {
  const InterruptGuard guard;
  EXPECT_EQ(InterruptGuard::signal(), 0);
  std::raise(SIGINT);
  EXPECT_EQ(InterruptGuard::signal(), SIGINT);
}

TEST(Interrupt, SecondSignalEndsTheProcess) {
  const auto twice = [] {
    const InterruptGuard guard;
    std::raise(SIGINT);
    std::raise(SIGTERM);
    std::_Exit(0);
  };
  EXPECT_EXIT(twice(), ::testing::KilledBySignal(SIGTERM), "");
}

TEST(Interrupt, SweepKeepsTheResultsSoFar) {
  const InterruptGuard guard;
  SweepOptions o = options();
  o.pool.jobs = 1;
  std::atomic<int> answered = 0;
  o.read = [&](const nlohmann::json& answer) {
    ++answered;
    return CaseAnswer{passed(answer.at("echo").get<std::string>())};
  };
  std::thread later([&] {
    while (answered < 2) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ::kill(::getpid(), SIGTERM);
  });
  const SweepResult swept = sweep(o, source_of({"ok/1", "ok/2", "hang/1", "ok/3"}));
  later.join();
  EXPECT_EQ(swept.end.how, PoolEnd::How::kStopped);
  EXPECT_EQ(swept.results.size(), 2u);
}

TEST(Workers, EndWhenTheirParentIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    SweepOptions o = options();
    o.pool.jobs = 1;
    o.read = [&](const nlohmann::json& answer) {
      const int pid = answer.at("pid").get<int>();
      (void)!::write(ends[1], &pid, sizeof pid);
      return CaseAnswer{passed(answer.at("echo").get<std::string>())};
    };
    sweep(o, source_of({"ok/1", "hang/1"}));
    ::_exit(0);
  }
  ::close(ends[1]);
  int worker = 0;
  ASSERT_EQ(::read(ends[0], &worker, sizeof worker), static_cast<ssize_t>(sizeof worker));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  bool gone = false;
  for (int i = 0; i < 500 && !gone; ++i) {
    std::ifstream status("/proc/" + std::to_string(worker) + "/stat");
    std::string text;
    std::getline(status, text);
    // The worker has ended if its process does not exist any more, or if the process is a zombie.
    gone = text.empty() || text.find(") Z") != std::string::npos;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(gone);
  ::close(ends[0]);
}

TEST(Progress, LineSaysRateAndRemainingTime) {
  Progress::Options o;
  o.label = "host";
  o.total = 200;
  Progress p(o);
  for (int i = 0; i < 50; ++i) p.add(Verdict::kPassed);
  EXPECT_EQ(p.line(10), "host: 50/200 (25 %), 5.0 cases/s, 0:30 left");
  p.change(Verdict::kPassed, Verdict::kError);
  p.add(Verdict::kFailed);
  EXPECT_EQ(p.line(10), "host: 51/200 (25 %), 5.1 cases/s, 0:29 left, 1 failed, 1 error");
}

TEST(Progress, SoakCountsDown) {
  Progress::Options o;
  o.label = "host";
  o.seconds = 3600;
  Progress p(o);
  p.add(Verdict::kPassed);
  EXPECT_EQ(p.line(1), "host: 1 cases, 1.0 cases/s, 59:59 left");
}

TEST(Progress, OneLineOnATerminalAndManyElsewhere) {
  for (const bool terminal : {true, false}) {
    std::FILE* out = std::tmpfile();
    {
      Progress::Options o;
      o.out = out;
      o.terminal = terminal;
      o.label = "host";
      o.total = 2;
      o.plain_interval_seconds = o.terminal_interval_seconds = 0;
      Progress p(o);
      p.add(Verdict::kPassed);
      p.tick();
      p.add(Verdict::kPassed);
      p.tick();
    }
    ASSERT_EQ(std::fseek(out, 0, SEEK_SET), 0);
    std::string text(4096, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), out));
    std::fclose(out);
    EXPECT_THAT(text, HasSubstr("host: 2/2 (100 %)"));
    if (terminal) {
      EXPECT_THAT(text, Not(HasSubstr("\n")));
      EXPECT_TRUE(text.ends_with("\r"));
    } else {
      EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
      EXPECT_THAT(text, Not(HasSubstr("\r")));
    }
  }
}

}  // namespace
}  // namespace dsv4
