/// Messages that say why no thread can continue.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "simt/executor.h"
#include "simt/fiber.h"

#pragma GCC visibility push(hidden)

namespace simt {

const char* name_of(Collective operation);

/// Returns a text that says how many threads of a block wait in which operation. It also says that `ended` of the
/// block's `threads` threads have ended.
std::string describe_waiting(const std::vector<std::unique_ptr<Fiber>>& fibers, unsigned ended, unsigned threads);

}  // namespace simt

#pragma GCC visibility pop
