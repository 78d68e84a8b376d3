/// Poison: a byte pattern in memory whose content no result may depend on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "harness/core/tensor.h"

namespace dsv4 {

/// The poison byte at `position`. `variant` chooses one of four patterns of four bytes. As a float, variant 0 is a
/// large negative number and variant 1 is a NaN. As an index, every variant is far out of range.
std::uint8_t poison_byte(std::uint32_t variant, std::size_t position);

/// Fills `count` bytes at `bytes` with the poison of positions `origin`, `origin` + 1, ...
void poison_bytes(std::uint8_t* bytes, std::size_t count, std::uint32_t variant, std::size_t origin = 0);

/// Fills the whole storage with poison.
void poison(HostTensor& tensor, std::uint32_t variant = 0);

/// The float at `position` of an input that a kernel must move but not compute with: a NaN that differs from those at
/// nearby positions. So the bits of a moved element show where it comes from, and a sum that includes one is NaN.
float poison_float(std::size_t position);

/// Says that the element with row-major index `linear` is poison: "never written (poison 0xffa5a5a5)"; "" if it is not.
/// An element of one or two bytes counts as poison only if the four bytes around it are poison, because any value of so
/// few bytes may be a result.
std::string describe_poison(const HostTensor& tensor, std::int64_t linear);

}  // namespace dsv4
