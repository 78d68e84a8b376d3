/// Messages that say why threads cannot go on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "simt/executor.h"
#include "simt/fiber.h"

#pragma GCC visibility push(hidden)

namespace simt {

const char* name_of(Collective operation);

/// Says how many threads of a block wait in which operation, and how many of its `threads` have ended.
std::string describe_waiting(const std::vector<std::unique_ptr<Fiber>>& fibers, unsigned ended, unsigned threads);

}  // namespace simt

#pragma GCC visibility pop
