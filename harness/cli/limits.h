/// Checks the limits that the shell sets for this process (ulimit).
#pragma once

namespace dsv4 {

/// Throws Error if a limit is so low that this process or its workers would end without a message.
void require_limits();

}  // namespace dsv4
