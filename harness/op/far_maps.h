/// Far relations of ops that find tokens through the maps of the sliding-window cache (harness/generate/batch.h). The
/// arguments of such an op are named req_pool_indices, req_to_token, full_to_swa and swa_page_size.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Two relations; each spreads out one of the maps. Rows of req_to_token are beyond 2^32 elements. Slots go up to 2^31,
/// the limit of an i32. Their byte offsets in full_to_swa go up to 2^34.
std::vector<Scenario> far_map_relations(const Points& points);

}  // namespace dsv4
