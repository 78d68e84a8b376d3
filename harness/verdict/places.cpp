#include "harness/verdict/places.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 53;  // far more than a memory holds, and no sum overflows

std::int64_t cell_size(std::int64_t length) {
  constexpr auto kMost = DifferencePlaces::kMostCells;
  return std::max<std::int64_t>(1, (length + kMost - 1) / kMost);
}

}  // namespace

DifferencePlaces::DifferencePlaces(const Shape& of) : shape(of), rows(1), columns(of.empty() ? 1 : of.back()) {
  for (std::size_t i = 0; i + 1 < of.size(); ++i) rows *= of[i];
  cell_rows = cell_size(rows);
  cell_columns = cell_size(columns);
  counts.resize(static_cast<std::size_t>(grid_rows() * grid_columns()));
}

void DifferencePlaces::add(std::int64_t element) {
  const std::int64_t row = element / columns / cell_rows, column = element % columns / cell_columns;
  ++counts.at(static_cast<std::size_t>(row * grid_columns() + column));
}

void to_json(nlohmann::json& j, const DifferencePlaces& places) {
  std::vector<std::int64_t> runs;
  for (const std::int64_t count : places.counts) {
    if (runs.empty() || runs[runs.size() - 2] != count) runs.insert(runs.end(), {count, 0});
    ++runs.back();
  }
  j = {{"shape", places.shape},
       {"cell", {places.cell_rows, places.cell_columns}},
       {"grid", {places.grid_rows(), places.grid_columns()}},
       {"runs", runs}};
}

void from_json(const nlohmann::json& j, DifferencePlaces& places) {
  const auto shape = j.at("shape").get<Shape>();
  std::int64_t elements = 1;
  for (const std::int64_t n : shape) {
    if (n < 0 || (n > 0 && elements > kMostElements / n)) throw Error("'places' has an impossible shape");
    elements *= std::max<std::int64_t>(n, 1);
  }
  places = DifferencePlaces(shape);
  const auto runs = j.at("runs").get<std::vector<std::int64_t>>();
  const Error wrong("'places' has other cells than its shape");
  if (runs.size() % 2 != 0) throw wrong;
  auto cell = places.counts.begin();
  for (std::size_t i = 0; i < runs.size(); i += 2) {
    if (runs[i + 1] < 0 || runs[i + 1] > places.counts.end() - cell) throw wrong;
    cell = std::fill_n(cell, runs[i + 1], runs[i]);
  }
  if (cell != places.counts.end()) throw wrong;
}

}  // namespace dsv4
