/// Writes tensors as .npy files, which numpy.load() reads (numpy's format 1.0).
#pragma once

#include <string>

#include "harness/core/tensor.h"

namespace dsv4 {

/// The dtype as numpy names it: "<f4". bf16 and the two 8-bit floats are unknown to numpy. So their bits are written as
/// "<u2" and "|u1".
std::string npy_dtype(DType dtype);

/// Writes the elements of the view, in row-major order. Throws Error if the file cannot be written.
void write_npy(const std::string& path, const HostTensor& tensor);

}  // namespace dsv4
