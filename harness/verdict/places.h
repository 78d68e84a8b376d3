/// Where in a tensor elements differ, as counts on a coarse grid.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "harness/core/tensor.h"

namespace dsv4 {

/// A tensor is seen as a matrix: its last dimension runs along the columns, and all other dimensions along the rows.
/// The matrix is divided into at most kMostCells x kMostCells cells of equal size; the last cells may be smaller. Each
/// cell counts its differing elements, so that a single one is visible in a tensor of any size.
struct DifferencePlaces {
  static constexpr std::int64_t kMostCells = 64;

  Shape shape;                       ///< of the tensor
  std::int64_t rows = 0;             ///< product of all dimensions but the last; 1 for a tensor of one dimension
  std::int64_t columns = 0;          ///< the last dimension; 1 for a scalar
  std::int64_t cell_rows = 1;        ///< rows of the matrix in a cell
  std::int64_t cell_columns = 1;     ///< columns of the matrix in a cell
  std::vector<std::int64_t> counts;  ///< differing elements of each cell, row by row

  DifferencePlaces() = default;
  explicit DifferencePlaces(const Shape& shape);

  /// Counts the element with this index in row-major order.
  void add(std::int64_t element);
  [[nodiscard]] std::int64_t grid_rows() const { return (rows + cell_rows - 1) / cell_rows; }
  [[nodiscard]] std::int64_t grid_columns() const { return (columns + cell_columns - 1) / cell_columns; }
  bool operator==(const DifferencePlaces&) const = default;
};

/// JSON has the counts as runs: [count, cells, count, cells, ...], because neighbours often have the same count.
void to_json(nlohmann::json& j, const DifferencePlaces& places);
/// Throws a json exception if a field is missing or has another type, and Error if the fields contradict each other.
void from_json(const nlohmann::json& j, DifferencePlaces& places);

}  // namespace dsv4
