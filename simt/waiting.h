/// What keeps threads from going on, in words.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "simt/executor.h"
#include "simt/fiber.h"

#pragma GCC visibility push(hidden)

namespace simt {

const char* name_of(Collective operation);

/// Who of a block's threads waits in what, those of a kind together, and how many of `threads` have ended.
std::string describe_waiting(const std::vector<std::unique_ptr<Fiber>>& fibers, unsigned ended, unsigned threads);

}  // namespace simt

#pragma GCC visibility pop
