/// A View gives a reference typed access to a CPU tensor, and checks every index.
///
/// A reference checks its arguments once, when it makes the views. After that, its code uses the same indices as the
/// formulas. Every error names the op and the argument: `topk_v1: argument 'scores': expected float32, got bfloat16`.
#pragma once

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>

#include <array>
#include <cstdint>
#include <string>
#include <type_traits>

namespace dsv4::reference {

using ::tvm::ffi::TensorView;

/// Storage of a bfloat16 element; number.h converts it.
struct Bf16 {
  std::uint16_t bits;
};

/// Storage of an E4M3 ("e4m3fn") element; number.h converts it.
struct E4m3 {
  std::uint8_t bits;
};

/// The DLPack element type of T.
template <class T>
constexpr DLDataType dtype_of() {
  using Plain = std::remove_const_t<T>;
  constexpr auto bits = static_cast<std::uint8_t>(8 * sizeof(Plain));
  if constexpr (std::is_same_v<Plain, Bf16>) {
    return {kDLBfloat, bits, 1};
  } else if constexpr (std::is_same_v<Plain, E4m3>) {
    return {kDLFloat8_e4m3fn, bits, 1};
  } else if constexpr (std::is_floating_point_v<Plain>) {
    return {kDLFloat, bits, 1};
  } else {
    static_assert(std::is_integral_v<Plain> && !std::is_same_v<Plain, bool>,
                  "dtype_of does not support this element type");
    return {static_cast<std::uint8_t>(std::is_signed_v<Plain> ? kDLInt : kDLUInt), bits, 1};
  }
}

inline bool same_dtype(DLDataType a, DLDataType b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

inline std::string dtype_name(DLDataType dtype) { return std::string(::tvm::ffi::DLDataTypeToString(dtype)); }

/// True if the elements of `tensor` have type T. Used for arguments that may have one of several types.
template <class T>
bool holds(TensorView tensor) {
  return same_dtype(tensor.dtype(), dtype_of<T>());
}

/// Refuses an argument: throws tvm::ffi::Error "<op>: argument '<name>': <what>".
[[noreturn]] inline void refuse(const std::string& op, const std::string& name, const std::string& what) {
  TVM_FFI_THROW(ValueError) << op << ": argument '" << name << "': " << what;
  __builtin_unreachable();
}

/// A tensor as an array with `Rank` indices. It is cheap to copy and refers to the caller's memory.
template <class T, int Rank>
class View {
 public:
  /// Throws unless `tensor` is in CPU memory and has this rank and element type.
  View(const char* op, const char* name, TensorView tensor) : op_(op), name_(name) {
    if (tensor.device().device_type != kDLCPU) refuse(op, name, "expected a CPU tensor");
    if (tensor.ndim() != Rank) {
      refuse(op, name, "expected rank " + std::to_string(Rank) + ", got " + std::to_string(tensor.ndim()));
    }
    if (!holds<T>(tensor)) {
      refuse(op, name, "expected " + dtype_name(dtype_of<T>()) + ", got " + dtype_name(tensor.dtype()));
    }
    data_ = static_cast<T*>(tensor.data_ptr());
    for (int d = 0; d < Rank; ++d) {
      size_[d] = tensor.size(d);
      stride_[d] = tensor.stride(d);
    }
  }

  [[nodiscard]] std::int64_t size(int dim) const { return size_[dim]; }
  [[nodiscard]] std::int64_t stride(int dim) const { return stride_[dim]; }

  /// Returns the element at these indices. Throws if an index is out of bounds.
  template <class... I>
  T& operator()(I... index) const {
    static_assert(sizeof...(I) == Rank, "a View needs one index for each dimension");
    const std::array<std::int64_t, Rank> at{static_cast<std::int64_t>(index)...};
    std::int64_t element = 0;
    for (int d = 0; d < Rank; ++d) {
      if (at[d] < 0 || at[d] >= size_[d]) {
        refuse(op_, name_,
               "index " + std::to_string(at[d]) + " is outside dimension " + std::to_string(d) + " of size " +
                   std::to_string(size_[d]));
      }
      element += at[d] * stride_[d];
    }
    return data_[element];
  }

  /// Throws unless dimension `dim` has size `expected`.
  const View& expect_size(int dim, std::int64_t expected) const {
    if (size_[dim] != expected) {
      refuse(op_, name_,
             "expected size " + std::to_string(expected) + " in dimension " + std::to_string(dim) + ", got " +
                 std::to_string(size_[dim]));
    }
    return *this;
  }

  /// Throws unless the elements are in row-major order without gaps. The stride of a dimension of size 1 has no
  /// meaning, so it is not checked.
  const View& expect_contiguous() const {
    for (const auto size : size_) {
      if (size == 0) return *this;
    }
    std::int64_t expected = 1;
    for (int d = Rank; d-- > 0; expected *= size_[d]) {
      if (size_[d] != 1 && stride_[d] != expected) {
        refuse(op_, name_,
               "expected a contiguous tensor, but dimension " + std::to_string(d) + " has stride " +
                   std::to_string(stride_[d]) + " instead of " + std::to_string(expected));
      }
    }
    return *this;
  }

  /// Throws unless neighbours in the last dimension are neighbours in memory.
  const View& expect_dense_rows() const {
    if (size_[Rank - 1] > 1 && stride_[Rank - 1] != 1) {
      refuse(op_, name_, "expected stride 1 in the last dimension, got " + std::to_string(stride_[Rank - 1]));
    }
    return *this;
  }

 private:
  const char* op_;
  const char* name_;
  T* data_ = nullptr;
  std::array<std::int64_t, Rank> size_{};
  std::array<std::int64_t, Rank> stride_{};
};

}  // namespace dsv4::reference
