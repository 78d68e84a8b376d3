#include "harness/compare/excuse.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "harness/compare/compare.h"

namespace dsv4 {
namespace {

bool has_records(const Output& o) {
  return o.keyed && o.value.rank() == 2 && o.value.dtype == DType::kI32 && o.value.size(1) > 0;
}

std::int32_t key_at(const HostTensor& t, std::int64_t row) { return t.at<std::int32_t>(row, 0); }

bool same_keys(const HostTensor& a, const HostTensor& b) {
  if (a.size(0) != b.size(0)) return false;
  for (std::int64_t i = 0; i < a.size(0); ++i) {
    if (key_at(a, i) != key_at(b, i)) return false;
  }
  return true;
}

void copy_row(const HostTensor& from, std::int64_t row, HostTensor& to, std::int64_t at, bool inverted) {
  for (std::int64_t c = 0; c < from.size(1); ++c) {
    const std::int32_t value = from.at<std::int32_t>(row, c);
    to.at<std::int32_t>(at, c) = inverted ? ~value : value;
  }
}

/// Where the elements of an output are in an alternative's output. A record is found by its key.
class Counterparts {
 public:
  Counterparts(const Output& output, const HostTensor& alternative) : output_(output), alternative_(alternative) {
    if (!has_records(output)) return;
    for (std::int64_t row = 0; row < alternative.size(0); ++row) rows_.try_emplace(key_at(alternative, row), row);
  }
  /// The index of the element that corresponds to element i; -1 if there is none.
  [[nodiscard]] std::int64_t of(std::int64_t i) const {
    if (!has_records(output_)) return i;
    const std::int64_t columns = output_.value.size(1);
    const auto row = rows_.find(key_at(output_.value, i / columns));
    return row == rows_.end() ? -1 : row->second * columns + i % columns;
  }
  /// True if elements of the two can be compared at all.
  [[nodiscard]] bool fit() const {
    const HostTensor& t = output_.value;
    if (t.dtype != alternative_.dtype || t.rank() != alternative_.rank()) return false;
    return has_records(output_) ? t.size(1) == alternative_.size(1) : t.shape == alternative_.shape;
  }

 private:
  const Output& output_;
  const HostTensor& alternative_;
  std::map<std::int32_t, std::int64_t> rows_;
};

/// True if the shape of `fact` is the beginning of the output's shape. The first size of a keyed output is free.
bool fits(const HostTensor& fact, const Output& output) {
  const Shape& shape = output.value.shape;
  if (fact.rank() == 0 || fact.rank() > shape.size()) return false;
  return std::equal(fact.shape.begin() + (output.keyed ? 1 : 0), fact.shape.end(),
                    shape.begin() + (output.keyed ? 1 : 0));
}

/// True if the fact of element i is in its range.
bool holds(const Excuse::Fact& fact, const Output& output, std::int64_t i) {
  const Shape at = output.value.coordinates(i);
  std::int64_t index = 0;
  for (std::size_t d = 0; d < fact.values.rank(); ++d) {
    const std::int64_t c = d == 0 && output.keyed ? key_at(output.value, at[0]) : at[d];
    if (c < 0 || c >= fact.values.size(d)) return false;
    index = index * fact.values.size(d) + c;
  }
  const std::int64_t value = fact.values.data<std::int64_t>()[index];
  return value >= fact.low && value <= fact.high;
}

/// Marks the elements that `excuse` excuses with `mark`, unless they are marked already.
void mark_elements(const Excuse& excuse, const Output& side, const std::vector<bool>* has, double scale,
                   std::int32_t mark, HostTensor& by) {
  const auto all_fit = [&](const Excuse::Fact& f) { return fits(f.values, side); };
  if (!std::ranges::all_of(excuse.facts, all_fit)) return;
  const Output* alternative = nullptr;
  Tolerance tolerance;
  if (excuse.alternative) {
    const auto found = std::ranges::find(excuse.alternative->outputs, excuse.output, &Output::name);
    if (found == excuse.alternative->outputs.end()) return;
    alternative = &*found;
    const auto own = excuse.alternative->tolerances.find(excuse.output);
    if (own != excuse.alternative->tolerances.end()) tolerance = own->second;
  }
  std::optional<Counterparts> counterparts;
  if (alternative != nullptr) counterparts.emplace(side, alternative->value);
  if (counterparts && !counterparts->fit()) return;
  for (std::int64_t i = 0, n = side.value.numel(); i < n; ++i) {
    if (by.data<std::int32_t>()[i] != 0) continue;
    const auto in_range = [&](const Excuse::Fact& f) { return holds(f, side, i); };
    if (!std::ranges::all_of(excuse.facts, in_range)) continue;
    if (counterparts) {
      // A record that the side does not have agrees with nothing.
      if (has != nullptr && !(*has)[static_cast<std::size_t>(i / side.value.size(1))]) continue;
      const std::int64_t j = counterparts->of(i);
      if (j < 0 || !agrees(side.value, i, alternative->value, j, tolerance, scale)) continue;
    }
    by.data<std::int32_t>()[i] = mark;
  }
}

}  // namespace

std::optional<JoinedRecords> join_records(const Output& got, const Output& want) {
  if (!has_records(got) || want.value.rank() != 2 || want.value.dtype != DType::kI32 ||
      want.value.size(1) != got.value.size(1) || same_keys(got.value, want.value)) {
    return std::nullopt;
  }
  const HostTensor &a = got.value, &b = want.value;
  // Pairs of rows; -1 stands for a record that a side does not have.
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (std::int64_t i = 0, j = 0; i < a.size(0) || j < b.size(0);) {
    const bool only_got = j == b.size(0) || (i < a.size(0) && key_at(a, i) < key_at(b, j));
    const bool only_want = i == a.size(0) || (j < b.size(0) && key_at(b, j) < key_at(a, i));
    pairs.emplace_back(only_want ? -1 : i++, only_got ? -1 : j++);
  }
  const Shape shape{std::ssize(pairs), a.size(1)};
  JoinedRecords joined{{got.name, HostTensor::make(DType::kI32, shape), true},
                       {want.name, HostTensor::make(DType::kI32, shape), true},
                       {},
                       {}};
  for (std::int64_t row = 0; row < std::ssize(pairs); ++row) {
    const auto [i, j] = pairs[static_cast<std::size_t>(row)];
    copy_row(i < 0 ? b : a, i < 0 ? j : i, joined.got.value, row, i < 0);
    copy_row(j < 0 ? a : b, j < 0 ? i : j, joined.want.value, row, j < 0);
    joined.got_has.push_back(i >= 0);
    joined.want_has.push_back(j >= 0);
  }
  return joined;
}

ExcusedElements excused_elements(const Output& got, const Output& want, const std::vector<Excuse>& excuses,
                                 double scale, const JoinedRecords* joined) {
  ExcusedElements excused;
  for (const Excuse& excuse : excuses) {
    if (excuse.output != got.name) continue;
    if (excused.ids.empty()) excused.by = HostTensor::make(DType::kI32, got.value.shape);
    excused.ids.push_back(excuse.id);
    const bool other = excuse.of_other_side && excuse.alternative;
    // Facts of a record that only the other side has are found by the key in its row.
    Output keys = other ? want : got;
    const auto* has = joined == nullptr ? nullptr : other ? &joined->want_has : &joined->got_has;
    if (joined != nullptr) {
      for (std::int64_t row = 0; row < keys.value.size(0); ++row) {
        if (!(*has)[static_cast<std::size_t>(row)])
          keys.value.at<std::int32_t>(row, 0) = ~keys.value.at<std::int32_t>(row, 0);
      }
    }
    if (keys.value.shape != got.value.shape) continue;
    mark_elements(excuse, keys, has, scale, static_cast<std::int32_t>(std::ssize(excused.ids)), excused.by);
  }
  return excused;
}

}  // namespace dsv4
