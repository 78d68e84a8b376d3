/// DLPack's names for this tool's element types.
#pragma once

#include <dlpack/dlpack.h>

#include "harness/core/dtype.h"

namespace dsv4 {

DLDataType to_dlpack(DType dtype);
/// Throws Error for a type that no op knows.
DType from_dlpack(DLDataType dtype);

}  // namespace dsv4
