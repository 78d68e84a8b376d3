/// The pattern that fills storage which nobody should read or write.
#pragma once

#include <cstddef>
#include <cstdint>

#include "harness/core/tensor.h"

namespace dsv4 {

/// The pattern that fills storage which nobody should read or write: recognisable, and different for each `variant`.
/// As float it is a large negative number (0xfb..) or a NaN for variant 1; as an index far out of range.
std::uint8_t poison_byte(std::uint32_t variant, std::size_t position);

/// Fills `count` bytes at `bytes` with the poison of positions `origin`, `origin` + 1, ...
void poison_bytes(std::uint8_t* bytes, std::size_t count, std::uint32_t variant, std::size_t origin = 0);

/// Fills the whole storage with poison.
void poison(HostTensor& tensor, std::uint32_t variant = 0);

}  // namespace dsv4
