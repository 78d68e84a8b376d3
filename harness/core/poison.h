/// Poison: a byte pattern in memory whose content no result may depend on.
#pragma once

#include <cstddef>
#include <cstdint>

#include "harness/core/tensor.h"

namespace dsv4 {

/// The poison byte at `position`. `variant` chooses one of four patterns of four bytes. As a float, variant 0 is a
/// large negative number and variant 1 is a NaN. As an index, every variant is far out of range.
std::uint8_t poison_byte(std::uint32_t variant, std::size_t position);

/// Fills `count` bytes at `bytes` with the poison of positions `origin`, `origin` + 1, ...
void poison_bytes(std::uint8_t* bytes, std::size_t count, std::uint32_t variant, std::size_t origin = 0);

/// Fills the whole storage with poison.
void poison(HostTensor& tensor, std::uint32_t variant = 0);

}  // namespace dsv4
