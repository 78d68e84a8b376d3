/// Pairwise covering of a parameter space: every pair of values of two axes occurs in some row, in far fewer rows than
/// the product.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/case/params.h"

namespace dsv4 {

struct Axis {
  std::string name;
  std::vector<std::string> values;
};

/// Axis of integers.
Axis axis(std::string name, const std::vector<std::int64_t>& values);
Axis axis(std::string name, std::vector<std::string> values);

/// Rows (in axis order) that cover every pair of values that some valid row contains. Deterministic. `valid` sees
/// complete rows. Of a product beyond 65536 rows, a pair whose valid rows are rare (below about one in sixty) can be
/// missed.
std::vector<Params> pairwise(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid = {});

/// Names of the axes whose value makes no difference in a row.
using IdleNames = std::function<std::vector<std::string>(const Params& row)>;

/// Rows to add to the rows `there`, which cover the pairs of these axes and may hold more than them: so that every pair
/// of values, where some valid row shows it, is in a row in which both values make a difference. Deterministic.
std::vector<Params> pairs_without(const std::vector<Params>& there, const std::vector<Axis>& axes,
                                  const std::function<bool(const Params&)>& valid, const IdleNames& idle);

/// The full product, first axis slowest, restricted to valid rows.
std::vector<Params> product(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid = {});

}  // namespace dsv4
