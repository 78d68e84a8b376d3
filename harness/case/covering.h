/// Pairwise covering of a parameter space. Every pair of values of two axes occurs in some row. A covering has far
/// fewer rows than the product of the axes.
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

/// An axis with integer values.
Axis axis(std::string name, const std::vector<std::int64_t>& values);
Axis axis(std::string name, std::vector<std::string> values);

/// Returns valid rows that cover the pairs: each pair of values that some valid row contains is in a returned row. The
/// parameters of a row are in the order of the axes. The result is deterministic. `valid` gets complete rows. If the
/// product has more than 65536 rows, only 60 random rows are tried for each pair. So a pair that few valid rows contain
/// can be missed.
std::vector<Params> pairwise(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid = {});

/// Names of the axes whose value makes no difference in a row.
using IdleNames = std::function<std::vector<std::string>(const Params& row)>;

/// Returns rows to add to `there`. `there` already covers the pairs of `axes`; its rows may have more parameters. Then,
/// for each pair of values, `there` or the result has a row in which both values make a difference. A pair for which no
/// valid row does so is left out. If the product has more than 65536 rows, a pair that few valid rows contain can be
/// missed. The result is deterministic.
std::vector<Params> pairs_without(const std::vector<Params>& there, const std::vector<Axis>& axes,
                                  const std::function<bool(const Params&)>& valid, const IdleNames& idle);

/// The valid rows of the full product. The last axis changes fastest.
std::vector<Params> product(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid = {});

}  // namespace dsv4
