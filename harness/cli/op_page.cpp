#include "harness/cli/op_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "harness/core/text.h"

namespace dsv4 {
namespace {

/// A name and what it means, on as many lines as needed. The meanings stand in one column.
std::string entry(const Layout& layout, const std::string& name, const std::string& meaning, std::size_t column) {
  if (width_of(name) > column) return fmt::format("  {}\n", name) + lines_of(layout, "      " + meaning, 6);
  const std::string padding(column - width_of(name), ' ');
  // The text is broken without its first column, because wrap() does not keep the spaces in a line.
  const Layout narrow{.width = layout.width - std::min(layout.width / 2, column + 4)};
  std::string text = lines_of(narrow, meaning, 0);
  std::string out;
  for (bool first = true; !text.empty(); first = false) {
    const std::string line = text.substr(0, text.find('\n'));
    text.erase(0, line.size() + 1);
    out += fmt::format("  {}  {}\n", first ? name + padding : std::string(column, ' '), line);
  }
  return out;
}

/// A heading and its entries; "" if there are none.
std::string section(const Layout& layout, const std::string& heading,
                    const std::vector<std::pair<std::string, std::string>>& entries) {
  if (entries.empty()) return "";
  constexpr std::size_t kWidestName = 28;
  std::size_t column = 0;
  for (const auto& [name, meaning] : entries) {
    if (width_of(name) <= kWidestName) column = std::max(column, width_of(name));
  }
  std::string text = "\n" + painted(layout, Paint::kBold, heading) + "\n";
  for (const auto& [name, meaning] : entries) text += entry(layout, name, meaning, column);
  return text;
}

std::string describe(const ParamSpec& spec) {
  return fmt::format("{}; {}", spec.meaning,
                     spec.choices.empty() ? fmt::format("{} to {}", spec.min, spec.max)
                                          : fmt::format("{}", fmt::join(spec.choices, ", ")));
}

std::string describe(const Argument& a) {
  static constexpr std::array<const char*, 4> kKinds{"tensor", "integer", "real", "flag"};
  if (!a.is_tensor()) return kKinds.at(static_cast<std::size_t>(a.kind));
  static constexpr std::array<const char*, 4> kRoles{"in", "out", "inout", "workspace"};
  std::vector<std::string> dtypes, shape;
  for (const DType dtype : a.dtypes) dtypes.emplace_back(name_of(dtype));
  for (const Dim& dim : a.dims) shape.push_back(dim.symbol);
  std::string memory = !a.traits.place ? "host or device" : *a.traits.place == Place::kHost ? "host" : "device";
  if (!a.traits.reached_by.empty()) memory += fmt::format(", reached by {}", a.traits.reached_by);
  return fmt::format("{} {}[{}], {}{}", kRoles.at(static_cast<std::size_t>(a.role)), fmt::join(dtypes, "|"),
                     fmt::join(shape, ", "), memory, a.traits.optional ? ", optional" : "");
}

/// The table with all columns.
std::string wide_table(const std::vector<std::vector<std::string>>& rows) {
  return align(rows, {false, false, true, true, true, true, false, false});
}

}  // namespace

std::vector<std::string> sets_with(const std::vector<Manifest>& sets, const std::string& op) {
  std::vector<std::string> names;
  for (const Manifest& m : sets) {
    if (m.has_op(op)) names.push_back(m.name);
  }
  return names;
}

std::string ops_table(const std::vector<const Op*>& ops, const std::vector<Manifest>& sets, const Layout& layout) {
  std::vector<std::vector<std::string>> rows{{"op", "family", "smoke", "quick", "full", "checks", "upstream", "sets"}};
  for (const Op* op : ops) {
    const OpInfo& info = op->info();
    const auto count = [&](Tier tier) { return std::to_string(cases_of(*op, tier).size()); };
    rows.push_back({info.name, info.family, count(Tier::kSmoke), count(Tier::kQuick), count(Tier::kFull),
                    std::to_string(all_scenarios(*op).size()), info.upstream.substr(0, info.upstream.find(',')),
                    fmt::format("{}", fmt::join(sets_with(sets, info.name), " "))});
  }
  std::string text = wide_table(rows);
  const auto fits = [&] {
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
      if (width_of(text.substr(at, text.find('\n', at) - at)) > layout.width) return false;
    }
    return true;
  };
  std::string legend;
  if (!fits()) {
    // Sets become letters, and upstream's names stand on the page of each op.
    for (std::size_t i = 0; i < sets.size(); ++i)
      legend += fmt::format("  {}  {}\n", static_cast<char>('a' + i % 26), one_line(sets[i].name));
    if (!legend.empty()) legend = "\nSets:\n" + legend;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      rows[row].erase(rows[row].begin() + 6);
      if (row == 0) continue;
      std::string letters;
      for (std::size_t i = 0; i < sets.size(); ++i)
        letters += sets[i].has_op(ops[row - 1]->info().name) ? static_cast<char>('a' + i % 26) : '.';
      rows[row].back() = letters;
    }
    text = align(rows, {false, false, true, true, true, true, false});
    if (!fits()) {
      for (auto& row : rows) row.erase(row.begin() + 1);
      text = align(rows, {false, true, true, true, true, false});
    }
  }
  const std::string heading = text.substr(0, text.find('\n'));
  text = painted(layout, Paint::kBold, heading) + text.substr(heading.size());
  return text + legend + "\n" +
         lines_of(layout, "'dsv4diff ops OP' tells the parameters, outputs and checks of an op.");
}

std::string op_page(const Op& op, const std::vector<OutputFacts>& outputs, const std::vector<Manifest>& sets,
                    const Layout& layout) {
  const OpInfo& info = op.info();
  using Entries = std::vector<std::pair<std::string, std::string>>;
  Entries about{{"family", info.family}};
  if (!info.upstream.empty()) about.emplace_back("upstream", info.upstream);
  about.emplace_back("abi",
                     fmt::format("{}, {}", fmt::join(info.abis, ", "), count_of(info.signature.arity(), "argument")));
  about.emplace_back("sets", fmt::format("{}", fmt::join(sets_with(sets, info.name), ", ")));
  std::vector<std::string> tiers;
  for (const Tier tier : {Tier::kSmoke, Tier::kQuick, Tier::kFull})
    tiers.push_back(fmt::format("{} in {}", cases_of(op, tier).size(), name_of(tier)));
  about.emplace_back("cases", fmt::format("{}", fmt::join(tiers, ", ")));
  about.emplace_back("on a CPU", info.host_note);

  Entries params, arguments, values, own, derived, without;
  for (const ParamSpec& spec : info.space.specs()) params.emplace_back(spec.name, describe(spec));
  for (const Argument& a : info.signature.arguments()) arguments.emplace_back(a.name, describe(a));
  for (const OutputFacts& o : outputs) {
    for (const std::string& tolerance : o.tolerances)
      values.emplace_back(fmt::format("{} ({}, {}d)", o.name, o.dtype, o.dims), tolerance);
  }
  for (const Scenario& s : all_scenarios(op)) {
    const std::string where = s.needs_device ? " (on a GPU only)" : "";
    (is_own_check(op, s) ? own : derived).emplace_back(s.label(), s.meaning + where);
  }
  for (const auto& [label, reason] : info.without) without.emplace_back(label, reason);

  std::string text = lines_of(layout, fmt::format("{}: {}", info.name, info.summary));
  for (const auto& [name, meaning] : about) text += entry(layout, name, meaning, 8);
  return text + section(layout, "Parameters", params) + section(layout, "Arguments", arguments) +
         section(layout, "Outputs, and the tolerance of each", values) +
         section(layout, "Checks that the op declares", own) +
         section(layout, "Checks that the harness derives", derived) +
         section(layout, "Derived checks that the op leaves out", without);
}

}  // namespace dsv4
