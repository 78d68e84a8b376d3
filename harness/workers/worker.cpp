#include "harness/workers/worker.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "harness/core/error.h"
#include "harness/workers/heap_check.h"
#include "harness/workers/protocol.h"

namespace dsv4 {
namespace {

constexpr int kOutOfTheWay = 200;  // a descriptor number that other code is unlikely to use

/// Appends the id of the case that begins to the file that $DSV4DIFF_CASE_LOG names. scripts/memcheck reads it together
/// with the output of NVIDIA's compute-sanitizer, to know which case a finding belongs to.
void log_case(const std::string& id) {
  static const char* const path = std::getenv("DSV4DIFF_CASE_LOG");
  if (path == nullptr || *path == '\0') return;
  const int file = ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_CLOEXEC, 0644);
  if (file < 0) return;
  const std::string line = "\n##dsv4diff case " + id + "\n";  // the sanitizer may not have ended its line
  (void)!::write(file, line.data(), line.size());
  ::close(file);
}

}  // namespace

WorkerConnection::WorkerConnection() {
  struct stat info {};
  if (::fstat(kWorkerSocket, &info) != 0 || !S_ISSOCK(info.st_mode)) {
    throw Error("'worker' is started only by the other commands");
  }
  socket_ = ::fcntl(kWorkerSocket, F_DUPFD_CLOEXEC, kOutOfTheWay);
  if (socket_ < 0) socket_ = ::fcntl(kWorkerSocket, F_DUPFD_CLOEXEC, kWorkerSocket + 1);
  if (socket_ < 0) throw Error("worker: the connection to the parent cannot be moved to another descriptor");
  ::close(kWorkerSocket);
}

WorkerConnection::~WorkerConnection() { ::close(socket_); }

void WorkerConnection::send(const nlohmann::json& message) {
  // If the parent has ended, nobody needs the answers. _Exit skips destructors, which could crash on objects that a
  // kernel damaged.
  if (!write_all(socket_, dump_line(message))) std::_Exit(1);
}

void WorkerConnection::fatal(const std::string& why) { send({{"fatal", why}}); }

void WorkerConnection::serve(const CaseHandler& handler) {
  check_heap();  // the first check must come before any case, because a case can damage the heap
  send({{"hello", 1}});
  LineBuffer lines;
  char chunk[4096];
  for (;;) {
    if (const auto id = lines.next()) {
      log_case(*id);
      Answer answer = handler(*id);
      check_heap();
      nlohmann::json message{{"case", *id}, {"result", std::move(answer.result)}};
      if (answer.leaving) message["leaving"] = 1;
      send(message);
      if (answer.leaving) return;
      continue;
    }
    const ssize_t n = ::read(socket_, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    lines.append({chunk, static_cast<std::size_t>(n)});
  }
}

void WorkerConnection::bye() {
  check_heap();
  send({{"bye", 1}});
}

void apply_limits([[maybe_unused]] const WorkerLimits& limits) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
#ifndef DSV4_SANITIZED
  // Some libraries install signal handlers that print stack traces. If the heap is damaged, such a handler may hang. It
  // also hides the last output of the kernel.
  for (const int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(s, SIG_DFL);
  if (limits.memory_gib > 0) {
    const auto bytes = static_cast<rlim_t>(limits.memory_gib * (1u << 30));
    // RLIMIT_DATA limits memory that can be written to. RLIMIT_AS would also count address space that is only reserved
    // and takes no memory.
    rlimit memory{};
    ::getrlimit(RLIMIT_DATA, &memory);
    memory.rlim_cur = std::min(bytes, memory.rlim_max);
    if (::setrlimit(RLIMIT_DATA, &memory) != 0) throw Error("worker: the memory limit cannot be set");
  }
#endif
}

void lift_memory_limit() {
  rlimit memory{};
  ::getrlimit(RLIMIT_DATA, &memory);
  memory.rlim_cur = memory.rlim_max;
  ::setrlimit(RLIMIT_DATA, &memory);
}

}  // namespace dsv4
