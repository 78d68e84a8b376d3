/// Includes everything that the definition of an op needs.
#pragma once

#include "harness/core/bits.h"
#include "harness/core/error.h"
#include "harness/core/poison.h"
#include "harness/generate/fills.h"
#include "harness/generate/random.h"
#include "harness/op/contracts.h"
#include "harness/op/derived.h"
#include "harness/op/far.h"
#include "harness/op/far_maps.h"
#include "harness/op/indices.h"
#include "harness/op/op.h"
#include "harness/op/records.h"
#include "harness/op/reference_tolerances.h"
#include "harness/op/rows.h"
#include "harness/op/scenarios.h"

namespace dsv4 {

using enum DType;  // so that declarations can write kI32, kBF16, ...

}  // namespace dsv4
