/// Far relations of ops that find tokens through the maps of the sliding-window cache (harness/generate/batch.h). Their
/// arguments are named req_pool_indices, req_to_token, full_to_swa and swa_page_size.
#pragma once

#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Relations with the two maps spread out. Rows of req_to_token lie beyond 2^32 elements. Slots of the cache go up to
/// 2^31, the end of an i32: that is 2^34 bytes into full_to_swa.
std::vector<Scenario> far_map_relations(const Points& points);

}  // namespace dsv4
