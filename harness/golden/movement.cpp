#include "harness/golden/movement.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <tuple>

#include "harness/compare/compare.h"
#include "harness/core/dtype.h"

namespace dsv4 {
namespace {

std::string form_of(const GoldenOutput& o) { return fmt::format("{}{}", name_of(o.dtype), format_shape(o.shape)); }

double relative_distance(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  if (!std::isfinite(a) || !std::isfinite(b)) return std::numeric_limits<double>::infinity();
  return std::fabs(a - b) / std::max(std::fabs(a), std::fabs(b));
}

Movement measure(const std::string& id, const GoldenOutput& before, const GoldenOutput& after) {
  Movement m{.id = id, .output = after.name};
  if (before.dtype != after.dtype || before.shape != after.shape) {
    m.form = fmt::format("{} became {}", form_of(before), form_of(after));
    m.relative = std::numeric_limits<double>::infinity();
    return m;
  }
  const auto bytes = static_cast<std::size_t>(size_of(after.dtype));
  m.of = after.numel();
  m.compared = static_cast<std::int64_t>(std::min(before.kept.size(), after.kept.size()) / bytes);
  for (std::size_t i = 0; i < static_cast<std::size_t>(m.compared); ++i) {
    const std::uint8_t* a = before.kept.data() + i * bytes;
    const std::uint8_t* b = after.kept.data() + i * bytes;
    if (std::memcmp(a, b, bytes) == 0) continue;
    ++m.other;
    m.ulp = std::max(m.ulp, ulp_distance(after.dtype, a, b));
    m.relative = std::max(m.relative, relative_distance(value_of(after.dtype, a), value_of(after.dtype, b)));
  }
  return m;
}

/// Calls `both(before, after)` for each case that both recordings have.
void for_each_pair(const Golden& before, const Golden& after,
                   const std::function<void(const GoldenEntry&, const GoldenEntry&)>& both) {
  std::map<std::string, const GoldenEntry*> old;
  for (const GoldenEntry& e : before.entries) old[e.id] = &e;
  for (const GoldenEntry& e : after.entries) {
    if (const auto it = old.find(e.id); it != old.end()) both(*it->second, e);
  }
}

}  // namespace

std::vector<Movement> movements(const Golden& before, const Golden& after) {
  std::vector<Movement> all;
  const auto one_sided = [&](const std::string& id, const std::string& name, const char* form) {
    all.push_back({.id = id, .output = name, .form = form, .relative = std::numeric_limits<double>::infinity()});
  };
  for_each_pair(before, after, [&](const GoldenEntry& a, const GoldenEntry& b) {
    for (const GoldenOutput& o : b.outputs) {
      const auto old = std::ranges::find(a.outputs, o.name, &GoldenOutput::name);
      if (old == a.outputs.end()) {
        one_sided(b.id, o.name, "is new");
      } else if (old->digest != o.digest || old->dtype != o.dtype || old->shape != o.shape) {
        all.push_back(measure(b.id, *old, o));
      }
    }
    for (const GoldenOutput& o : a.outputs) {
      if (std::ranges::find(b.outputs, o.name, &GoldenOutput::name) == b.outputs.end())
        one_sided(b.id, o.name, "is gone");
    }
  });
  std::ranges::stable_sort(all, std::ranges::greater{},
                           [](const Movement& m) { return std::tuple(m.relative, m.ulp, m.other); });
  return all;
}

std::string describe(const Movement& m) {
  if (!m.form.empty()) return m.form;
  const std::string sample = m.compared == m.of ? "" : fmt::format(" (a sample of {} elements)", m.of);
  if (m.other == 0) return fmt::format("other bits, but none in the {} kept elements of {}", m.compared, m.of);
  return fmt::format("{} of {} elements{} have other bits, at most {} ulp and {:.2g} relative", m.other, m.compared,
                     sample, m.ulp, m.relative);
}

std::vector<std::string> newly_failing(const Golden& before, const Golden& after) {
  std::vector<std::string> ids;
  for_each_pair(before, after, [&](const GoldenEntry& a, const GoldenEntry& b) {
    const bool differs = b.verdict == Verdict::kFailed || b.verdict == Verdict::kMistrusted;
    if (a.verdict == Verdict::kPassed && differs) ids.push_back(b.id);
  });
  std::ranges::sort(ids);
  return ids;
}

}  // namespace dsv4
