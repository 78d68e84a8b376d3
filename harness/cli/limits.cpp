#include "harness/cli/limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

void require(int resource, rlim_t least, rlim_t unit, const char* what, const char* option) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0 || limit.rlim_cur >= least) return;
  throw Error(fmt::format("the limit on {} is {} ('ulimit {}'), but at least {} is needed; raise the limit", what,
                          limit.rlim_cur / unit, option, least / unit));
}

}  // namespace

void require_limits() {
  constexpr rlim_t kKib = 1024;
  // Frames of the harness, of kernels' entries and of libraries take some hundred KiB.
  require(RLIMIT_STACK, 512 * kKib, kKib, "the stack, in KiB,", "-s");
  require(RLIMIT_NOFILE, 64, 1, "open files", "-n");
}

}  // namespace dsv4
