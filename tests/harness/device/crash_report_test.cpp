/// Tests of the line that a crash writes. Each crash happens in a process of its own.
#include "harness/device/crash_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>

#include "harness/device/memory.h"
#include "tests/faulty/test_ops.h"

// Under AddressSanitizer, a crash is a report and an exit, not the end by a signal.
#if !defined(__SANITIZE_ADDRESS__)
namespace dsv4 {
namespace {

using ::testing::KilledBySignal;

constexpr const char* kWhere = "in function 'run \\(bound\\)' of set 'mine' \\(op 'rope'\\)";

/// The address `distance` bytes after the start of a tensor of 20 bytes that ends at a page.
volatile int* beyond(const GuardedBlock& block, std::ptrdiff_t distance) {
  return reinterpret_cast<volatile int*>(static_cast<std::uint8_t*>(block.payload()) + distance);
}

/// Runs `crash` in a call that has the tensor 'x' of 20 bytes, and is expected to die from `signal`.
template <class Crash>
void expect_line(int signal, const std::string& line, Crash crash) {
  const auto memory = make_host_memory();
  const GuardedBlock block(*memory, 20, 0, 0, Surround::kPageAfter);
  EXPECT_EXIT(
      {
        install_crash_report();
        const WatchedCall call("mine", "rope", "run (bound)");
        WatchedCall::add("'x'", block.payload(), block.bytes());
        crash(block);
      },
      KilledBySignal(signal), line);
}

TEST(CrashReportDeathTest, AnAddressIsToldByTheNearestTensor) {
  const std::string where = std::string(kWhere) + ": a ";
  expect_line(SIGSEGV, where + "read of 0x[0-9a-f]+, byte 1 past the end of 'x' \\(20 bytes at 0x[0-9a-f]+\\)\n",
              [](const GuardedBlock& b) { (void)*beyond(b, 20); });
  expect_line(SIGSEGV, where + "write to 0x[0-9a-f]+, byte 4097 past the end of 'x'",
              [](const GuardedBlock& b) { *beyond(b, 20 + 4096) = 1; });
  expect_line(SIGSEGV, where + "read of 0x[0-9a-f]+, byte 4096 before the start of 'x'",
              [](const GuardedBlock& b) { (void)*beyond(b, -4096); });
  expect_line(SIGSEGV, where + "write to 0x8; no tensor of the call is near",
              [](const GuardedBlock&) { *reinterpret_cast<volatile int*>(8) = 1; });
}

TEST(CrashReportDeathTest, AnInvalidAddressHasNoPlace) {
  expect_line(SIGSEGV, "an access to an address that is invalid, or not aligned", [](const GuardedBlock&) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    (void)*reinterpret_cast<volatile int*>(std::uintptr_t{0x7b5ac3d27b5ac3d2});
  });
}

TEST(CrashReportDeathTest, OtherSignalsNameTheFunctionToo) {
  expect_line(SIGABRT, std::string(kWhere) + "\n", [](const GuardedBlock&) { std::abort(); });
  expect_line(SIGFPE, std::string(kWhere) + "\n", [](const GuardedBlock&) { ::raise(SIGFPE); });
}

TEST(CrashReportDeathTest, WithoutACallNoFunctionIsNamed) {
  EXPECT_EXIT(
      {
        install_crash_report();
        { const WatchedCall call("mine", "rope", "run"); }
        *reinterpret_cast<volatile int*>(8) = 1;
      },
      KilledBySignal(SIGSEGV), "^outside the calls of kernels: a write to 0x8; no tensor of the call is near");
}

TEST(CrashReportDeathTest, LongNamesAndManyTensorsAreCutOff) {
  EXPECT_EXIT(
      {
        install_crash_report();
        const std::string name(10000, 'n');
        const WatchedCall call(name, name, name);
        for (int i = 0; i < 1000; ++i) WatchedCall::add(name, &name, 1);
        std::abort();
      },
      KilledBySignal(SIGABRT), "in function 'n+' of set 'n+' \\(op 'n+'\\)\n");
}

// The reference is called at the edges as well, and a crash says which side it is.
TEST(CrashReportDeathTest, AReferenceThatReadsBeyondATensorIsNamed) {
  EXPECT_EXIT(
      {
        install_crash_report();
        (void)testing::try_with_faulty_reference(testing::test_case_id("copy", "reads_beyond", "relation:page_end"));
      },
      KilledBySignal(SIGSEGV), "in function 'copy' of set 'reference' .*byte 1 past the end of 'input'");
}

}  // namespace
}  // namespace dsv4
#endif
