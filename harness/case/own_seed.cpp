#include "harness/case/own_seed.h"

#include <xxhash.h>

namespace dsv4 {

std::uint64_t own_seed(const Case& c) {
  const std::string id = c.id();
  return XXH3_64bits(id.data(), id.size()) >> 32;
}

}  // namespace dsv4
