/// A tensor in host memory. Generation, calls and comparison all use it.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "harness/core/dtype.h"

namespace dsv4 {

using Shape = std::vector<std::int64_t>;

/// dtype, shape and strides over an owned byte storage.
///
/// The storage may be larger than the view: gaps between rows, bytes before `offset` and after the last element belong
/// to the tensor as well. They are copied to the device and back, so that a write into a gap is noticed. Strides and
/// offset count elements.
struct HostTensor {
  DType dtype = DType::kU8;
  Shape shape;
  Shape strides;
  std::int64_t offset = 0;
  std::vector<std::uint8_t> storage;

  /// Contiguous, zero-filled.
  static HostTensor make(DType dtype, Shape shape);

  /// Strided view over a zero-filled storage of `storage_elements` elements (-1: just enough). Throws Error if it does
  /// not fit.
  static HostTensor strided(DType dtype, Shape shape, Shape strides, std::int64_t offset = 0,
                            std::int64_t storage_elements = -1);

  /// `gap` unused elements after each row of the last dimension, also after the last row; zero-filled.
  static HostTensor with_gaps(DType dtype, Shape shape, std::int64_t gap);

  /// Contiguous one-dimensional tensor from values.
  template <class T>
  static HostTensor of(DType dtype, const std::vector<T>& values) {
    HostTensor t = make(dtype, {static_cast<std::int64_t>(values.size())});
    if (!values.empty()) std::memcpy(t.storage.data(), values.data(), values.size() * sizeof(T));
    return t;
  }

  [[nodiscard]] std::int64_t numel() const;
  [[nodiscard]] bool contiguous() const;
  [[nodiscard]] std::size_t rank() const { return shape.size(); }
  [[nodiscard]] std::int64_t size(std::size_t dim) const { return shape.at(dim); }

  /// Byte position in `storage` of the element with row-major index `linear` in the view.
  [[nodiscard]] std::size_t byte_of(std::int64_t linear) const;
  [[nodiscard]] const std::uint8_t* element(std::int64_t linear) const { return storage.data() + byte_of(linear); }
  [[nodiscard]] std::uint8_t* element(std::int64_t linear) { return storage.data() + byte_of(linear); }

  /// Typed access by coordinates; T must have the element's size. Bounds are not checked.
  template <class T, class... I>
  [[nodiscard]] T& at(I... index) {
    return *reinterpret_cast<T*>(storage.data() + byte_at({static_cast<std::int64_t>(index)...}));
  }
  template <class T, class... I>
  [[nodiscard]] const T& at(I... index) const {
    return *reinterpret_cast<const T*>(storage.data() + byte_at({static_cast<std::int64_t>(index)...}));
  }

  /// Pointer to the first element of the view. Use it as an array only if the tensor is contiguous.
  template <class T>
  [[nodiscard]] T* data() {
    return reinterpret_cast<T*>(storage.data() + offset * size_of(dtype));
  }
  template <class T>
  [[nodiscard]] const T* data() const {
    return reinterpret_cast<const T*>(storage.data() + offset * size_of(dtype));
  }

  /// The view's elements, row-major, without gaps.
  [[nodiscard]] HostTensor packed() const;

  /// Coordinates of the element with row-major index `linear`.
  [[nodiscard]] Shape coordinates(std::int64_t linear) const;

  /// One byte for each storage byte: 1 where an element of the view lies.
  [[nodiscard]] std::vector<std::uint8_t> view_mask() const;

  /// "f32[4, 8193] strides (8200, 1)".
  [[nodiscard]] std::string describe() const;

 private:
  [[nodiscard]] std::size_t byte_at(const Shape& index) const;
};

/// "[4, 8193]".
std::string format_shape(const Shape& shape);

}  // namespace dsv4
