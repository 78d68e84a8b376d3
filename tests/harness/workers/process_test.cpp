#include "harness/workers/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::unique_ptr<ChildProcess> shell(const std::string& script) {
  return std::make_unique<ChildProcess>(std::vector<std::string>{"/bin/sh", "-c", script});
}

/// Runs a shell script. Returns how the script ended, and the part of its output that is kept.
std::pair<std::string, std::string> run(const std::string& script) {
  const auto child = shell(script);
  const auto status = child->wait_for(60);
  if (!status) return {"still runs", ""};
  child->drain_output();
  return {describe_status(*status), child->output_tail()};
}

TEST(ChildProcess, ItsEndIsDescribedInWords) {
  EXPECT_EQ(run("exit 0").first, "exited with status 0");
  EXPECT_EQ(run("exit 77").first, "exited with status 77");
  EXPECT_EQ(run("kill -SEGV $$").first, "was killed by SIGSEGV (segmentation fault)");
  EXPECT_EQ(run("kill -ABRT $$").first, "was killed by SIGABRT (abort)");
  EXPECT_EQ(run("kill -USR1 $$").first, "was killed by SIGUSR1");
  EXPECT_THAT(run("kill -KILL $$").first, StartsWith("was killed by SIGKILL (killed from outside"));
  EXPECT_EQ(run("kill -40 $$").first, "was killed by signal 40");
}

// Where damage to the heap is found depends on what lies behind the damaged block.
TEST(ChildProcess, EachMessageOfTheCLibraryAboutADamagedHeapIsCalledThat) {
  const int aborted = SIGABRT;
  for (const char* message :
       {"munmap_chunk(): invalid pointer", "free(): invalid next size (fast)", "corrupted size vs. prev_size",
        "corrupted double-linked list", "double free or corruption (out)", "malloc(): corrupted top size",
        "malloc_consolidate(): unaligned fastbin chunk detected", "realloc(): invalid next size"}) {
    EXPECT_EQ(describe_end(aborted, message), "was killed by SIGABRT (abort) because the heap is damaged") << message;
  }
  EXPECT_EQ(describe_end(aborted, "Assertion `x > 0' failed"), "was killed by SIGABRT (abort)");
  EXPECT_EQ(describe_end(SIGSEGV, "free(): invalid pointer"), "was killed by SIGSEGV (segmentation fault)");
}

TEST(ChildProcess, AMissingProgramEndsWithStatus127) {
  ChildProcess child({"/nowhere/program"});
  EXPECT_EQ(describe_status(child.wait_for(60).value()), "exited with status 127");
  child.drain_output();
  EXPECT_EQ(child.output_tail(), "the worker program cannot be started");
}

TEST(ChildProcess, TheLastLinesOfBothStreamsAreKept) {
  EXPECT_EQ(run("true").second, "");
  EXPECT_EQ(run("echo one; echo two >&2").second, "one | two");
  EXPECT_EQ(run("printf 'no end'").second, "no end");
  EXPECT_EQ(run("for i in 1 2 3 4 5 6; do echo $i; done").second, "3 | 4 | 5 | 6");
  const std::string shown = run("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done").second;
  EXPECT_THAT(shown, ::testing::EndsWith("line 2999"));
  EXPECT_LE(run("head -c 5000 /dev/zero | tr '\\0' x").second.size(), 600u);
}

TEST(ChildProcess, ControlCharactersArePrintedAsEscapes) {
  EXPECT_EQ(run("printf 'a\\033[2Jb\\tc\\177'").second, "a\\x1b[2Jb c\\x7f");
}

TEST(ChildProcess, OutputBeforeACaseCanBeForgotten) {
  const auto child = shell("echo before; read line; echo after");
  // The child's standard input is empty, so `read` returns immediately.
  ASSERT_TRUE(child->wait_for(60));
  child->drain_output();
  EXPECT_EQ(child->output_tail(), "before | after");
  child->forget_output();
  EXPECT_EQ(child->output_tail(), "");
}

TEST(ChildProcess, KillEndsAChildAndItsOwnChildren) {
  const auto child = shell("sleep 1000 & echo $!; wait");
  EXPECT_FALSE(child->ended());
  while (child->output_tail().empty()) {
    child->drain_output();
    ::usleep(1000);
  }
  const auto grandchild = static_cast<pid_t>(std::stol(child->output_tail()));
  EXPECT_FALSE(child->wait_for(0.01));
  child->kill();
  EXPECT_THAT(describe_status(child->ended().value()), HasSubstr("SIGKILL"));
  // SIGKILL has been sent, so the grandchild ends soon. Its process may remain as a zombie until init removes it.
  bool gone = false;
  for (int i = 0; i < 5000 && !gone; ++i) {
    gone = ::kill(grandchild, 0) != 0;
    if (!gone) {
      std::FILE* stat = std::fopen(("/proc/" + std::to_string(grandchild) + "/stat").c_str(), "re");
      char state = 'Z';
      if (stat != nullptr) {
        (void)!std::fscanf(stat, "%*d %*s %c", &state);
        std::fclose(stat);
      }
      gone = state == 'Z';
    }
    ::usleep(1000);
  }
  EXPECT_TRUE(gone);
}

}  // namespace
}  // namespace dsv4
