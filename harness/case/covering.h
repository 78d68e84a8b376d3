/// Pairwise covering of a parameter space. Every pair of values of two axes occurs in some row, and there are far fewer
/// rows than in the product.
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

/// Rows that cover every pair of values that some valid row contains. Parameters of a row are in axis order.
/// Deterministic. `valid` gets complete rows. If the product has more than 65536 rows, a pair can be missed when less
/// than about one in sixty of its rows is valid.
std::vector<Params> pairwise(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid = {});

/// Names of the axes whose value makes no difference in a row.
using IdleNames = std::function<std::vector<std::string>(const Params& row)>;

/// Rows to add to the rows `there`, which cover the pairs of these axes and may have more parameters. Together, each
/// pair of values is in a row in which both values make a difference, if some valid row shows that. If the product has
/// more than 65536 rows, rare pairs can be missed. Deterministic.
std::vector<Params> pairs_without(const std::vector<Params>& there, const std::vector<Axis>& axes,
                                  const std::function<bool(const Params&)>& valid, const IdleNames& idle);

/// The full product, first axis slowest, restricted to valid rows.
std::vector<Params> product(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid = {});

}  // namespace dsv4
