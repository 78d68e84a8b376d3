#include "harness/op/rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

/// Throws an Error if the tensor, seen as [n, width], does not have the row.
void expect_row(const HostTensor& t, std::int64_t row, std::int64_t width) {
  if (row >= 0 && row < t.numel() / std::max<std::int64_t>(width, 1)) return;
  throw Error(fmt::format("tensor: {} has no row {} of {} elements", t.describe(), row, width));
}

}  // namespace

HostTensor rows_of(const HostTensor& t, const std::vector<std::int64_t>& rows) {
  const HostTensor all = t.packed();
  Shape shape = t.shape;
  shape.at(0) = static_cast<std::int64_t>(rows.size());
  HostTensor picked = HostTensor::make(t.dtype, std::move(shape));
  const std::size_t bytes = rows.empty() ? 0 : picked.storage.size() / rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] >= t.size(0))
      throw Error(fmt::format("tensor: {} has no row {}", t.describe(), rows[i]));
    std::memcpy(picked.storage.data() + i * bytes, all.storage.data() + static_cast<std::size_t>(rows[i]) * bytes,
                bytes);
  }
  return picked;
}

HostTensor reordered(const HostTensor& t, const std::vector<std::int64_t>& rows) {
  const HostTensor picked = rows_of(t, rows);
  HostTensor moved = t;
  for (std::int64_t i = 0; i < picked.numel(); ++i)
    std::memcpy(moved.element(i), picked.element(i), static_cast<std::size_t>(size_of(t.dtype)));
  return moved;
}

void copy_columns(const HostTensor& from, HostTensor& to) {
  const std::int64_t columns = from.size(1);
  for (std::int64_t i = 0; i < from.numel(); ++i) {
    const std::int64_t there = i / columns * to.size(1) + i % columns;
    std::memcpy(to.element(there), from.element(i), static_cast<std::size_t>(size_of(from.dtype)));
  }
}

void keep_rows(Call& call, std::initializer_list<const char*> names, const std::vector<std::int64_t>& rows) {
  for (const char* name : names) {
    Arg& arg = call.arg(name);
    if (!arg.is_tensor()) continue;
    arg.tensor() = rows_of(arg.tensor(), rows);
    arg.footprint.clear();
  }
}

HostTensor gather_rows(const HostTensor& t, const std::vector<std::int64_t>& rows, std::int64_t width) {
  HostTensor picked = HostTensor::make(t.dtype, {std::ssize(rows), width});
  const std::int64_t bytes = width * size_of(t.dtype);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    expect_row(t, rows[i], width);
    std::copy_n(t.storage.data() + rows[i] * bytes, bytes, &picked.storage[i * static_cast<std::size_t>(bytes)]);
  }
  return picked;
}

std::vector<std::uint8_t> footprint_of_rows(const HostTensor& t, const std::vector<std::int64_t>& rows,
                                            std::int64_t width) {
  std::vector<std::uint8_t> footprint(t.storage.size(), 0);
  const std::int64_t bytes = width * size_of(t.dtype);
  for (const std::int64_t row : rows) {
    expect_row(t, row, width);
    std::fill_n(footprint.begin() + row * bytes, bytes, std::uint8_t{1});
  }
  return footprint;
}

HostTensor columns_of(const HostTensor& t, const std::vector<std::int64_t>& columns) {
  HostTensor picked = HostTensor::make(t.dtype, {t.size(0), std::ssize(columns)});
  std::int64_t to = 0;
  for (std::int64_t i = 0; i < t.size(0); ++i) {
    for (const std::int64_t column : columns) {
      std::memcpy(picked.element(to++), t.element(i * t.size(1) + column), static_cast<std::size_t>(size_of(t.dtype)));
    }
  }
  return picked;
}

HostTensor stacked(const KeyedRows& rows) {
  if (rows.empty()) return HostTensor::make(DType::kF32, {0, 0});
  const HostTensor& first = rows.begin()->second;
  HostTensor all = HostTensor::make(first.dtype, {std::ssize(rows), first.size(1)});
  auto next = all.storage.begin();
  for (const auto& [key, row] : rows) next = std::ranges::copy(row.storage, next).out;
  return all;
}

HostTensor keys_of(const KeyedRows& rows) {
  std::vector<std::int64_t> keys;
  for (const auto& [key, row] : rows) keys.insert(keys.end(), {key.first, key.second});
  return HostTensor::of(DType::kI64, keys);
}

}  // namespace dsv4
