/// The table of what was measured on GPUs and is not documented. Some intervals of the references rely on it.
///
/// All other errors that references allow are documented ones (cuda_accuracy.h). A row of this table holds for the
/// cards that it names. It can be measured again, on other cards too: try every argument that `where` describes, and
/// write the greatest relative error and the cards into the row. A reference reads its numbers from here, so it follows
/// the table.
#pragma once

#include <array>

namespace dsv4::reference {

/// One fact. An error of 0 says that every result was exact.
struct Measured {
  const char* what;      ///< the operation
  const char* where;     ///< the arguments that were tried
  double error;          ///< greatest relative error
  const char* cards;     ///< where it was measured
  const char* evidence;  ///< how it was measured
};

// clang-format off
inline constexpr std::array kMeasured{
    Measured{"1 / x and a / x with -use_fast_math",
             "x = 2^n for n = -126 ... 126",
             0.0, "NVIDIA H200",
             "results of every n; SASS: a product with an approximate reciprocal (MUFU.RCP)"},
    Measured{"UE8M0 byte of a / 448 with -use_fast_math",
             "a = 448 * 2^n, and the floats next to it",
             0.0, "NVIDIA H200",
             "SASS: a product with the float nearest to 1 / 448 (0x3B124925), which gives 2^n for 448 * 2^n and for the "
             "float below it, and more than 2^n for the float above it"},
};
// clang-format on

/// The rows that references use.
inline constexpr const Measured& kReciprocalOfPowerOfTwo = kMeasured[0];
inline constexpr const Measured& kByteOfQuotientBy448 = kMeasured[1];

}  // namespace dsv4::reference
