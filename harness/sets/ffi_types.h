/// Converts this tool's element types to DLPack's types and back.
#pragma once

#include <dlpack/dlpack.h>

#include "harness/core/dtype.h"

namespace dsv4 {

DLDataType to_dlpack(DType dtype);
/// Throws Error for a type that no op uses.
DType from_dlpack(DLDataType dtype);

}  // namespace dsv4
