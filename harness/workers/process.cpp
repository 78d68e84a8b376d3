#include "harness/workers/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/workers/protocol.h"

namespace dsv4 {
namespace {

constexpr std::size_t kTailBytes = 4096;
constexpr std::size_t kTailLines = 4;
constexpr std::size_t kTailShown = 600;

/// Runs in the child between fork and exec, so it must not allocate memory or take a lock.
[[noreturn]] void become(char* const* argv, int socket, int output, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // the parent died before prctl() was called
  ::setpgid(0, 0);
  // The child must not inherit the signal handlers and blocked signals of the parent.
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
  ::signal(SIGPIPE, SIG_DFL);
  ::signal(SIGXFSZ, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // Copy the descriptor of the pipe first. Its number may be kWorkerSocket, which the code below replaces.
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (::dup2(output, STDERR_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 || ::dup2(nothing, STDIN_FILENO) < 0) {
    ::_exit(127);
  }
  if (socket == kWorkerSocket) {
    ::fcntl(socket, F_SETFD, 0);  // dup2() to the same number would leave close-on-exec set
  } else if (::dup2(socket, kWorkerSocket) < 0) {
    ::_exit(127);
  }
  ::execv(argv[0], argv);
  const char message[] = "the worker program cannot be started\n";
  (void)!::write(STDERR_FILENO, message, sizeof message - 1);
  ::_exit(127);
}

std::string visible(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += " | ";
    } else if (c == '\t') {
      out += ' ';
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

const char* meaning_of(int signal) {
  switch (signal) {
    case SIGSEGV:
      return "segmentation fault";
    case SIGABRT:
      return "abort";
    case SIGBUS:
      return "bus error";
    case SIGFPE:
      return "arithmetic exception";
    case SIGILL:
      return "illegal instruction";
    case SIGKILL:
      return "killed from outside, perhaps by the system for lack of memory";
    case SIGXCPU:
      return "CPU time limit, ulimit -t";
    case SIGXFSZ:
      return "file size limit, ulimit -f";
    default:
      return nullptr;
  }
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& argv) {
  int sockets[2];
  int pipes[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
    throw Error(fmt::format("no worker can be started: socketpair: {}", describe_errno(errno)));
  }
  if (::pipe2(pipes, O_CLOEXEC) != 0) {
    const std::string why = describe_errno(errno);
    ::close(sockets[0]);
    ::close(sockets[1]);
    throw Error(fmt::format("no worker can be started: pipe: {}", why));
  }
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(words.data(), sockets[1], pipes[1], parent);
  const std::string why = pid_ < 0 ? describe_errno(errno) : "";
  ::close(sockets[1]);
  ::close(pipes[1]);
  socket_ = sockets[0];
  output_ = pipes[0];
  if (pid_ < 0) {
    ::close(socket_);
    ::close(output_);
    throw Error(fmt::format("no worker can be started: fork: {}", why));
  }
  // The parent must never block. It can always write to the socket of a worker, because at most two short lines are
  // in it.
  ::fcntl(socket_, F_SETFL, O_NONBLOCK);
  ::fcntl(output_, F_SETFL, O_NONBLOCK);
}

ChildProcess::~ChildProcess() {
  kill();
  ::close(socket_);
  ::close(output_);
}

void ChildProcess::drain_output() {
  std::string fresh;
  read_available(output_, fresh);
  tail_ += fresh;
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
}

std::string ChildProcess::output_tail() const {
  std::string text = tail_;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  std::size_t start = text.size();
  for (std::size_t lines = 0; lines < kTailLines && start != std::string::npos && start > 0; ++lines) {
    start = text.rfind('\n', start - 1);
  }
  if (start != std::string::npos && start < text.size() && text[start] == '\n') text.erase(0, start + 1);
  if (text.size() > kTailShown) text.erase(0, text.size() - kTailShown);
  return visible(text);
}

void ChildProcess::close_sending() { ::shutdown(socket_, SHUT_WR); }

std::optional<int> ChildProcess::ended() {
  if (status_) return status_;
  // With WNOWAIT, the ended child still exists as a zombie, so the number of its process group is not reused. So kill()
  // reaches only processes that the child has started.
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid_) kill();
  return status_;
}

std::optional<int> ChildProcess::wait_for(double seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!ended() && std::chrono::steady_clock::now() < until) {
    drain_output();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return status_;
}

void ChildProcess::kill() {
  if (status_) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);  // the child may not have made its process group yet
  int status = 0;
  rusage used{};
  while (::wait4(pid_, &status, 0, &used) < 0 && errno == EINTR) {
  }
  status_ = status;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  cpu_seconds_ = seconds(used.ru_utime) + seconds(used.ru_stime);
}

std::string ChildProcess::limit_reached() const {
  rlimit cpu{};
  if (!status_ || !killed_from_outside(*status_) || ::getrlimit(RLIMIT_CPU, &cpu) != 0) return "";
  // For the limit the system counts clock ticks, for cpu_seconds_ it measures time. On a busy machine a child that was
  // ended by the limit may have used much less.
  if (cpu.rlim_cur == RLIM_INFINITY || cpu_seconds_ < static_cast<double>(cpu.rlim_cur) / 2) return "";
  return fmt::format("; it had used {:.1f} s of CPU time, and 'ulimit -t' allows {} s", cpu_seconds_, cpu.rlim_cur);
}

bool killed_from_outside(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return false;
  switch (WTERMSIG(wait_status)) {
    case SIGKILL:
    case SIGXCPU:
    case SIGXFSZ:
    case SIGTERM:
    case SIGINT:
    case SIGHUP:
    case SIGQUIT:
      return true;
    default:
      return false;
  }
}

std::string describe_status(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    const char* name = ::sigabbrev_np(signal);
    const char* meaning = meaning_of(signal);
    std::string text = name ? fmt::format("was killed by SIG{}", name) : fmt::format("was killed by signal {}", signal);
    return meaning ? fmt::format("{} ({})", text, meaning) : text;
  }
  return fmt::format("exited with status {}", WEXITSTATUS(wait_status));
}

std::string describe_end(int wait_status, const std::string& printed) {
  // Parts of the messages with which glibc aborts if it finds a damaged heap (malloc/malloc.c of glibc 2.36).
  constexpr const char* kMessages[] = {
      "malloc(): ",     "malloc_consolidate(): ",    "munmap_chunk(): ",      "mremap_chunk(): ",
      "realloc(): ",    "double free or corruption", "sysmalloc: ",           "free(): ",
      "corrupted size", "corrupted double-linked",   "break adjusted to free"};
  std::string text = describe_status(wait_status);
  const auto was_printed = [&](const char* message) { return printed.find(message) != std::string::npos; };
  if (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGABRT && std::ranges::any_of(kMessages, was_printed)) {
    text += " because the heap is damaged";
  }
  return text;
}

}  // namespace dsv4
