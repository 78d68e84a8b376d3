/// Converts plans to vectors of records, and back.
#pragma once

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "reference/common/view.h"

namespace dsv4::reference {

using ::tvm::ffi::Tensor;

/// An argument that is a contiguous vector of integers, such as lengths or request ids.
using Numbers = View<const std::int64_t, 1>;

inline Numbers numbers(const char* op, const char* name, TensorView tensor) {
  return Numbers(op, name, tensor).expect_contiguous();
}

/// Returns the bytes of a plan argument `u8[n, sizeof(Record)]`. Throws unless the tensor has this dtype and this shape
/// and is contiguous.
template <class Record, class Byte>
View<Byte, 2> plan_bytes(const char* op, const char* name, TensorView tensor) {
  return View<Byte, 2>(op, name, tensor).expect_size(1, sizeof(Record)).expect_contiguous();
}

/// Returns the records of a plan argument.
template <class Record>
std::vector<Record> read_plan(const char* op, const char* name, TensorView tensor) {
  const auto bytes = plan_bytes<Record, const std::uint8_t>(op, name, tensor);
  std::vector<Record> records(bytes.size(0));
  for (std::size_t i = 0; i < records.size(); ++i) std::memcpy(&records[i], &bytes(i, 0), sizeof(Record));
  return records;
}

/// Writes `records` to the first rows of a plan argument. Returns their number.
template <class Record>
std::int64_t write_records(const View<std::uint8_t, 2>& plan, const std::vector<Record>& records) {
  for (std::size_t i = 0; i < records.size(); ++i) std::memcpy(&plan(i, 0), &records[i], sizeof(Record));
  return static_cast<std::int64_t>(records.size());
}

/// Returns a new plan tensor `u8[n, sizeof(Record)]` with these records. Its memory comes from the caller's allocator.
template <class Record>
Tensor new_plan(const std::vector<Record>& records) {
  const std::int64_t shape[] = {static_cast<std::int64_t>(records.size()), static_cast<std::int64_t>(sizeof(Record))};
  Tensor plan = Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, tvm::ffi::ShapeView(shape, 2), dtype_of<std::uint8_t>(),
                                     DLDevice{kDLCPU, 0});
  if (!records.empty()) std::memcpy(plan.data_ptr(), records.data(), records.size() * sizeof(Record));
  return plan;
}

}  // namespace dsv4::reference
