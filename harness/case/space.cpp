#include "harness/case/space.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "harness/case/covering.h"
#include "harness/core/error.h"
#include "harness/core/text.h"

namespace dsv4 {
namespace {

std::vector<std::string> texts(const std::vector<std::int64_t>& values) {
  std::vector<std::string> out;
  for (const std::int64_t v : values) out.push_back(std::to_string(v));
  return out;
}

}  // namespace

ParamSpec number(std::string name, std::int64_t min, std::int64_t max, std::string meaning, Columns columns) {
  std::vector<std::int64_t> interesting = columns.soak;
  if (!columns.both.empty()) columns.quick = columns.full = columns.both;
  for (const auto* column : {&columns.quick, &columns.full}) {
    interesting.insert(interesting.end(), column->begin(), column->end());
  }
  std::ranges::sort(interesting);
  interesting.erase(std::unique(interesting.begin(), interesting.end()), interesting.end());
  ParamSpec spec = ParamSpec::integer(std::move(name), min, max, std::move(meaning), std::move(interesting));
  spec.usual = std::to_string(columns.usual);
  spec.quick = texts(columns.quick);
  spec.full = texts(columns.full);
  return spec;
}

ParamSpec word(std::string name, std::vector<std::string> choices, std::string meaning, std::vector<std::string> more) {
  ParamSpec spec = ParamSpec::choice(std::move(name), std::move(choices), std::move(meaning));
  spec.usual = spec.choices.front();
  spec.quick = spec.full = spec.choices;
  std::ranges::move(more, std::back_inserter(spec.choices));
  return spec;
}

ParamSpec flag(std::string name, std::string meaning) { return word(std::move(name), {"0", "1"}, std::move(meaning)); }

std::vector<std::string> each(const std::vector<std::string>& lines, const std::vector<std::string>& values) {
  std::vector<std::string> out;
  for (const std::string& line : lines) {
    const auto at = line.find("{}");
    if (at == std::string::npos) throw Error(fmt::format("line '{}' has no place for a value", line));
    for (const std::string& value : values) out.push_back(line.substr(0, at) + value + line.substr(at + 2));
  }
  return out;
}

std::vector<std::string> joined(std::initializer_list<std::vector<std::string>> lists) {
  std::vector<std::string> all;
  for (const auto& list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

Space Space::with(std::vector<ParamSpec> more) const {
  Space all = *this;
  for (ParamSpec& spec : more) all.add(std::move(spec));
  return all;
}

/// A parsed line: the values that it gives to each parameter.
struct Space::Line {
  bool cover = false;
  std::vector<std::pair<std::string, std::vector<std::string>>> axes;
  std::vector<std::pair<std::string, std::string>> fixed;
};

Space::Line Space::parse(std::string_view text) const {
  Line line;
  bool fixed = true;
  std::set<std::string> seen;
  const auto bad = [&](const std::string& why) { return Error(fmt::format("point '{}': {}", text, why)); };
  for (const std::string& part : split(text, ' ')) {
    if (part == "cover" && seen.empty() && !line.cover) {
      line.cover = true;
      fixed = false;
      continue;
    }
    if (part == "at" && line.cover) {
      fixed = true;
      continue;
    }
    const auto equals = part.find('=');
    if (equals == std::string::npos) throw bad(fmt::format("'{}' is not name=value", part));
    const std::string name = part.substr(0, equals);
    const ParamSpec* spec = find(name);
    if (spec == nullptr) {
      std::vector<std::string> names;
      for (const ParamSpec& s : specs_) names.push_back(s.name);
      throw bad(fmt::format("there is no parameter '{}'{}", name, did_you_mean(name, names)));
    }
    if (!seen.insert(name).second) throw bad(fmt::format("'{}' is given twice", name));
    const std::vector<std::string> values = split(std::string_view(part).substr(equals + 1), '|');
    if (values.empty()) throw bad(fmt::format("'{}' has no value", name));
    if (fixed && values.size() != 1) throw bad(fmt::format("'{}' has several values, but is not an axis", name));
    for (const std::string& value : values) {
      if (const auto why = spec->reject(value)) throw bad(*why);
    }
    if (fixed) {
      line.fixed.emplace_back(name, values.front());
    } else {
      line.axes.emplace_back(name, values);
    }
  }
  return line;
}

const ParamSpec* Space::find(std::string_view name) const {
  const auto it = std::ranges::find(specs_, name, &ParamSpec::name);
  return it == specs_.end() ? nullptr : &*it;
}

Params Space::at(std::string_view point) const {
  const Line line = parse(point);
  if (line.cover) throw Error(fmt::format("point '{}': a covering is not a point", point));
  Params params;
  for (const ParamSpec& spec : specs_) {
    const auto given = std::ranges::find(line.fixed, spec.name, [](const auto& pair) { return pair.first; });
    if (given == line.fixed.end() && spec.usual.empty()) {
      throw Error(fmt::format("point '{}': '{}' has no usual value and must be given", point, spec.name));
    }
    params.set(spec.name, given == line.fixed.end() ? spec.usual : given->second);
  }
  return params;
}

std::vector<Params> Space::points(Tier tier, std::string_view text, const Reject& reject, const Idle& idle) const {
  const Line line = parse(text);
  if (!line.cover) return {at(text)};
  std::vector<Axis> axes;
  Params rest;
  for (const ParamSpec& spec : specs_) {
    const auto own = std::ranges::find(line.axes, spec.name, [](const auto& axis) { return axis.first; });
    const auto fixed = std::ranges::find(line.fixed, spec.name, [](const auto& pair) { return pair.first; });
    const auto& column = tier == Tier::kFull ? spec.full : spec.quick;
    rest.set(spec.name, fixed == line.fixed.end() ? spec.usual : fixed->second);
    if (own != line.axes.end()) {
      axes.push_back({spec.name, own->second});
    } else if (fixed == line.fixed.end() && !column.empty()) {
      axes.push_back({spec.name, column});
    }
  }
  const auto complete = [&](const Params& row) {
    Params point = rest;
    for (const auto& [name, value] : row.pairs()) point.set(name, value);
    return point;
  };
  const auto valid = [&](const Params& row) { return !reject || !reject(complete(row)); };
  std::vector<Params> points;
  for (const Params& row : pairwise(axes, valid)) points.push_back(complete(row));
  if (!idle || std::ranges::none_of(points, [&](const Params& p) { return !idle(p).empty(); })) return points;
  for (Axis& axis : axes) {
    std::ranges::sort(axis.values);
    axis.values.erase(std::unique(axis.values.begin(), axis.values.end()), axis.values.end());
  }
  const auto unseen = [&](const Params& row) { return idle(complete(row)); };
  for (const Params& row : pairs_without(points, axes, valid, unseen)) points.push_back(complete(row));
  return points;
}

std::vector<Params> Space::points(Tier tier, const std::vector<std::string>& lines, const Reject& reject,
                                  const Idle& idle) const {
  std::vector<Params> all;
  for (const std::string& line : lines) {
    for (Params& point : points(tier, line, reject, idle)) all.push_back(std::move(point));
  }
  return all;
}

void Space::check(const std::vector<std::string>& lines) const {
  for (const std::string& line : lines) {
    if (!parse(line).cover) (void)at(line);
  }
}

}  // namespace dsv4
