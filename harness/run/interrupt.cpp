#include "harness/run/interrupt.h"

#include <array>
#include <csignal>

namespace dsv4 {
namespace {

constexpr std::array kNoted{SIGINT, SIGTERM, SIGHUP};
volatile std::sig_atomic_t noted = 0;

void note(int signal) {
  noted = signal;
  struct sigaction again {};
  again.sa_handler = SIG_DFL;
  for (const int s : kNoted) ::sigaction(s, &again, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  noted = 0;
  struct sigaction action {};
  action.sa_handler = note;  // without SA_RESTART: a wait ends when the signal comes
  for (const int s : kNoted) ::sigaction(s, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

InterruptGuard::~InterruptGuard() {
  for (const int s : kNoted) ::signal(s, SIG_DFL);
  noted = 0;
}

int InterruptGuard::signal() { return noted; }

}  // namespace dsv4
