/// Pairs: relations between two kernels of a stream, the producer and the consumer. The consumer takes tensors that the
/// producer made. Both may be right alone and wrong together: with programmatic dependent launch, the consumer may
/// begin while the producer is still writing.
#pragma once

#include "harness/op/op.h"

namespace dsv4 {

/// Makes "relation:after_<producer>". Every op has it for each of Op::pairs(). It runs producer and consumer in each
/// mix of the set under test and the other kernel set, if there is one. The consumer begins when the producer has just
/// let it. Up to its wait, it does not see what the producer writes after that. Its outputs must agree with the
/// reference.
Scenario pair_relation(Pair pair);

/// Makes "relation:writes_before_next". Every op with a tensor in device memory has it: no kernel writes after it has
/// let the stream's next kernel begin. Only a set that promises this fails (Caller::writes_before_next).
Scenario writes_before_next_relation(Points points);

}  // namespace dsv4
