#include "tests/harness/workers/misbehaving_worker.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "harness/workers/worker.h"

namespace dsv4::testing {
namespace {

constexpr const char* kFlag = "--misbehaving-worker";
bool damaged = false;  // set by "damage": the next case in this process crashes
bool bomb = false;     // set by "bomb": the next case crashes; without a next case, the process crashes when it ends
bool grudge = false;   // set by "grudge" if other cases ran before it: the process crashes when it ends
int served = 0;        // number of cases that ran before this one

/// Writes beyond the end of a block, and so overwrites the records of the allocator.
void smash_heap() {
  static char* block = nullptr;
  block = static_cast<char*>(std::malloc(100));
  volatile std::size_t beyond = 4000;
  std::memset(block, 0x5a, beyond);
}

[[noreturn]] void crash(const std::string& where) {
  std::fprintf(stderr, "about to crash in %s\n", where.c_str());
  ::signal(SIGSEGV, SIG_DFL);  // a sanitizer's handler would turn the signal into an ordinary exit
  std::raise(SIGSEGV);
  std::abort();
}

Answer misbehave(const std::string& id) {
  const std::string kind = id.substr(0, id.find('/'));
  if (damaged || bomb || kind == "segv") crash(id);
  if (kind == "abort") std::abort();
  if (kind == "kill") std::raise(SIGKILL);
  if (kind == "killonce") {
    const char* mark = std::getenv("DSV4_TEST_MARK");
    if (mark != nullptr && ::access(mark, F_OK) != 0) {
      ::close(::creat(mark, 0600));
      std::raise(SIGKILL);
    }
  }
  if (kind == "exit0") std::exit(0);
  if (kind == "exit3") std::_Exit(3);
  if (kind == "throw") throw std::runtime_error("thrown on purpose");
  if (kind == "hang") {
    for (;;) ::pause();
  }
  if (kind == "damage") damaged = true;
  if (kind == "bomb") bomb = true;
  if (kind == "grudge") grudge = served > 0;
  ++served;
  if (kind == "smash") smash_heap();
  if (kind == "chatter") {
    for (int i = 0; i < 20000; ++i) std::printf("{\"case\":\"%s\",\"result\":{}}\n", id.c_str());
    std::fflush(stdout);
  }
  if (kind == "garbage") {
    for (int fd = 3; fd < 256; ++fd) (void)!::send(fd, "\x01\xff}{\n", 5, MSG_NOSIGNAL);
  }
  if (kind == "liar") {
    const std::string lie = "{\"case\":\"ok/0\",\"result\":{}}\n";
    for (int fd = 3; fd < 256; ++fd) (void)!::send(fd, lie.data(), lie.size(), MSG_NOSIGNAL);
  }
  if (kind == "closes") {
    for (int fd = 0; fd < 256; ++fd) ::close(fd);
    for (;;) ::pause();
  }
  if (kind == "forks" && ::fork() == 0) {
    for (;;) ::pause();
  }
  if (kind == "eats") {
    std::vector<std::vector<char>> all;
    for (;;) all.emplace_back(std::size_t{8} << 20, 'x');
  }
  return {{{"echo", id}, {"pid", ::getpid()}}, kind == "leaving"};
}

/// Runs before main(), because googletest's own main() does not know the worker's flag.
__attribute__((constructor)) void become_worker(int argc, char** argv) {
  if (argc != 3 || std::strcmp(argv[1], kFlag) != 0) return;
  const std::string mode = argv[2];
  if (mode == "dies") {
    std::fputs("no such library\n", stderr);
    std::_Exit(9);
  }
  WorkerConnection connection;
  if (mode == "fatal") {
    connection.fatal("set 'x' cannot be opened");
    std::_Exit(2);
  }
  if (mode == "mute") {
    for (;;) ::pause();
  }
  apply_limits({.memory_gib = 0.25});
  try {
    connection.serve(misbehave);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "exception: %s\n", e.what());
    std::_Exit(70);
  }
  if (bomb || grudge) crash("its end");
  connection.bye();
  std::_Exit(0);
}

}  // namespace

std::vector<std::string> misbehaving_worker(const std::string& mode) { return {"/proc/self/exe", kFlag, mode}; }

}  // namespace dsv4::testing
