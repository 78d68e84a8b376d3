/// dsv4diff run: runs cases on a kernel set and on another set, and compares the outputs.
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "harness/cli/both_sides.h"
#include "harness/cli/command.h"
#include "harness/cli/filter_options.h"
#include "harness/cli/lacking.h"
#include "harness/cli/sweep_options.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

class RunCommand final : public Command {
 public:
  std::string name() const override { return "run"; }
  std::string summary() const override { return "Compare kernel sets with the reference"; }
  std::string details() const override {
    return "Exit status: 0 everything agrees (known faults are only counted), 1 something differs (failed, error\n"
           "or mistrusted cases), 2 the command or the environment is wrong or dsv4diff itself fails, 130 after\n"
           "Ctrl-C (the results so far are printed).";
  }

  void add_options(CLI::App& app) override {
    sets_.add(app);
    app.add_option("--against", against_, "Set to compare with")->type_name("SET")->capture_default_str();
    exact_.add(app);
    app.add_option("--baseline", baseline_,
                   "Compare this set with the reference too. Only what is new or changed since this set differs")
        ->type_name("SET")
        ->check(not_empty())
        ->excludes("--against");
    filter_.add(app);
    filter_.add_own_seeds(app);
    app.add_option("--soak", soak_seconds_, "Instead of a tier, run random cases for this time, or until Ctrl-C")
        ->type_name("SECONDS")
        ->check(positive_seconds())
        ->excludes("--tier")
        ->excludes("--baseline");
    filter_.add_reruns(app);
    app.add_option(
           "--dump", dump_,
           "New folder for the inputs, outputs and bounds of the cases that --case or --sequence names, as .npy")
        ->type_name("FOLDER")
        ->check(not_empty());
    app.add_flag("--errors", errors_,
                 "Add statistics of the errors against the reference to the results (--json), for 'dsv4diff drift'")
        ->excludes("--against");
    workers_.add(app);
    workers_.add_ends(app);
    reports_.add(app);
  }

  int run() override {
    const auto start = Clock::now();
    const CaseFilter filter = filter_.filter();
    const bool soak = soak_seconds_ > 0;
    if (soak && !filter.cases.empty()) throw Error("--soak makes its own cases, so it cannot be combined with --case");
    const std::vector<std::string> sequence = checked_sequence();
    if (soak && !sequence.empty()) throw Error("--soak makes its own cases, so it cannot be combined with --sequence");
    if (!sequence.empty() && !workers_.resumed_file().empty())
      throw Error("--sequence runs all its cases, so it cannot be combined with --resume");
    const auto cases = soak || !sequence.empty() ? std::vector<Case>{} : select_cases(filter);
    const auto ops = select_ops(filter.ops);
    const auto sets = sets_.chosen();
    const ChosenSet against = choose_set(against_);
    const bool kernels = !is_reference(against);
    if (exact_.given() && !kernels) {
      throw Error(
          "--exact demands the bits of a kernel set, so it needs --against SET; the reference has no such bits");
    }
    const auto base_set = baseline_.empty() ? std::nullopt : std::optional(choose_set(baseline_));
    if (base_set && !sequence.empty()) throw Error("--sequence cannot be combined with --baseline");
    const std::vector<std::string> ids = !sequence.empty() ? sequence : in_running_order(cases);
    check_sets(sets, against, base_set, ops, soak ? std::vector<std::string>{} : ids);
    reports_.check({{"--journal", workers_.journal_file()}, {"--last-failed", filter_.last_failed()}});
    make_dump_folder(filter);

    RunReport report;
    report.command = name();
    report.version = DSV4_VERSION;
    report.options = filter_.described();
    report.options["known"] = workers_.keep_known() ? "excused" : "fail";
    if (soak) report.options["tier"] = "soak";
    if (exact_.given()) report.options["exact"] = "yes";
    if (errors_) report.options["errors"] = "yes";
    if (base_set) report.options["baseline"] = base_set->label;
    report.shards = {filter.shard};
    report.open_ended = soak;
    const InterruptGuard interrupts;
    const auto journal = workers_.journal();
    reports_.begin(report);
    std::optional<Baseline> base;
    std::vector<std::string> again;
    if (base_set) {
      base.emplace(*base_set, ids, workers_, *journal);
      again = {"--baseline", base_set->label};
    }
    for (const ChosenSet& set : sets) {
      const LackingOps lacking(filter, set.manifest, &against.manifest);
      const auto possible = sequence.empty() ? lacking.left(ids) : ids;
      SweepOptions options = options_against(set, against, workers_, again, exact_);
      if (errors_) options.pool.command.emplace_back("--errors");
      if (!dump_.empty()) {
        const std::string folder = std::filesystem::absolute(dump_).string();
        options.pool.command.insert(options.pool.command.end(), {"--dump", folder});
        options.confirm.most = 0;  // the second try of a case would replace its files
      }
      options.judge = [&](SweepResult& swept) {
        if (kernels) excuse_what_is_alike(swept, set, against, workers_, *journal);
        if (base) base->judge(swept, set);
      };
      options.journal = journal.get();
      if (soak) {
        options.progress.seconds = soak_seconds_;
      } else {
        options.progress.total = possible.size();
      }
      if (!sequence.empty()) options.pool.jobs = 1;
      announce(set, against.label, options.progress.total, options);
      SweepResult swept = !sequence.empty() ? sweep_sequence(options, sequence)
                          : soak            ? sweep(options, random_cases(lacking.left(ops), filter))
                                            : sweep(options, source_of(possible));
      SetRun run = describe_run(set, against.label, options.policy);
      run.baseline = baseline_;
      run.not_covered.merge(lacking.not_covered());
      run.results = std::move(swept.results);
      for (const auto& notes : {describe_pair(set.manifest, against.manifest), swept.notes}) {
        run.warnings.insert(run.warnings.end(), notes.begin(), notes.end());
      }
      run.wall_seconds = swept.seconds;
      report.runs.push_back(std::move(run));
      report.jobs = std::max(report.jobs, options.pool.jobs);
      if (report.failure.empty()) report.failure = swept.failure;
      report.signal = InterruptGuard::signal();
      if (report.signal != 0 || (options.fail_fast && report.total().differing() != 0)) break;
    }
    report.wall_seconds = seconds_since(start);
    return with_journal(reports_.publish(report), *journal);
  }

 private:
  /// Refuses sets whose files were changed. `ids` is empty for a soak, which may run any case of `ops`.
  static void check_sets(const std::vector<ChosenSet>& sets, const ChosenSet& against,
                         const std::optional<ChosenSet>& baseline, const std::vector<const Op*>& ops,
                         std::vector<std::string> ids) {
    if (ids.empty()) {
      for (const Op* op : ops) ids.push_back(op->info().name);
    }
    const Manifest reference = find_set("reference");
    std::vector<const Manifest*> manifests{&against.manifest, &reference};
    for (const ChosenSet& set : sets) manifests.push_back(&set.manifest);
    if (baseline) manifests.push_back(&baseline->manifest);
    require_intact_sets(manifests, ids);
  }

  /// Makes the folder that --dump names. Refuses a folder with files, because old and new files could be mixed up.
  void make_dump_folder(const CaseFilter& filter) const {
    if (dump_.empty()) return;
    if (filter.cases.empty() && filter_.sequence().empty()) {
      throw Error("--dump writes every tensor of a case, so it needs --case ID or --sequence ID");
    }
    if (sets_.chosen().size() > 1) throw Error("--dump writes the files of one set, but several --set were given");
    std::error_code error;
    std::filesystem::create_directories(dump_, error);
    if (error) throw Error(fmt::format("--dump {}: {}", shortened(dump_), error.message()));
    if (!std::filesystem::is_empty(dump_, error) || error) {
      throw Error(fmt::format("--dump {}: the folder is not empty; name a new one", shortened(dump_)));
    }
  }

  /// Returns the canonical ids of the cases that --sequence names.
  std::vector<std::string> checked_sequence() const {
    std::vector<std::string> ids;
    for (const std::string& id : filter_.sequence()) ids.push_back(checked_case(id).id());
    return ids;
  }

  /// Returns random cases until the time is over. The ops follow one another in a cycle, and each case has the
  /// next seed.
  CaseSource random_cases(const std::vector<const Op*>& ops, const CaseFilter& filter) const {
    const auto start = Clock::now();
    return [this, start, ops, filter, n = std::uint64_t{0}]() mutable -> std::optional<std::string> {
      // Nearly all cases may belong to other shards, so this loop must check for an interrupt as well.
      while (!ops.empty() && seconds_since(start) < soak_seconds_ && InterruptGuard::signal() == 0) {
        std::string id = random_case(*ops[n % ops.size()], filter.seed + n).id();
        ++n;
        if (filter.shard.contains(id) && !excluded(filter, id)) return id;
      }
      return std::nullopt;
    };
  }

  SetOptions sets_;
  std::string against_ = "reference";
  std::string baseline_;
  ExactOption exact_;
  double soak_seconds_ = 0;
  std::string dump_;
  bool errors_ = false;
  FilterOptions filter_;
  WorkerOptions workers_;
  ReportOptions reports_;
};

DSV4_REGISTER_COMMAND(RunCommand);

}  // namespace
}  // namespace dsv4
