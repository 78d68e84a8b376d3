/// A tensor in host memory. Generation, calls and comparison all use it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "harness/core/dtype.h"

namespace dsv4 {

using Shape = std::vector<std::int64_t>;

/// The dtype whose elements have the C++ type T.
template <class T>
constexpr DType dtype_of() {
  static_assert((std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>) ||
                    std::is_same_v<T, float> || std::is_same_v<T, double>,
                "no dtype has elements of this type");
  if constexpr (std::is_same_v<T, float>) {
    return DType::kF32;
  } else if constexpr (std::is_same_v<T, double>) {
    return DType::kF64;
  } else if constexpr (sizeof(T) == 1) {
    return std::is_signed_v<T> ? DType::kI8 : DType::kU8;
  } else if constexpr (sizeof(T) == 2) {
    return std::is_signed_v<T> ? DType::kI16 : DType::kU16;
  } else if constexpr (sizeof(T) == 4) {
    return std::is_signed_v<T> ? DType::kI32 : DType::kU32;
  } else {
    return std::is_signed_v<T> ? DType::kI64 : DType::kU64;
  }
}

/// True if code may access an element of `dtype` as `type`, which is a result of dtype_of(). Some dtypes are accessed
/// as their bits: bool, e4m3 and e5m2 as uint8_t, f16 and bf16 as uint16_t.
constexpr bool is_accessed_as(DType dtype, DType type) {
  switch (dtype) {
    case DType::kBool:
    case DType::kE4M3:
    case DType::kE5M2:
      return type == DType::kU8;
    case DType::kF16:
    case DType::kBF16:
      return type == DType::kU16;
    default:
      return type == dtype;
  }
}

/// A tensor that owns its storage. `dtype`, `shape`, `strides` and `offset` describe the view, which is the set of
/// its elements.
///
/// The storage may be larger than the view. Gaps between rows, bytes before `offset` and bytes after the last element
/// belong to the tensor as well. They are copied to the device and back, so that a write into a gap is noticed. Strides
/// and offset count elements.
///
/// Each access checks the type, the index and the storage. If one of them does not fit, the access throws TensorError.
/// Only `storage` and the pointer that data() returns can be indexed without checks.
struct HostTensor {
  DType dtype = DType::kU8;
  Shape shape;
  Shape strides;
  std::int64_t offset = 0;
  std::vector<std::uint8_t> storage;

  /// A contiguous tensor, filled with zeros.
  static HostTensor make(DType dtype, Shape shape);

  /// A strided view of a storage with `storage_elements` elements, filled with zeros. -1 means as many elements as the
  /// view needs. Throws Error if shape and strides are malformed, or if the view does not fit into the storage.
  static HostTensor strided(DType dtype, Shape shape, Shape strides, std::int64_t offset = 0,
                            std::int64_t storage_elements = -1);

  /// A tensor with `gap` unused elements after each row of the last dimension, also after the last row. It is filled
  /// with zeros.
  static HostTensor with_gaps(DType dtype, Shape shape, std::int64_t gap);

  /// A contiguous one-dimensional tensor with these values.
  template <class T>
  static HostTensor of(DType dtype, const std::vector<T>& values) {
    HostTensor t = make(dtype, {static_cast<std::int64_t>(values.size())});
    t.require<T>();
    if (!values.empty()) std::memcpy(t.storage.data(), values.data(), values.size() * sizeof(T));
    return t;
  }

  [[nodiscard]] std::int64_t numel() const;
  [[nodiscard]] bool contiguous() const;
  [[nodiscard]] std::size_t rank() const { return shape.size(); }
  [[nodiscard]] std::int64_t size(std::size_t dim) const;

  /// Byte position in `storage` of the element with row-major index `linear` in the view.
  [[nodiscard]] std::size_t byte_of(std::int64_t linear) const;
  [[nodiscard]] const std::uint8_t* element(std::int64_t linear) const { return storage.data() + byte_of(linear); }
  [[nodiscard]] std::uint8_t* element(std::int64_t linear) { return storage.data() + byte_of(linear); }

  /// The element at these coordinates. Each dimension needs one coordinate.
  template <class T, class... I>
  [[nodiscard]] T& at(I... index) {
    return *reinterpret_cast<T*>(storage.data() + byte_at<T>(index...));
  }
  template <class T, class... I>
  [[nodiscard]] const T& at(I... index) const {
    return *reinterpret_cast<const T*>(storage.data() + byte_at<T>(index...));
  }

  /// The element with row-major index `linear`, for any rank.
  template <class T>
  [[nodiscard]] T get(std::int64_t linear) const {
    require<T>();
    T value;
    std::memcpy(&value, element(linear), sizeof value);
    return value;
  }
  template <class T>
  void set(std::int64_t linear, T value) {
    require<T>();
    std::memcpy(element(linear), &value, sizeof value);
  }

  /// Pointer to the first element of the view. Use it as an array only if the tensor is contiguous.
  template <class T>
  [[nodiscard]] T* data() {
    require<T>();
    return reinterpret_cast<T*>(storage.data() + offset * size_of(dtype));
  }
  template <class T>
  [[nodiscard]] const T* data() const {
    require<T>();
    return reinterpret_cast<const T*>(storage.data() + offset * size_of(dtype));
  }

  /// A contiguous copy of the view: its elements in row-major order, without gaps.
  [[nodiscard]] HostTensor packed() const;

  /// Coordinates of the element with row-major index `linear`.
  [[nodiscard]] Shape coordinates(std::int64_t linear) const;

  /// One byte for each storage byte: 1 if the byte belongs to an element of the view, or else 0.
  [[nodiscard]] std::vector<std::uint8_t> view_mask() const;

  /// Returns a text such as "f32[4, 8193] strides (8200, 1)".
  [[nodiscard]] std::string describe() const;

 private:
  template <class T>
  void require() const {
    if (!is_accessed_as(dtype, dtype_of<T>())) refuse_type(dtype_of<T>());
  }
  template <class T, class... I>
  [[nodiscard]] std::size_t byte_at(I... index) const {
    require<T>();
    const std::array<std::int64_t, sizeof...(I)> place{static_cast<std::int64_t>(index)...};
    return byte_at_place(place);
  }
  [[nodiscard]] std::size_t byte_at_place(std::span<const std::int64_t> place) const;
  /// Byte position in `storage` of the element at `position`, which counts elements. Throws TensorError if the storage
  /// does not contain the whole element.
  [[nodiscard]] std::size_t stored(std::int64_t position) const;
  [[noreturn]] void refuse_type(DType type) const;
};

/// Returns a text such as "[4, 8193]".
std::string format_shape(const Shape& shape);

}  // namespace dsv4
