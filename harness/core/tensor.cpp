#include "harness/core/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

std::int64_t product(const Shape& shape) {
  std::int64_t n = 1;
  for (const auto s : shape) n *= s;
  return n;
}

Shape row_major(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<std::int64_t>(shape[i], 1);
  return strides;
}

}  // namespace

HostTensor HostTensor::make(DType dtype, Shape shape) {
  Shape strides = row_major(shape);
  return strided(dtype, std::move(shape), std::move(strides));
}

HostTensor HostTensor::strided(DType dtype, Shape shape, Shape strides, std::int64_t offset,
                               std::int64_t storage_elements) {
  HostTensor t;
  t.dtype = dtype;
  t.shape = std::move(shape);
  t.strides = std::move(strides);
  t.offset = offset;
  if (t.shape.size() != t.strides.size()) throw Error("tensor: shape and strides differ in rank");
  std::int64_t first = offset, last = offset;
  for (std::size_t i = 0; i < t.shape.size(); ++i) {
    if (t.shape[i] < 0) throw Error(fmt::format("tensor: shape {} has a negative size", format_shape(t.shape)));
    const std::int64_t reach = (std::max<std::int64_t>(t.shape[i], 1) - 1) * t.strides[i];
    (reach < 0 ? first : last) += reach;
  }
  if (first < 0) throw Error(fmt::format("tensor: {} starts before its storage", t.describe()));
  const std::int64_t needed = t.numel() == 0 ? offset : last + 1;
  const std::int64_t elements = storage_elements < 0 ? needed : storage_elements;
  if (elements < needed)
    throw Error(fmt::format("tensor: {} elements of storage are too few for {}", elements, t.describe()));
  t.storage.resize(static_cast<std::size_t>(elements) * size_of(dtype));
  return t;
}

HostTensor HostTensor::with_gaps(DType dtype, Shape shape, std::int64_t gap) {
  Shape wide = shape;
  wide.back() += gap;
  return strided(dtype, std::move(shape), row_major(wide), 0, product(wide));
}

std::int64_t HostTensor::numel() const { return product(shape); }

bool HostTensor::contiguous() const {
  if (numel() == 0) return true;
  const Shape expected = row_major(shape);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != 1 && strides[i] != expected[i]) return false;
  }
  return true;
}

std::int64_t HostTensor::size(std::size_t dim) const {
  if (dim >= shape.size()) throw TensorError(fmt::format("dimension {} does not exist in {}", dim, describe()));
  return shape[dim];
}

std::size_t HostTensor::stored(std::int64_t position) const {
  const auto bytes = static_cast<std::size_t>(size_of(dtype));
  const std::size_t first = static_cast<std::size_t>(position) * bytes;
  // If the position is negative, `first` is a huge number, which this check also refuses.
  if (first > storage.size() || storage.size() - first < bytes) {
    throw TensorError(fmt::format("{} reaches beyond its storage of {} bytes", describe(), storage.size()));
  }
  return first;
}

std::size_t HostTensor::byte_at_place(std::span<const std::int64_t> place) const {
  bool inside = place.size() == shape.size();
  std::int64_t position = offset;
  for (std::size_t i = 0; inside && i < place.size(); ++i) {
    inside = place[i] >= 0 && place[i] < shape[i];
    position += place[i] * strides[i];
  }
  if (!inside) throw TensorError(fmt::format("index ({}) does not fit {}", fmt::join(place, ", "), describe()));
  return stored(position);
}

Shape HostTensor::coordinates(std::int64_t linear) const {
  if (linear < 0 || linear >= numel())
    throw TensorError(fmt::format("element {} does not exist in {}", linear, describe()));
  Shape index(shape.size());
  for (std::size_t i = shape.size(); i-- > 0;) {
    index[i] = linear % shape[i];
    linear /= shape[i];
  }
  return index;
}

std::size_t HostTensor::byte_of(std::int64_t linear) const {
  std::int64_t left = linear;
  std::int64_t position = offset;
  bool inside = linear >= 0;
  for (std::size_t i = shape.size(); inside && i-- > 0;) {
    inside = shape[i] > 0;
    if (!inside) break;
    position += (left % shape[i]) * strides[i];
    left /= shape[i];
  }
  // If `left` is not 0, the index was not below the number of elements.
  if (!inside || left != 0) throw TensorError(fmt::format("element {} does not exist in {}", linear, describe()));
  return stored(position);
}

void HostTensor::refuse_type(DType type) const {
  throw TensorError(fmt::format("{} cannot be accessed as {}", describe(), name_of(type)));
}

HostTensor HostTensor::packed() const {
  HostTensor out = make(dtype, shape);
  const auto bytes = static_cast<std::size_t>(size_of(dtype));
  if (contiguous()) {
    if (!out.storage.empty()) std::memcpy(out.storage.data(), storage.data() + offset * bytes, out.storage.size());
    return out;
  }
  for (std::int64_t i = 0, n = numel(); i < n; ++i) std::memcpy(out.storage.data() + i * bytes, element(i), bytes);
  return out;
}

std::vector<std::uint8_t> HostTensor::view_mask() const {
  std::vector<std::uint8_t> mask(storage.size(), 0);
  const auto bytes = static_cast<std::size_t>(size_of(dtype));
  if (contiguous()) {
    std::fill_n(mask.begin() + offset * static_cast<std::int64_t>(bytes), numel() * static_cast<std::int64_t>(bytes),
                1);
    return mask;
  }
  for (std::int64_t i = 0, n = numel(); i < n; ++i)
    std::fill_n(mask.begin() + static_cast<std::int64_t>(byte_of(i)), bytes, 1);
  return mask;
}

std::string format_shape(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

std::string HostTensor::describe() const {
  std::string text = fmt::format("{}{}", name_of(dtype), format_shape(shape));
  if (!contiguous()) text += fmt::format(" strides ({})", fmt::join(strides, ", "));
  return text;
}

}  // namespace dsv4
