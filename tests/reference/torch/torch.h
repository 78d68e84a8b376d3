/// Views of host tensors as LibTorch tensors, and comparisons of LibTorch tensors.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/core/tensor.h"

namespace dsv4::testing {

inline at::ScalarType scalar_type(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return at::kFloat;
    case DType::kBF16:
      return at::kBFloat16;
    case DType::kI32:
      return at::kInt;
    case DType::kI64:
      return at::kLong;
    case DType::kE4M3:
      return at::kFloat8_e4m3fn;
    default:
      return at::kByte;
  }
}

/// Returns a LibTorch tensor that uses the memory of `tensor`, with its strides.
inline at::Tensor as_torch(const HostTensor& tensor) {
  const std::int64_t first = tensor.offset * size_of(tensor.dtype);
  auto* data = const_cast<std::uint8_t*>(tensor.storage.data()) + first;  // LibTorch has no views of constant memory
  return at::from_blob(data, tensor.shape, tensor.strides, at::TensorOptions().dtype(scalar_type(tensor.dtype)));
}

/// Returns the same tensor in double precision.
inline at::Tensor as_double(const HostTensor& tensor) { return as_torch(tensor).to(at::kDouble); }

/// Expects |got - want| <= allowed in every element. NaN must be at the same places, and so must infinities.
inline void expect_near(const at::Tensor& got, const at::Tensor& want, const at::Tensor& allowed,
                        const std::string& what) {
  const at::Tensor same = at::eq(got, want).logical_or(at::isnan(got).logical_and(at::isnan(want)));
  const at::Tensor near = at::le(at::abs(got - want), allowed).logical_and(at::isfinite(want));
  const at::Tensor wrong = same.logical_or(near).logical_not();
  const auto count = wrong.sum().item<std::int64_t>();
  if (count == 0) return;
  const at::Tensor first = at::nonzero(wrong)[0];
  const auto at_first = [&](const at::Tensor& t) {
    at::Tensor element = t.expand_as(wrong);
    for (std::int64_t d = 0; d < first.size(0); ++d) element = element[first[d].item<std::int64_t>()];
    return element.item<double>();
  };
  ADD_FAILURE() << what << ": " << count << " of " << wrong.numel() << " elements differ, first at " << first
                << ": got " << at_first(got) << ", want " << at_first(want) << ", allowed " << at_first(allowed);
}

/// Expects equal elements; NaN equals NaN.
inline void expect_equal(const at::Tensor& got, const at::Tensor& want, const std::string& what) {
  expect_near(got, want, at::zeros({}, at::kDouble), what);
}

}  // namespace dsv4::testing
