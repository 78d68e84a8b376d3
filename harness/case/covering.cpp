#include "harness/case/covering.h"

#include <random>
#include <set>
#include <tuple>

namespace dsv4 {
namespace {

using Row = std::vector<std::size_t>;  // index of a value on each axis
using Pair = std::tuple<std::size_t, std::size_t, std::size_t, std::size_t>;

Params to_params(const std::vector<Axis>& axes, const Row& row) {
  Params params;
  for (std::size_t i = 0; i < axes.size(); ++i) params.set(axes[i].name, axes[i].values[row[i]]);
  return params;
}

std::size_t gain(const std::set<Pair>& open, const Row& row) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    for (std::size_t j = i + 1; j < row.size(); ++j) n += open.count({i, row[i], j, row[j]});
  }
  return n;
}

void cover(std::set<Pair>& open, const Row& row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    for (std::size_t j = i + 1; j < row.size(); ++j) open.erase({i, row[i], j, row[j]});
  }
}

}  // namespace

Axis axis(std::string name, const std::vector<std::int64_t>& values) {
  Axis a{std::move(name), {}};
  for (const auto v : values) a.values.push_back(std::to_string(v));
  return a;
}

Axis axis(std::string name, std::vector<std::string> values) { return {std::move(name), std::move(values)}; }

std::vector<Params> product(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid) {
  std::vector<Params> rows;
  Row row(axes.size(), 0);
  while (true) {
    Params params = to_params(axes, row);
    if (!valid || valid(params)) rows.push_back(std::move(params));
    std::size_t i = axes.size();
    while (i > 0 && ++row[i - 1] == axes[i - 1].values.size()) row[--i] = 0;
    if (i == 0) return rows;
  }
}

std::vector<Params> pairwise(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid) {
  if (axes.size() < 2) return product(axes, valid);
  std::set<Pair> open;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (std::size_t j = i + 1; j < axes.size(); ++j) {
      for (std::size_t a = 0; a < axes[i].values.size(); ++a) {
        for (std::size_t b = 0; b < axes[j].values.size(); ++b) open.insert({i, a, j, b});
      }
    }
  }
  // Greedy: around one open pair draw a few random completions, keep the valid one that closes most pairs. A pair that
  // no valid completion was found for is dropped: it may not exist.
  std::mt19937 random(
      12345);  // fixed: the rows are part of the tool's behaviour, and mt19937's sequence is standardised
  std::vector<Params> rows;
  while (!open.empty()) {
    const auto [i, a, j, b] = *open.begin();
    Row best;
    std::size_t best_gain = 0;
    for (int attempt = 0; attempt < 60; ++attempt) {
      Row row(axes.size());
      for (std::size_t k = 0; k < axes.size(); ++k) row[k] = random() % axes[k].values.size();
      row[i] = a;
      row[j] = b;
      if (valid && !valid(to_params(axes, row))) continue;
      const std::size_t g = gain(open, row);
      if (g > best_gain) {
        best_gain = g;
        best = row;
      }
    }
    if (best.empty()) {
      open.erase(open.begin());
      continue;
    }
    cover(open, best);
    rows.push_back(to_params(axes, best));
  }
  return rows;
}

}  // namespace dsv4
