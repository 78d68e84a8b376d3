#include "harness/report/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

/// One sweep, and those of its shards that were found so far.
struct Sweep {
  std::string first_file;
  const RunReport* first = nullptr;
  std::uint64_t count = 1;
  std::map<std::uint64_t, std::string> shards;  ///< file of each shard, by index
  SetRun run;
};

void require_same(const std::map<std::string, std::string>& a, const std::string& file_a,
                  const std::map<std::string, std::string>& b, const std::string& file_b, const std::string& what) {
  std::set<std::string> names;
  for (const auto& [name, value] : a) names.insert(name);
  for (const auto& [name, value] : b) names.insert(name);
  for (const std::string& name : names) {
    const auto value = [&](const auto& map) {
      const auto it = map.find(name);
      return it == map.end() ? std::string("nothing") : "'" + it->second + "'";
    };
    if (value(a) == value(b)) continue;
    throw Error(
        fmt::format("{} and {} are not parts of one sweep: {} '{}' is {} in the first file and {} in the second",
                    file_a, file_b, what, name, value(a), value(b)));
  }
}

void add_shards(Sweep& sweep, const std::string& file, const RunReport& report) {
  for (const Shard& shard : report.shards) {
    if (shard.count != sweep.count) {
      throw Error(fmt::format("{} is one of {} shards, but {} is one of {} shards; they cannot be joined",
                              sweep.first_file, sweep.count, file, shard.count));
    }
    const auto [at, fresh] = sweep.shards.emplace(shard.index, file);
    if (!fresh) throw Error(fmt::format("shard {}/{} is in {} and in {}", shard.index, shard.count, at->second, file));
  }
}

void add_results(Sweep& sweep, const std::string& file, const RunReport& report, const SetRun& run) {
  for (const CaseResult& r : run.results) {
    const bool own = std::ranges::any_of(report.shards, [&](const Shard& s) { return s.contains(r.id); });
    if (!own) throw Error(fmt::format("{}: case '{}' does not belong to its shard", file, r.id));
    sweep.run.results.push_back(r);
  }
  for (const auto& [kind, names] : run.not_covered) sweep.run.not_covered[kind].insert(names.begin(), names.end());
  // A results file names only the known faults of its own cases.
  sweep.run.known_kinds.insert(run.known_kinds.begin(), run.known_kinds.end());
  sweep.run.edited_faults.insert(run.edited_faults.begin(), run.edited_faults.end());
  sweep.run.wall_seconds = std::max(sweep.run.wall_seconds, run.wall_seconds);
}

void require_complete(const Sweep& sweep) {
  std::string missing;
  std::size_t number = 0;
  for (std::uint64_t i = 1; i <= sweep.count && number < 10; ++i) {
    if (sweep.shards.contains(i)) continue;
    missing += fmt::format("{}{}/{}", number++ == 0 ? "" : ", ", i, sweep.count);
  }
  if (number == 0) return;
  throw Error(fmt::format("set '{}' against '{}': shard {} is missing; name the files of all shards, or use --partial",
                          sweep.run.set_label, sweep.run.against, missing));
}

}  // namespace

RunReport merge_reports(const std::vector<NamedReport>& reports, bool partial) {
  RunReport merged;
  merged.command = "merge";
  std::vector<std::pair<std::string, std::string>> order;
  std::map<std::pair<std::string, std::string>, Sweep> sweeps;
  for (const auto& [file, report] : reports) {
    if (merged.version.empty()) merged.version = report.version;
    if (merged.version != report.version) {
      throw Error(fmt::format("{} was written by version {}, but {} by version {}", reports.front().first,
                              merged.version, file, report.version));
    }
    if (report.unfinished) {
      throw Error(
          fmt::format("{}: the run that writes this file did not finish: it was killed, or it is still running; "
                      "wait for it, or run it again",
                      file));
    }
    merged.wall_seconds = std::max(merged.wall_seconds, report.wall_seconds);
    merged.require_all = merged.require_all || report.require_all;
    merged.jobs += report.jobs;
    merged.open_ended = merged.open_ended || report.open_ended;
    if (merged.signal == 0) merged.signal = report.signal;
    if (!report.failure.empty())
      merged.failure += fmt::format("{}{}: {}", merged.failure.empty() ? "" : "; ", file, report.failure);
    for (const SetRun& run : report.runs) {
      const auto key = std::make_pair(run.set_label, run.against);
      Sweep& sweep = sweeps[key];
      if (sweep.first == nullptr) {
        order.push_back(key);
        sweep.first_file = file;
        sweep.first = &report;
        sweep.count = report.shards.empty() ? 1 : report.shards.front().count;
        sweep.run = run;
        sweep.run.results.clear();
        sweep.run.wall_seconds = 0;
      }
      require_same(sweep.first->options, sweep.first_file, report.options, file, "option");
      require_same(sweep.run.provenance, sweep.first_file, run.provenance, file,
                   fmt::format("the provenance of set '{}': entry", run.set_label));
      add_shards(sweep, file, report);
      add_results(sweep, file, report, run);
    }
  }
  std::vector<Shard> incomplete;  // the shards of the first sweep that lacks some
  for (const auto& key : order) {
    Sweep& sweep = sweeps.at(key);
    if (!partial) require_complete(sweep);
    if (incomplete.empty() && sweep.shards.size() < sweep.count) {
      for (const auto& [index, file] : sweep.shards) incomplete.push_back({index, sweep.count});
    }
    std::ranges::sort(sweep.run.results, {}, &CaseResult::id);
    merged.runs.push_back(std::move(sweep.run));
  }
  // Different sweeps may have different options. The merged report keeps the options of the first file.
  if (!reports.empty()) merged.options = reports.front().second.options;
  merged.shards = incomplete.empty() ? std::vector{Shard{}} : incomplete;
  return merged;
}

}  // namespace dsv4
