/// Rows of tensors, for relations that take a batch apart.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/core/tensor.h"

namespace dsv4 {

/// These rows of the first dimension, in this order, packed. Throws Error for a row that the tensor has not.
HostTensor rows_of(const HostTensor& t, const std::vector<std::int64_t>& rows);

}  // namespace dsv4
