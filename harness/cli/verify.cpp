/// dsv4diff verify: compares a kernel set with recorded goldens.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "harness/cli/command.h"
#include "harness/cli/filter_options.h"
#include "harness/cli/golden_gaps.h"
#include "harness/cli/golden_options.h"
#include "harness/cli/lacking.h"
#include "harness/cli/sweep_options.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/golden/file.h"
#include "harness/op/op.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

class VerifyCommand final : public Command {
 public:
  std::string name() const override { return "verify"; }
  std::string summary() const override { return "Compare a kernel set with golden files"; }
  std::string group() const override { return "Goldens"; }
  std::string details() const override {
    return "The cases are those of the golden files. The command writes only reports.\n"
           "Exit status: the same as for 'dsv4diff run'.";
  }

  void add_options(CLI::App& app) override {
    sets_.add(app);
    app.add_option("--golden", golden_,
                   "Folder of goldens, or one file (default: the one that comes with the tool, or ./golden)")
        ->type_name("PATH")
        ->check(not_empty());
    repeatable(app.add_option("--recorded", recorded_,
                              "Only goldens that were recorded from this set (default: all). May be repeated"))
        ->type_name("SET");
    filter_.add_basic(app);
    exact_.add(app);
    app.add_flag("--require-all", require_all_,
                 "Status 1 if an op of the set, or a case of the quick tier, has no golden");
    filter_.add_reruns(app);
    workers_.add(app);
    workers_.add_ends(app);
    reports_.add(app);
  }

  int run() override {
    const auto start = std::chrono::steady_clock::now();
    CaseFilter filter = filter_.filter();
    if (!filter_.sequence().empty()) filter.cases = filter_.sequence();
    const auto goldens = find_goldens(golden_, recorded_);
    if (!filter_.sequence().empty() && !workers_.resumed_file().empty()) {
      throw Error("--sequence runs all its cases, so it cannot be combined with --resume");
    }
    if (!filter_.sequence().empty() && goldens.size() > 1) {
      throw Error("--sequence: choose the goldens by --recorded SET, because there are goldens of several sets");
    }
    const auto sets = sets_.chosen();
    reports_.check({{"--journal", workers_.journal_file()}, {"--last-failed", filter_.last_failed()}});
    require_recorded_ops(filter, goldens);
    // Read all golden files before any case runs. Then a damaged file is reported now instead of by a worker during
    // the sweep.
    std::vector<std::vector<std::string>> ids;
    std::vector<RecordedIds> recorded;
    std::set<std::string> unmatched(filter.cases.begin(), filter.cases.end());
    for (const RecordedSet& r : goldens) {
      recorded.emplace_back();
      ids.push_back(select(r, filter, unmatched, recorded.back()));
    }
    if (!unmatched.empty()) refuse_case(*unmatched.begin());
    leave_out(filter, ids);
    const Manifest reference = find_set("reference");
    std::vector<const Manifest*> manifests{&reference};
    for (const ChosenSet& set : sets) manifests.push_back(&set.manifest);
    for (const auto& list : ids) require_intact_sets(manifests, list);
    if (std::ranges::all_of(ids, [](const auto& list) { return list.empty(); })) {
      throw Error(fmt::format("no case is selected: no golden has a case that passes the filters and is in shard {}/{}",
                              filter.shard.index, filter.shard.count));
    }

    RunReport report;
    report.command = name();
    report.version = DSV4_VERSION;
    report.options = filter_.described();
    report.options["known"] = workers_.keep_known() ? "excused" : "fail";
    report.options.erase("tier");
    report.options.erase("seed");
    if (exact_.given()) report.options["exact"] = "yes";
    report.require_all = require_all_;
    report.shards = {filter.shard};
    const InterruptGuard interrupts;
    const auto journal = workers_.journal();
    reports_.begin(report);
    for (const ChosenSet& set : sets) {
      const std::size_t first = report.runs.size();
      for (std::size_t i = 0; i < goldens.size() && report.signal == 0; ++i) {
        if (ids[i].empty()) continue;
        // One golden file asks for its op.
        const LackingOps lacking(filter_of_gaps(filter, goldens), set.manifest);
        sweep_one(set, goldens[i], lacking.left(ids[i]), *journal, report);
        report.runs.back().not_covered.merge(lacking.not_covered(goldens[i].files));
      }
      if (first == report.runs.size()) continue;
      report.runs[first].not_covered.merge(golden_gaps(set.manifest, expected_goldens(set.manifest, goldens, recorded),
                                                       filter_of_gaps(filter, goldens)));
    }
    report.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return with_journal(reports_.publish(report), *journal);
  }

 private:
  /// Throws Error if an --op matches no op that has a golden.
  static void require_recorded_ops(const CaseFilter& filter, const std::vector<RecordedSet>& goldens) {
    std::set<std::string> ops;
    for (const RecordedSet& r : goldens) {
      for (const auto& [op, file] : r.files) ops.insert(op);
    }
    const std::vector<std::string> names(ops.begin(), ops.end());
    for (const std::string& glob : filter.ops) {
      if (std::ranges::any_of(names, [&](const std::string& op) { return glob_match(glob, op); })) continue;
      throw Error(
          fmt::format("--op {}: no op of this name has a golden{}; {} ops have one, each in a folder of its name",
                      shortened(glob), did_you_mean(glob, names), names.size()));
    }
  }

  /// If --golden names one file, the user asks for the op of this file only.
  static CaseFilter filter_of_gaps(CaseFilter filter, const std::vector<RecordedSet>& goldens) {
    if (goldens.size() == 1 && goldens.front().set.empty()) filter.ops = {goldens.front().files.begin()->first};
    return filter;
  }

  /// Removes the cases that --exclude leaves out.
  static void leave_out(const CaseFilter& filter, std::vector<std::vector<std::string>>& ids) {
    std::set<std::string> unmatched(filter.excludes.begin(), filter.excludes.end());
    for (auto& list : ids) {
      std::erase_if(list, [&](const std::string& id) { return excluded(filter, id, unmatched); });
    }
    // An op that has no golden may be left out too.
    for (const Op* op : all_ops()) {
      std::erase_if(unmatched, [&](const std::string& glob) { return glob_match(glob, op->info().name); });
    }
    require_matched_excludes(unmatched);
  }

  /// Returns the ids of the recorded cases that pass the filters. Removes from `unmatched` each --case that matches a
  /// recorded case of a selected op. Adds the recorded cases of all selected ops to `all`.
  static std::vector<std::string> select(const RecordedSet& recorded, const CaseFilter& filter,
                                         std::set<std::string>& unmatched, RecordedIds& all) {
    std::vector<std::string> ids;
    for (const auto& [op, file] : recorded.files) {
      if (!filter.ops.empty() && !any_glob_match(filter.ops, op)) continue;
      for (const GoldenEntry& e : read_golden(file, op).entries) {
        all[op].insert(e.id);
        std::erase_if(unmatched, [&](const std::string& glob) { return glob_match(glob, e.id); });
        const bool wanted = filter.cases.empty() || any_glob_match(filter.cases, e.id);
        if (wanted && filter.shard.contains(e.id)) ids.push_back(e.id);
      }
    }
    return ids;
  }

  [[noreturn]] static void refuse_case(const std::string& wanted) {
    if (!is_glob(wanted)) checked_case(wanted);  // throws a better message if the id is invalid
    throw Error(
        fmt::format("--case '{}': these goldens have no such case; contracts, relations and sequences "
                    "have no goldens; 'dsv4diff record' records other cases",
                    shortened(wanted)));
  }

  void sweep_one(const ChosenSet& set, const RecordedSet& recorded, const std::vector<std::string>& ids,
                 Journal& journal, RunReport& report) const {
    if (workers_.fail_fast() && report.total().differing() != 0) return;
    std::vector<std::string> mode{"--against-label", recorded.against};
    for (const auto& [op, file] : recorded.files) {
      mode.emplace_back("--golden");
      mode.push_back(op + "=" + file);
    }
    std::vector<std::string> again{"verify", "--set", set.label};
    if (!golden_.empty()) again.insert(again.end(), {"--golden", golden_});
    if (!recorded.set.empty()) again.insert(again.end(), {"--recorded", recorded.set});
    exact_.add_to(mode, again);
    SweepOptions options = workers_.sweep_options(set, recorded.against, mode, again);
    options.journal = &journal;
    const auto& sequence = filter_.sequence();
    options.progress.total = sequence.empty() ? ids.size() : sequence.size();
    if (!sequence.empty()) options.pool.jobs = 1;
    announce(set, recorded.against, options.progress.total, options);
    SweepResult swept = sequence.empty() ? sweep(options, source_of(ids)) : sweep_sequence(options, sequence);
    SetRun run = describe_run(set, recorded.against, options.policy);
    run.results = std::move(swept.results);
    run.warnings.insert(run.warnings.end(), swept.notes.begin(), swept.notes.end());
    run.wall_seconds = swept.seconds;
    report.runs.push_back(std::move(run));
    report.jobs = std::max(report.jobs, options.pool.jobs);
    if (report.failure.empty()) report.failure = swept.failure;
    report.signal = InterruptGuard::signal();
  }

  SetOptions sets_;
  std::string golden_;
  std::vector<std::string> recorded_;
  ExactOption exact_;
  bool require_all_ = false;
  FilterOptions filter_;
  WorkerOptions workers_;
  ReportOptions reports_;
};

DSV4_REGISTER_COMMAND(VerifyCommand);

}  // namespace
}  // namespace dsv4
