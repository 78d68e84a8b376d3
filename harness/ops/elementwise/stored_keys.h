/// What the ops share that normalise keys and store them in a paged cache, whose argument is `kvcache`.
#pragma once

#include <functional>
#include <string>

#include "harness/generate/fills.h"
#include "harness/op/op.h"
#include "harness/ops/attn/cache_geometry.h"

namespace dsv4 {

/// Fills of one group of the weights. With the rows "signs" and eps 0, the factor is 1, and a stored element is a
/// weight of either sign. So such a case has scales and codes at their edges.
const Fills& key_weight_fills();

/// The contents of each slot (cache_geometry.h). The bits of a NaN in bfloat16 are not specified, so all are 0x7fff.
Observation stored_keys(const CacheGeometry& g, const HostTensor& cache, const HostTensor& slots);

/// The interval of each output of stored_keys(), from the auxiliary function `aux`. It gets the cache that `call` has.
/// `observe` reads the outputs from a cache.
struct KeyIntervals {
  Observation low;
  Observation high;
};
KeyIntervals key_intervals(const Call& call, Caller& reference, const std::string& aux,
                           const std::function<Observation(const HostTensor&)>& observe);

/// The same as tolerances for a result of the call, whose codes are judged for the scales in its cache.
Tolerances key_tolerances(const Call& call, const CallResult& got, Caller& reference,
                          const std::function<Observation(const HostTensor&)>& observe);

/// "relation:scaled_weight": 16 times the weight adds 4 to the scale exponents.
Scenario scaled_weight(const std::string& weight);

}  // namespace dsv4
