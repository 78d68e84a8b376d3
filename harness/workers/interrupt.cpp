#include "harness/workers/interrupt.h"

#include <array>
#include <csignal>

namespace dsv4 {
namespace {

constexpr std::array kNoted{SIGINT, SIGTERM, SIGHUP};
volatile std::sig_atomic_t noted = 0;

void note(int signal);

/// Sets the handler `to` for each signal in kNoted whose handler is `from`. May be called in a signal handler.
void hand_over(void (*from)(int), void (*to)(int)) {
  for (const int s : kNoted) {
    struct sigaction now {};
    if (::sigaction(s, nullptr, &now) != 0 || now.sa_handler != from) continue;
    struct sigaction next {};
    next.sa_handler = to;  // SA_RESTART is not set, so that the signal interrupts a waiting call
    ::sigaction(s, &next, nullptr);
  }
}

void note(int signal) {
  noted = signal;
  hand_over(note, SIG_DFL);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  noted = 0;
  hand_over(SIG_DFL, note);
  ::signal(SIGPIPE, SIG_IGN);
}

InterruptGuard::~InterruptGuard() {
  hand_over(note, SIG_DFL);
  noted = 0;
}

int InterruptGuard::signal() { return noted; }

}  // namespace dsv4
