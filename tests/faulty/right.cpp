/// The reference of the test ops. It computes the same results as faulty.cpp without a fault, and ignores the
/// last argument.
#include <tvm/ffi/extra/c_env_api.h>

#include "interface/entry.h"

namespace {

namespace ffi = tvm::ffi;
using ffi::TensorView;

template <class T>
T* data(const TensorView& t) {
  return reinterpret_cast<T*>(static_cast<char*>(t.data_ptr()) + t.byte_offset());
}

/// output[r][c] = input[r][c]; rows may be strided.
void copy(TensorView input, TensorView output, std::int64_t) {
  for (std::int64_t r = 0; r < input.size(0); ++r) {
    for (std::int64_t c = 0; c < input.size(1); ++c) {
      data<float>(output)[r * output.strides()[0] + c] = data<float>(input)[r * input.strides()[0] + c];
    }
  }
}

/// cache[indices[i]][0..5] = values[i][0..5]; bytes 6 and 7 of a slot are padding.
void store(TensorView values, TensorView cache, TensorView indices, std::int64_t) {
  for (std::int64_t i = 0; i < indices.size(0); ++i) {
    for (int b = 0; b < 6; ++b) {
      data<std::uint8_t>(cache)[data<std::int32_t>(indices)[i] * 8 + b] = data<std::uint8_t>(values)[i * 6 + b];
    }
  }
}

/// Returns (plan, n). The plan has one row (index, length) for each positive length, and n is the number of rows.
ffi::Tuple<ffi::Tensor, std::int64_t> plan(TensorView lens, std::int64_t) {
  std::int64_t n = 0;
  for (std::int64_t i = 0; i < lens.size(0); ++i) n += data<std::int32_t>(lens)[i] > 0;
  const std::int64_t shape[2] = {n, 2};
  const ffi::Tensor rows =
      ffi::Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, ffi::ShapeView(shape, 2), {kDLInt, 32, 1}, {kDLCPU, 0});
  auto* out = static_cast<std::int32_t*>(rows.data_ptr());
  for (std::int64_t i = 0; i < lens.size(0); ++i) {
    const std::int32_t length = data<std::int32_t>(lens)[i];
    if (length <= 0) continue;
    *out++ = static_cast<std::int32_t>(i);
    *out++ = length;
  }
  return ffi::Tuple<ffi::Tensor, std::int64_t>(rows, n);
}

}  // namespace

DSV4_ENTRY(copy, copy, "test_copy", "test_copy/1", "");
DSV4_ENTRY(store, store, "test_store", "test_store/1", "");
DSV4_ENTRY(plan, plan, "test_plan", "test_plan/1", "");
