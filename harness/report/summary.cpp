#include "harness/report/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/core/text.h"

namespace dsv4 {
namespace {

void add(OutputBits& sum, const CaseResult& r, const OutputReport& o) {
  const BitComparison& b = *o.bits;
  ++sum.cases;
  if (b.other != 0) ++sum.other_bits;
  const bool farther = std::pair(b.share, b.ulp) > std::pair(sum.bits.share, sum.bits.ulp);
  if (farther) sum.farthest = r.id;
  sum.bits.compared += b.compared;
  sum.bits.other += b.other;
  sum.bits.outside += b.outside;
  sum.bits.ulp = std::max(sum.bits.ulp, b.ulp);
  sum.bits.share = std::max(sum.bits.share, b.share);
  // Outputs with the recorded bits are not compared with the reference, so they still have the recorded error/bound.
  if (r.verdict != Verdict::kPassed || !o.recorded_tightness) return;
  const double now = b.other == 0 ? *o.recorded_tightness : o.tightness;
  sum.recorded = std::max(sum.recorded, *o.recorded_tightness);
  if (now <= sum.now) return;
  sum.now = now;
  sum.tightest = r.id;
}

std::string list(const std::set<std::string>& names, std::size_t most) {
  std::string text;
  std::size_t n = 0;
  for (const std::string& name : names) {
    if (n++ == most) return fmt::format("{} and {} more", text, names.size() - most);
    text += fmt::format("{}{}", text.empty() ? "" : ", ", one_line(name));
  }
  return text;
}

}  // namespace

bool OutputBits::rose() const { return now > recorded && format_tightness(now) != format_tightness(recorded); }

std::vector<OutputBits> bits_by_output(const SetRun& run) {
  std::map<std::pair<std::string, std::string>, OutputBits> sums;
  for (const CaseResult& r : run.results) {
    for (const OutputReport& o : r.outputs) {
      if (!o.bits) continue;
      OutputBits& sum = sums[{r.op(), o.name}];
      sum.op = r.op();
      sum.output = o.name;
      add(sum, r, o);
    }
  }
  std::vector<OutputBits> outputs;
  for (auto& [key, sum] : sums) outputs.push_back(std::move(sum));
  return outputs;
}

std::vector<std::string> describe_bits(const SetRun& run, std::size_t most) {
  const Tally total = run.total();
  if (total.bits_compared == 0) return {};
  if (total.same_bits == total.bits_compared)
    return {fmt::format("no bit differs in {}", count_of(total.bits_compared, "case"))};
  std::vector<std::string> lines{
      fmt::format("same bits in {} of {}", total.same_bits, count_of(total.bits_compared, "case"))};
  std::vector<OutputBits> outputs = bits_by_output(run);
  std::erase_if(outputs, [](const OutputBits& o) { return o.bits.other == 0; });
  std::ranges::stable_sort(outputs, std::ranges::greater{}, [](const OutputBits& o) {
    return std::tuple(o.bits.outside != 0, o.rose(), o.bits.share, o.bits.ulp);
  });
  for (std::size_t i = 0; i < std::min(most, outputs.size()); ++i) {
    const OutputBits& o = outputs[i];
    std::string line = fmt::format("{} {}: {} (in {} of {})", o.op, o.output, describe_bits(o.bits), o.other_bits,
                                   count_of(o.cases, "case"));
    if (!o.farthest.empty()) line += fmt::format("; farthest in {}", o.farthest);
    lines.push_back(line);
    if (!o.rose()) continue;
    lines.push_back(fmt::format("error/bound rose from {} to {} in {} {}, case {}", format_tightness(o.recorded),
                                format_tightness(o.now), o.op, o.output, o.tightest));
  }
  if (outputs.size() > most) {
    lines.push_back(fmt::format("... and {} with other bits: --json FILE contains all",
                                count_of(outputs.size() - most, "more output")));
  }
  return lines;
}

std::vector<std::string> count_not_covered(const RunReport& report) {
  // Several sweeps of one set lack the same things, which are counted once.
  std::map<std::string, std::set<std::pair<std::string, std::string>>> named;
  std::size_t sequences = 0, others = 0, skipped = 0;
  for (const SetRun& run : report.runs) {
    for (const auto& [kind, names] : run.not_covered) {
      for (const std::string& name : names) named[kind].emplace(run.set_label, name);
    }
    for (const CaseResult& r : run.results) {
      if (r.verdict == Verdict::kSkipped) ++skipped;
      if (r.verdict == Verdict::kUnsupported) ++(r.id.find("/sequence:") == std::string::npos ? others : sequences);
    }
  }
  std::vector<std::string> parts;
  for (const UncoveredKind& kind : kUncoveredKinds) {
    if (const auto it = named.find(kind.name); it != named.end() && !it->second.empty())
      parts.push_back(count_of(it->second.size(), kind.singular, kind.plural));
  }
  if (sequences != 0) parts.push_back(count_of(sequences, "sequence") + " unsupported");
  if (others != 0) parts.push_back(count_of(others, sequences != 0 ? "other case" : "case") + " unsupported");
  if (skipped != 0) parts.push_back(count_of(skipped, "case") + " skipped");
  return parts;
}

std::vector<std::string> describe_not_covered(const SetRun& run, std::size_t most) {
  std::vector<std::string> lines;
  for (const UncoveredKind& kind : kUncoveredKinds) {
    const auto it = run.not_covered.find(kind.name);
    if (it == run.not_covered.end() || it->second.empty()) continue;
    lines.push_back(fmt::format("not covered: {}: {}", count_of(it->second.size(), kind.singular, kind.plural),
                                list(it->second, most)));
  }
  return lines;
}

bool is_without_golden(std::string_view kind) { return kind == kOpsWithoutGolden || kind == kCasesWithoutGolden; }

bool lacks_goldens(const RunReport& report) {
  return std::ranges::any_of(report.runs, [](const SetRun& run) {
    return std::ranges::any_of(run.not_covered,
                               [](const auto& kind) { return is_without_golden(kind.first) && !kind.second.empty(); });
  });
}

}  // namespace dsv4
