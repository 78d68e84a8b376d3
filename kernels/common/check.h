/// Checks the arguments of in-tree kernels.
///
/// Every exported function checks all arguments before it launches a kernel. So a call with a wrong argument writes
/// nothing. The call throws a tvm::ffi::Error that names the op and the argument. The error is a TypeError if the dtype
/// is wrong, and otherwise a ValueError:
///
///     topk_v1: argument 'scores': expected dtype float32, got bfloat16
///
/// Example:
///
///     ArgumentCheck check("topk_v1");
///     Size batch("batch"), columns("columns");
///     check.tensor("scores", scores).dtype({kFloat32}).shape({batch, columns}).unit_stride().on_cuda();
///     check.tensor("seq_lens", seq_lens).dtype({kInt32}).shape({batch}).contiguous().on_cuda();
///     const float* data = data_of<const float>(scores);
///
/// A `Size` gets its value from the first tensor that is checked with it. Wherever the same `Size` is used again, the
/// tensor must have this size. If it does not, the message also names the argument that set the value. All tensors that
/// are checked with `on_cuda()` must be on the same device. `check.device()` returns that device.
#pragma once

#include <dlpack/dlpack.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/dtype.h>
#include <tvm/ffi/error.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <string>
#include <vector>

namespace dsv4 {

using ::tvm::ffi::TensorView;

inline constexpr DLDataType kFloat32{kDLFloat, 32, 1};
inline constexpr DLDataType kBfloat16{kDLBfloat, 16, 1};
inline constexpr DLDataType kFloat8E4m3{kDLFloat8_e4m3fn, 8, 1};
inline constexpr DLDataType kInt32{kDLInt, 32, 1};
inline constexpr DLDataType kInt64{kDLInt, 64, 1};
inline constexpr DLDataType kInt8{kDLInt, 8, 1};
inline constexpr DLDataType kUint8{kDLUInt, 8, 1};
inline constexpr DLDataType kUint64{kDLUInt, 64, 1};

inline bool same_dtype(DLDataType a, DLDataType b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

inline std::string name_of(DLDataType dtype) {
  const ::tvm::ffi::String name = ::tvm::ffi::DLDataTypeToString(dtype);
  return {name.data(), name.size()};
}

inline std::string name_of(DLDevice device) {
  const char* kind = device.device_type == kDLCUDA ? "cuda" : device.device_type == kDLCPU ? "cpu" : nullptr;
  return (kind ? std::string(kind) : "device type " + std::to_string(device.device_type)) + ":" +
         std::to_string(device.device_id);
}

/// Returns the address of the first element. In DLPack, it is the data pointer plus a byte offset.
template <typename T>
T* data_of(const TensorView& tensor) {
  return reinterpret_cast<T*>(static_cast<char*>(tensor.data_ptr()) + tensor.byte_offset());
}

/// True if the address of the first element is a multiple of `bytes`. Also true for an empty tensor, because its memory
/// is never accessed.
inline bool is_aligned(const TensorView& tensor, std::uintptr_t bytes) {
  return tensor.numel() == 0 || reinterpret_cast<std::uintptr_t>(data_of<char>(tensor)) % bytes == 0;
}

/// Returns the stride of a dimension in elements.
inline std::int64_t stride_of(const TensorView& tensor, int dim) { return tensor.strides()[dim]; }

/// A size that several arguments share. It cannot be copied, because a copy would not get a value that is set in the
/// original later.
class Size {
 public:
  explicit Size(const char* name) : name_(name) {}
  Size(const Size&) = delete;
  Size& operator=(const Size&) = delete;

  std::int64_t value() const { return value_; }

 private:
  friend class TensorCheck;
  const char* name_;
  const char* bound_by_ = nullptr;
  std::int64_t value_ = -1;
};

/// One element of an expected shape: a fixed number, a shared `Size`, or `kAnySize`.
class Dim {
 public:
  Dim(std::int64_t fixed) : fixed_(fixed) {}  // NOLINT(google-explicit-constructor): a shape is a plain list
  Dim(int fixed) : fixed_(fixed) {}           // NOLINT(google-explicit-constructor)
  Dim(Size& size) : size_(&size) {}           // NOLINT(google-explicit-constructor)

 private:
  friend class TensorCheck;
  Size* size_ = nullptr;
  std::int64_t fixed_ = -1;
};

inline constexpr int kAnySize = -1;

class ArgumentCheck;

/// The checks of one tensor argument. Each check throws if the argument is wrong; otherwise it returns this object.
class TensorCheck {
 public:
  TensorCheck(ArgumentCheck& call, const char* name, const TensorView& tensor)
      : call_(call), name_(name), tensor_(tensor) {}

  TensorCheck& dtype(std::initializer_list<DLDataType> allowed);
  TensorCheck& shape(std::initializer_list<Dim> expected);
  TensorCheck& on_cuda();
  TensorCheck& on_host();

  /// Checks that the elements are in row-major order without gaps. A dimension of size 1 may have any stride. An empty
  /// tensor is always contiguous.
  TensorCheck& contiguous();
  /// Checks that the last dimension has stride 1. The other strides may have any value.
  TensorCheck& unit_stride();
  /// Checks that the stride of `dim` is `expected` elements. A dimension of size 1 is not checked, because DLPack does
  /// not specify its stride.
  TensorCheck& stride(int dim, std::int64_t expected);
  /// Checks that no two elements have the same address. An op that writes in place to an argument with strides
  /// needs this.
  TensorCheck& no_overlap();
  /// Checks that the address of the first element is a multiple of `bytes`. `dtype` already checks this for the size of
  /// an element.
  TensorCheck& aligned(std::uintptr_t bytes);

 private:
  template <typename... Parts>
  [[noreturn]] void refuse(const Parts&... what) const;

  ArgumentCheck& call_;
  const char* name_;
  TensorView tensor_;
};

/// The argument checks of one call.
class ArgumentCheck {
 public:
  explicit ArgumentCheck(const char* op) : op_(op) {}

  TensorCheck tensor(const char* name, const TensorView& tensor) { return TensorCheck(*this, name, tensor); }

  /// If `ok` is false, throws an error that names argument `name`. The parts of the expectation, texts and numbers, are
  /// joined only then: a call costs little time on the host.
  template <typename... Parts>
  void require(bool ok, const char* name, const Parts&... expectation) const {
    if (!ok) refuse(name, expectation...);
  }

  /// Returns the device of all arguments that were checked with `on_cuda()`.
  DLDevice device() const { return device_; }

 private:
  friend class TensorCheck;

  template <typename... Parts>
  [[noreturn, gnu::noinline, gnu::cold]] void refuse(const char* name, const Parts&... expectation) const {
    std::ostringstream text;
    (text << ... << expectation);
    TVM_FFI_THROW(ValueError) << op_ << ": argument '" << name << "': " << text.str();
    __builtin_unreachable();
  }

  const char* op_;
  const char* device_of_ = nullptr;  ///< the first argument that was checked with `on_cuda()`
  DLDevice device_{kDLCUDA, 0};
};

template <typename... Parts>
void TensorCheck::refuse(const Parts&... what) const {
  call_.refuse(name_, what...);
}

inline TensorCheck& TensorCheck::dtype(std::initializer_list<DLDataType> allowed) {
  for (const DLDataType candidate : allowed) {
    // A device cannot access an address that is not a multiple of the element size, so such a tensor is refused here.
    if (same_dtype(candidate, tensor_.dtype())) return aligned((candidate.bits + 7) / 8);
  }
  std::string names;
  for (const DLDataType candidate : allowed) names += (names.empty() ? "" : " or ") + name_of(candidate);
  TVM_FFI_THROW(TypeError) << call_.op_ << ": argument '" << name_ << "': expected dtype " << names << ", got "
                           << name_of(tensor_.dtype());
  __builtin_unreachable();
}

inline TensorCheck& TensorCheck::shape(std::initializer_list<Dim> expected) {
  const int rank = static_cast<int>(expected.size());
  if (tensor_.ndim() != rank) {
    refuse("expected ", rank, " dimensions, got ", tensor_.ndim());
  }
  int d = 0;
  for (const Dim& dim : expected) {
    const std::int64_t got = tensor_.size(d);
    if (dim.size_ == nullptr) {
      if (dim.fixed_ != kAnySize && got != dim.fixed_)
        refuse("size ", got, " of dimension ", d, " must be ", dim.fixed_);
    } else if (dim.size_->bound_by_ == nullptr) {
      dim.size_->value_ = got;
      dim.size_->bound_by_ = name_;
    } else if (got != dim.size_->value_) {
      refuse("size ", got, " of dimension ", d, " must be ", dim.size_->value_, " (", dim.size_->name_,
             ", as in argument '", dim.size_->bound_by_, "')");
    }
    ++d;
  }
  return *this;
}

inline TensorCheck& TensorCheck::on_cuda() {
  const DLDevice got = tensor_.device();
  if (got.device_type != kDLCUDA) refuse("must be a CUDA tensor, got device " + name_of(got));
  if (call_.device_of_ == nullptr) {
    call_.device_ = got;
    call_.device_of_ = name_;
  } else if (got.device_id != call_.device_.device_id) {
    refuse("must be on " + name_of(call_.device_) + " like argument '" + call_.device_of_ + "', got " + name_of(got));
  }
  return *this;
}

inline TensorCheck& TensorCheck::on_host() {
  const int type = tensor_.device().device_type;
  if (type != kDLCPU && type != kDLCUDAHost) {
    refuse("must be a host tensor, got device " + name_of(tensor_.device()));
  }
  return *this;
}

inline TensorCheck& TensorCheck::contiguous() {
  // IsContiguous() is also true if the tensor has no strides.
  if (tensor_.numel() == 0 || tensor_.IsContiguous()) return *this;
  std::int64_t expected = 1;
  for (int d = tensor_.ndim() - 1; d >= 0; --d) {
    const std::int64_t got = stride_of(tensor_, d);
    if (tensor_.size(d) != 1 && got != expected) {
      refuse("must be contiguous, but dimension ", d, " has stride ", got, " instead of ", expected);
    }
    expected *= tensor_.size(d);
  }
  return *this;
}

inline TensorCheck& TensorCheck::stride(int dim, std::int64_t expected) {
  if (tensor_.numel() == 0 || tensor_.size(dim) == 1) return *this;
  if (const std::int64_t got = stride_of(tensor_, dim); got != expected) {
    refuse("stride ", got, " of dimension ", dim, " must be ", expected);
  }
  return *this;
}

inline TensorCheck& TensorCheck::unit_stride() { return stride(tensor_.ndim() - 1, 1); }

inline TensorCheck& TensorCheck::no_overlap() {
  if (tensor_.numel() == 0) return *this;
  // The dimensions are visited in the order of their strides. The stride of each one must be at least the span of all
  // dimensions before it. Some layouts whose elements interleave without overlap are refused as well; no caller builds
  // such a layout by accident.
  std::vector<std::pair<std::int64_t, std::int64_t>> dims;  // (stride, size)
  for (int d = 0; d < tensor_.ndim(); ++d) {
    if (tensor_.size(d) > 1) dims.emplace_back(stride_of(tensor_, d), tensor_.size(d));
  }
  std::sort(dims.begin(), dims.end());
  std::int64_t span = 1;
  for (const auto& [stride, size] : dims) {
    if (stride < span) {
      refuse("is written in place, so its elements must not overlap, but its strides make them overlap");
    }
    span += stride * (size - 1);
  }
  return *this;
}

inline TensorCheck& TensorCheck::aligned(std::uintptr_t bytes) {
  if (!is_aligned(tensor_, bytes)) {
    refuse("the data pointer must be a multiple of ", bytes, " bytes");
  }
  return *this;
}

}  // namespace dsv4
