#include "harness/case/covering.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>

namespace dsv4 {
namespace {

using Row = std::vector<std::size_t>;  // for each axis, the index of a value

/// The seed is fixed, because a covering must have the same rows in every run. The C++ standard defines the sequence
/// of mt19937.
constexpr std::uint32_t kSeed = 12345;

/// Open pairs: pairs of values of two axes that no row contains yet. The values of all axes are numbered consecutively,
/// so that a pair is an element of a square matrix. Each time the tool starts, it makes the case table of every op with
/// this class. A set of tuples was too slow: it took most of that time.
class OpenPairs {
 public:
  explicit OpenPairs(const std::vector<Axis>& axes) {
    for (const Axis& a : axes) {
      first_.push_back(size_);
      axis_.insert(axis_.end(), a.values.size(), first_.size() - 1);
      size_ += a.values.size();
    }
    open_.assign(size_ * size_, 0);
    for (std::size_t u = 0; u < size_; ++u) {
      for (std::size_t v = u + 1; v < size_; ++v) open_[u * size_ + v] = axis_[u] != axis_[v];
    }
  }

  /// Finds the first open pair: value `a` of axis `i` and value `b` of axis `j`. Returns false if there is none.
  bool first(std::size_t& i, std::size_t& a, std::size_t& j, std::size_t& b) {
    while (next_ < open_.size() && open_[next_] == 0) ++next_;
    if (next_ == open_.size()) return false;
    i = axis_[next_ / size_];
    a = next_ / size_ - first_[i];
    j = axis_[next_ % size_];
    b = next_ % size_ - first_[j];
    return true;
  }

  /// Closes the first open pair, because no valid row for it was found.
  void drop() { open_[next_] = 0; }

  /// Number of open pairs in a row.
  [[nodiscard]] std::size_t gain(const Row& row) const {
    std::size_t n = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::uint8_t* line = &open_[(first_[i] + row[i]) * size_];
      for (std::size_t j = i + 1; j < row.size(); ++j) n += line[first_[j] + row[j]];
    }
    return n;
  }

  /// Closes the pairs of a row, except pairs with a value of an idle axis. `idle` has one element for each axis.
  void cover(const Row& row, const std::vector<bool>& idle) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      for (std::size_t j = i + 1; j < row.size(); ++j) {
        if (!idle[i] && !idle[j]) open_[(first_[i] + row[i]) * size_ + first_[j] + row[j]] = 0;
      }
    }
  }

 private:
  std::vector<std::size_t> first_;  // for each axis, the number of its first value
  std::vector<std::size_t> axis_;   // for each value, its axis
  std::size_t size_ = 0;            // number of values of all axes
  std::vector<std::uint8_t> open_;  // [u][v] with u < v: 1 if the pair of values u and v is open
  std::size_t next_ = 0;            // no pair before this index of open_ is open
};

Params to_params(const std::vector<Axis>& axes, const Row& row) {
  Params params;
  for (std::size_t i = 0; i < axes.size(); ++i) params.set(axes[i].name, axes[i].values[row[i]]);
  return params;
}

constexpr std::size_t kMostRows = std::size_t{1} << 16;

/// True if the product of the axes has at most kMostRows rows, so that all of them can be visited in a short time.
bool can_be_walked(const std::vector<Axis>& axes) {
  std::size_t n = 1;
  for (const Axis& a : axes) n = n > kMostRows ? n : n * a.values.size();
  return n <= kMostRows;
}

/// Calls visit(row, params) for the rows of the product, until a call returns true. The first row is `row`, and the
/// last axis changes fastest. An axis in `fixed` keeps its value in `row`.
template <class Visit>
void walk(const std::vector<Axis>& axes, Row row, const std::vector<std::size_t>& fixed, Visit visit) {
  Params params =
      to_params(axes, row);  // updated with `row`, because making it for each row would take most of the time
  while (!visit(row, params)) {
    std::size_t i = axes.size();
    for (; i > 0; --i) {
      if (std::ranges::find(fixed, i - 1) != fixed.end()) continue;
      const bool wraps = ++row[i - 1] == axes[i - 1].values.size();
      if (wraps) row[i - 1] = 0;
      params.set(axes[i - 1].name, axes[i - 1].values[row[i - 1]]);
      if (!wraps) break;
    }
    if (i == 0) return;
  }
}

/// All valid rows. Empty if the product has more than kMostRows rows.
std::vector<Row> valid_rows(const std::vector<Axis>& axes, const std::function<bool(const Params&)>& valid) {
  std::vector<Row> rows;
  if (!can_be_walked(axes)) return rows;
  walk(axes, Row(axes.size(), 0), {}, [&](const Row& row, const Params& params) {
    if (valid(params)) rows.push_back(row);
    return false;
  });
  return rows;
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
  OpenPairs open(axes);
  const std::vector<bool> none_idle(axes.size(), false);
  // Greedy: take an open pair, draw 60 random rows that contain it, and keep the valid row that closes the most pairs.
  // If none of the 60 rows is valid, search all valid rows. If no valid row contains the pair, drop the pair.
  std::mt19937 random(kSeed);
  std::vector<Params> rows;
  std::optional<std::vector<Row>> all;
  std::size_t i = 0, a = 0, j = 0, b = 0;
  while (open.first(i, a, j, b)) {
    Row best;
    std::size_t best_gain = 0;
    for (int attempt = 0; attempt < 60; ++attempt) {
      Row row(axes.size());
      for (std::size_t k = 0; k < axes.size(); ++k) row[k] = random() % axes[k].values.size();
      row[i] = a;
      row[j] = b;
      const std::size_t g = open.gain(row);
      if (g <= best_gain || (valid && !valid(to_params(axes, row)))) continue;
      best_gain = g;
      best = row;
    }
    if (best.empty()) {
      if (!all) all = valid_rows(axes, valid);
      for (const Row& row : *all) {
        if (row[i] != a || row[j] != b) continue;
        const std::size_t g = open.gain(row);
        if (g > best_gain) {
          best_gain = g;
          best = row;
        }
      }
    }
    if (best.empty()) {
      open.drop();
      continue;
    }
    open.cover(best, none_idle);
    rows.push_back(to_params(axes, best));
  }
  return rows;
}

std::vector<Params> pairs_without(const std::vector<Params>& there, const std::vector<Axis>& axes,
                                  const std::function<bool(const Params&)>& valid, const IdleNames& idle) {
  if (axes.size() < 2) return {};
  OpenPairs open(axes);
  const auto idle_axes = [&](const Params& row) {
    std::vector<bool> mask(axes.size(), false);
    for (const std::string& name : idle(row)) {
      for (std::size_t k = 0; k < axes.size(); ++k) mask[k] = mask[k] || axes[k].name == name;
    }
    return mask;
  };
  for (const Params& params : there) {
    Row row;
    for (const Axis& axis : axes) {
      const auto at = std::ranges::find(axis.values, params.text(axis.name));
      row.push_back(static_cast<std::size_t>(at - axis.values.begin()));
    }
    open.cover(row, idle_axes(params));
  }
  std::mt19937 random(kSeed);
  std::vector<Params> rows;
  std::size_t i = 0, a = 0, j = 0, b = 0;
  while (open.first(i, a, j, b)) {
    // Take the first valid row in which both values make a difference. A search for the best row is not worth its time,
    // because few pairs are still open.
    std::optional<Row> found;
    const auto try_row = [&](const Row& row, const Params& params) {
      if (valid && !valid(params)) return false;
      const std::vector<bool> mask = idle_axes(params);
      if (!mask[i] && !mask[j]) found = row;
      return found.has_value();
    };
    for (int attempt = 0; attempt < 60 && !found; ++attempt) {
      Row row(axes.size());
      for (std::size_t k = 0; k < axes.size(); ++k) row[k] = random() % axes[k].values.size();
      row[i] = a;
      row[j] = b;
      try_row(row, to_params(axes, row));
    }
    if (!found && can_be_walked(axes)) {
      Row row(axes.size(), 0);
      row[i] = a;
      row[j] = b;
      walk(axes, row, {i, j}, try_row);
    }
    if (!found) {
      open.drop();
      continue;
    }
    const Params params = to_params(axes, *found);
    open.cover(*found, idle_axes(params));
    rows.push_back(params);
  }
  return rows;
}

}  // namespace dsv4
