/// Scenarios of ops that store rows into a paged cache. `cache` and `indices` are the names of two arguments: the
/// cache, and the slot of each row.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/contracts.h"
#include "harness/op/op.h"

namespace dsv4 {

/// A `move` for far_relation: places the pages of the cache at offsets beyond 2^32 bytes.
std::function<void(Call& call)> move_pages(std::string cache, std::string indices);

/// The call before move_pages() moved its pages; the same call if none were moved.
Call with_near_pages(Call call, const std::string& cache, const std::string& indices);

/// Adds contracts about the bytes of a page and about slots outside the cache. The point of the contracts must have 5
/// rows and 2 FlashMLA pages of 64 slots.
void add_cache_contracts(Contracts& contracts, const Op& op, const std::string& cache, const std::string& indices);

/// Adds a contract: the call with these slots is right, or it is refused.
void with_slots(Contracts& contracts, const Op& op, const std::string& indices, const std::string& name,
                const std::string& meaning, std::vector<std::int64_t> slots, DType dtype = DType::kI32);

}  // namespace dsv4
