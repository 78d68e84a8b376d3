/// dsv4diff verify: holds a kernel set against what was recorded.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "harness/cli/command.h"
#include "harness/cli/filter_options.h"
#include "harness/cli/golden_options.h"
#include "harness/cli/sweep_options.h"
#include "harness/core/error.h"
#include "harness/golden/file.h"
#include "harness/run/interrupt.h"

namespace dsv4 {
namespace {

class VerifyCommand final : public Command {
 public:
  std::string name() const override { return "verify"; }
  std::string summary() const override { return "Hold a kernel set against golden files: did anything change?"; }
  std::string group() const override { return "Goldens"; }
  std::string details() const override {
    return "The cases are those of the golden files. Nothing is ever written but reports.\n"
           "Exit status: as of 'dsv4diff run'.";
  }

  void add_options(CLI::App& app) override {
    app.add_option("--set", sets_,
                   "Kernel set under test, by name or folder (default: cuda where there is a GPU, else host). May be "
                   "repeated")
        ->type_name("SET")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false);
    app.add_option("--golden", golden_,
                   "Folder of goldens, or one file (default: the one that comes with the tool, or ./golden)")
        ->type_name("PATH");
    app.add_option("--recorded", recorded_, "Only what was recorded from this set (default: all). May be repeated")
        ->type_name("SET")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false);
    filter_.add_basic(app);
    workers_.add(app);
    reports_.add(app);
  }

  int run() override {
    const auto start = std::chrono::steady_clock::now();
    const CaseFilter filter = filter_.filter();
    const auto goldens = find_goldens(golden_, recorded_);
    const auto sets = choose_sets(sets_);
    reports_.check();
    // All files are read before anything runs: a damaged one is found now and not by a worker in the middle.
    std::vector<std::vector<std::string>> ids;
    for (const RecordedSet& r : goldens) ids.push_back(select(r, filter));
    if (std::ranges::all_of(ids, [](const auto& list) { return list.empty(); })) {
      throw Error("no case is selected: no golden has a case that passes the filters");
    }

    RunReport report;
    report.command = name();
    report.version = DSV4_VERSION;
    report.options = filter_.described();
    report.options["known"] = workers_.keep_known() ? "excused" : "fail";
    report.options.erase("tier");
    report.options.erase("seed");
    report.shards = {filter.shard};
    const InterruptGuard interrupts;
    const auto journal = workers_.journal();
    for (const ChosenSet& set : sets) {
      for (std::size_t i = 0; i < goldens.size() && report.signal == 0; ++i) {
        if (ids[i].empty()) continue;
        sweep_one(set, goldens[i], ids[i], *journal, report);
      }
    }
    report.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return reports_.publish(report);
  }

 private:
  static std::vector<std::string> select(const RecordedSet& recorded, const CaseFilter& filter) {
    const auto matches = [](const std::vector<std::string>& globs, const std::string& text) {
      return globs.empty() || std::ranges::any_of(globs, [&](const std::string& g) { return glob_match(g, text); });
    };
    std::vector<std::string> ids;
    for (const auto& [op, file] : recorded.files) {
      if (!matches(filter.ops, op)) continue;
      for (const GoldenEntry& e : read_golden(file, op).entries) {
        if (matches(filter.cases, e.id) && filter.shard.contains(e.id)) ids.push_back(e.id);
      }
    }
    return ids;
  }

  void sweep_one(const ChosenSet& set, const RecordedSet& recorded, const std::vector<std::string>& ids,
                 Journal& journal, RunReport& report) const {
    std::vector<std::string> mode{"--against-label", recorded.against};
    for (const auto& [op, file] : recorded.files) {
      mode.emplace_back("--golden");
      mode.push_back(op + "=" + file);
    }
    SweepOptions options = workers_.sweep_options(set, recorded.against, mode);
    options.journal = &journal;
    options.progress.total = ids.size();
    announce(set, recorded.against, ids.size(), options);
    SweepResult swept = sweep(options, source_of(ids));
    SetRun run = describe_run(set, recorded.against);
    run.results = std::move(swept.results);
    run.wall_seconds = swept.seconds;
    report.runs.push_back(std::move(run));
    report.jobs = std::max(report.jobs, options.pool.jobs);
    if (report.failure.empty()) report.failure = swept.failure;
    report.signal = InterruptGuard::signal();
  }

  std::vector<std::string> sets_;
  std::string golden_;
  std::vector<std::string> recorded_;
  FilterOptions filter_;
  WorkerOptions workers_;
  ReportOptions reports_;
};

DSV4_REGISTER_COMMAND(VerifyCommand);

}  // namespace
}  // namespace dsv4
