/// The faults that the test module faulty.cpp can commit. Each is an example of what can be wrong with a kernel.
///
/// The test ops (test_ops.h) pass the fault as a scalar argument. So the fault is a parameter of the case, and the case
/// id is enough to reproduce it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace dsv4::testing {

enum class Fault : std::int64_t {
  kNone,
  // wrong values
  kOneWrong,
  kNan,
  kInfinity,
  kSign,
  kNegativeZero,
  kOneUlp,
  kAllZeros,
  kShifted,
  kLastUnwritten,
  // wrong addresses
  kByteBefore,
  kByteAfter,
  kGap,
  kInput,
  kPadding,
  kUnnamedSlot,
  kWraps32,
  // results that change from call to call
  kCounts,
  kFrozen,
  kEleventh,
  kOnce,
  kReadsPastEnd,
  kReadsOutput,
  kSchedule,
  // refusals
  kThrows,
  kThrowsAfterWriting,
  kAcceptsAll,
  kRefusesUnnamed,
  // returned values
  kWrongShape,
  kWrongDType,
  kReturnsNothing,
  kReturnsText,
  kForeignMemory,
  kClaimsMore,
  kOverrunsReturned,
  // faults that end or damage the process
  kSegfault,
  kWraps31,
  kAbort,
  kExit,
  kHang,
  kHeap,
  kStack,
  kDivide,
  kEats,
  kThrowsInt,
  kCloses,
  // reads beyond memory, of values that are not used; at an inaccessible page they end the process
  kReadsBeyond,
  kReadsBefore,
  kReadsBeyondAllocated,
  kNumber
};

/// Names of the faults in case ids, in the order of the enumeration.
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Fault::kNumber)> kFaultNames{
    "none",
    "one_wrong",
    "nan",
    "infinity",
    "sign",
    "negative_zero",
    "one_ulp",
    "all_zeros",
    "shifted",
    "last_unwritten",
    "byte_before",
    "byte_after",
    "gap",
    "input",
    "padding",
    "unnamed_slot",
    "wraps_32",
    "counts",
    "frozen",
    "eleventh",
    "once",
    "reads_past_end",
    "reads_output",
    "schedule",
    "throws",
    "throws_after_writing",
    "accepts_all",
    "refuses_unnamed",
    "wrong_shape",
    "wrong_dtype",
    "returns_nothing",
    "returns_text",
    "foreign_memory",
    "claims_more",
    "overruns_returned",
    "segfault",
    "wraps_31",
    "abort",
    "exit",
    "hang",
    "heap",
    "stack",
    "divide",
    "eats",
    "throws_int",
    "closes",
    "reads_beyond",
    "reads_before",
    "reads_beyond_allocated"};

}  // namespace dsv4::testing
