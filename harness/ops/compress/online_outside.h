/// The common part of contracts about plans, slots and lengths that name something outside the tensors of an
/// online compressor.
#pragma once

#include <functional>
#include <string>

#include "harness/ops/compress/offline_outside.h"
#include "harness/ops/compress/online_op.h"

namespace dsv4 {

/// Tries the call `bad`, which differs from the valid call `good` in one record or request. The result may differ only
/// in the rows of that record or request: rows of kv_output, and slots. `usual` is the observation of the valid call.
void try_online_outside(ScenarioContext& x, const OnlineOp& op, const std::string& what, Call bad, const Call& good,
                        const std::function<const Observation&()>& usual, const OfflineOwnRows& rows);

}  // namespace dsv4
