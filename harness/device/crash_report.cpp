#include "harness/device/crash_report.h"

#include <signal.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace dsv4 {
namespace {

// A signal handler may use only what is async-signal-safe: no allocation, no lock, no formatting library. So the facts
// about the call are kept in arrays of fixed size.

constexpr std::size_t kMostTensors = 64;
constexpr std::size_t kNearBytes = std::size_t{16} << 30;  // a tensor farther away says nothing about an address
constexpr std::uintptr_t kStackReach = 64 << 10;           // a frame of a function is not larger

class Name {
 public:
  void set(std::string_view text) {
    size_ = std::min(text.size(), chars_.size());
    std::memcpy(chars_.data(), text.data(), size_);
  }
  [[nodiscard]] std::string_view get() const { return {chars_.data(), size_}; }

 private:
  std::array<char, 96> chars_{};
  std::size_t size_ = 0;
};

struct Tensor {
  Name name;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

struct Watched {
  volatile bool running = false;
  Name set, op, function;
  std::array<Tensor, kMostTensors> tensors;
  volatile std::size_t count = 0;
};

Watched watched;

constexpr std::array kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
std::array<struct sigaction, kSignals.size()> former;

/// A line of text in an array of fixed size. Text that does not fit is cut off.
class Line {
 public:
  Line& text(std::string_view text) {
    const std::size_t n = std::min(text.size(), chars_.size() - size_);
    std::memcpy(chars_.data() + size_, text.data(), n);
    size_ += n;
    return *this;
  }
  Line& number(std::uint64_t value, unsigned base = 10) {
    std::array<char, 20> digits{};
    std::size_t n = digits.size();
    do {
      digits[--n] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    return text({digits.data() + n, digits.size() - n});
  }
  Line& address(std::uintptr_t value) { return text("0x").number(value, 16); }
  void print() {
    const std::size_t end = std::min(size_, chars_.size() - 1);
    chars_[end] = '\n';
    (void)!::write(STDERR_FILENO, chars_.data(), end + 1);
  }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  std::array<char, 480> chars_{};  // the parent shows the last 600 characters of what a worker printed
  std::size_t size_ = 0;
};

/// The tensor that is nearest to the address; nullptr if none is near. An address between two tensors may belong to
/// both. Then the nearer one is more probable.
const Tensor* nearest(std::uintptr_t address) {
  const Tensor* best = nullptr;
  std::uintptr_t least = kNearBytes;
  for (std::size_t i = 0; i < watched.count; ++i) {
    const Tensor& t = watched.tensors[i];
    const std::uintptr_t distance = address < t.begin ? t.begin - address : address < t.end ? 0 : address - t.end + 1;
    if (distance >= least) continue;
    best = &t;
    least = distance;
  }
  return best;
}

void describe_place(Line& line, std::uintptr_t address) {
  const Tensor* const t = nearest(address);
  if (t == nullptr) {
    line.text("; no tensor of the call is near");
    return;
  }
  if (address < t->begin) {
    line.text(", byte ").number(t->begin - address).text(" before the start of ");
  } else if (address >= t->end) {
    line.text(", byte ").number(address - t->end + 1).text(" past the end of ");
  } else {
    line.text(", at byte ").number(address - t->begin).text(" inside ");
  }
  line.text(t->name.get()).text(" (").number(t->end - t->begin).text(" bytes at ").address(t->begin).text(")");
}

void describe_access(Line& line, const siginfo_t& info, const ucontext_t& context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info.si_addr);
#if defined(__x86_64__)
  if (info.si_code == SI_KERNEL) {
    // The processor gives no address if it has more than 48 bits, or if an instruction needs an aligned address.
    line.text("an access to an address that is invalid, or not aligned as the instruction needs");
    return;
  }
  constexpr long long kWrite = 2;  // bit 1 of the page fault's error code
  line.text((context.uc_mcontext.gregs[REG_ERR] & kWrite) != 0 ? "a write to " : "a read of ").address(address);
  const auto stack = static_cast<std::uintptr_t>(context.uc_mcontext.gregs[REG_RSP]);
  if (address + kStackReach >= stack && address < stack + kStackReach) {
    line.text(", near the stack pointer: the stack has probably overflowed");
    return;
  }
#else
  line.text("an access to ").address(address);
#endif
  describe_place(line, address);
}

void describe_call(Line& line) {
  if (watched.running) {
    line.text("in function '").text(watched.function.get()).text("' of set '").text(watched.set.get());
    line.text("' (op '").text(watched.op.get()).text("')");
  } else {
    line.text("outside the calls of kernels");
  }
}

#if defined(__SANITIZE_ADDRESS__)
Line reported;

/// Repeats the line after AddressSanitizer's report, because only the end of what a worker prints is kept. For an
/// access to a guard band no signal comes, so the line is made here.
void repeat_report() {
  if (reported.empty() && __asan_report_present() != 0) {
    describe_call(reported);
    const auto address = reinterpret_cast<std::uintptr_t>(__asan_get_report_address());
    reported.text(__asan_get_report_access_type() != 0 ? ": a write to " : ": a read of ").address(address);
    describe_place(reported, address);
  }
  if (!reported.empty()) reported.print();
}
#endif

void report(int signal, siginfo_t* info, void* context) {
  Line line;
  describe_call(line);
  const bool sent = info->si_code <= 0;  // by kill() or raise(), so there is no address
  if (!sent && (signal == SIGSEGV || signal == SIGBUS)) {
    describe_access(line.text(": "), *info, *static_cast<const ucontext_t*>(context));
  }
  line.print();
#if defined(__SANITIZE_ADDRESS__)
  reported = line;
#endif
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == signal) ::sigaction(signal, &former[i], nullptr);
  }
  // After the return, the instruction runs again and the signal comes again, unless the signal was sent.
  if (sent) ::raise(signal);
}

}  // namespace

void install_crash_report() {
  static std::array<std::byte, 64 << 10> stack;
  stack_t present{};
  if (::sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) != 0) {
    const stack_t own{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
    ::sigaltstack(&own, nullptr);
  }
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_set_death_callback(repeat_report);
#endif
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_sigaction = report;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    ::sigaction(kSignals[i], &action, &former[i]);
  }
}

WatchedCall::WatchedCall(std::string_view set, std::string_view op, std::string_view function) {
  watched.count = 0;
  watched.set.set(set);
  watched.op.set(op);
  watched.function.set(function);
  watched.running = true;
}

WatchedCall::~WatchedCall() {
  watched.running = false;
  watched.count = 0;
}

void WatchedCall::add(std::string_view name, const void* address, std::size_t bytes) {
  if (!watched.running || watched.count == kMostTensors) return;
  Tensor& t = watched.tensors[watched.count];
  t.name.set(name);
  t.begin = reinterpret_cast<std::uintptr_t>(address);
  t.end = t.begin + bytes;
  watched.count = watched.count + 1;
}

}  // namespace dsv4
