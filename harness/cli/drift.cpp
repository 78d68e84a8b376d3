/// dsv4diff drift: shows how the errors of kernel sets against the reference differ, also within the tolerances.
#include "harness/drift/drift.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "harness/cli/command.h"
#include "harness/cli/drift_sides.h"
#include "harness/cli/filter_options.h"
#include "harness/cli/screen.h"
#include "harness/cli/sweep_options.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/drift/drift_text.h"
#include "harness/report/write.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

class DriftCommand final : public Command {
 public:
  std::string name() const override { return "drift"; }
  std::string summary() const override { return "Show how the errors of kernel sets differ within the tolerances"; }
  std::string details() const override {
    return "Compares each further side with the first one. A side is a set, or a results file of\n"
           "'dsv4diff run --errors --own-seeds --json FILE'. Each case of the tier has its own seed, so data do not "
           "repeat.\n"
           "Exit status: 0 no shift, 1 a shift, a case that is wrong on one side only or an error, 2 the command or\n"
           "the environment is wrong, or no output of a pair was decided, 130 after Ctrl-C.";
  }

  void add_options(CLI::App& app) override {
    app.add_option("sides", names_, "Kernel sets by name or folder, or results files with the statistics of errors")
        ->type_name("SET|FILE")
        ->required()
        ->expected(-2)
        ->check(not_empty());
    filter_.add(app);
    workers_.add(app);
    app.add_option("--json", json_, "Write all statistics and tests to this file")
        ->type_name("FILE")
        ->check(not_empty());
    app.add_flag("-v,--verbose", all_, "Show the histograms of every output, not only of those with a shift");
    screen_.add(app);
  }

  int run() override {
    const std::vector<DriftSide> sides = sides_of(names_);
    const bool files = std::ranges::any_of(sides, &DriftSide::is_file);
    const bool sets = !std::ranges::all_of(sides, &DriftSide::is_file);
    check_json(sides);
    CaseFilter filter = filter_.filter();
    filter.own_seeds = true;
    const std::vector<std::string> ids = sets ? calls_of(filter) : std::vector<std::string>{};
    require_intact(sides, ids);
    if (!json_.empty())
      replace_old_report(json_, nlohmann::json{{"command", name()}, {"unfinished", true}}.dump(1) + "\n");

    const InterruptGuard interrupts;
    const auto journal = workers_.journal();
    DriftSweeps sweeps{.workers = workers_, .journal = *journal, .filter = filter, .ids = ids};
    std::vector<PairDrift> pairs = files ? sweeps.of_runs(sides) : sweeps.of_sets(sides);
    find_shifts(pairs);
    const int signal = InterruptGuard::signal();
    int status = signal != 0 ? 128 + signal : sweeps.failure.empty() ? exit_status(pairs) : 2;
    print(drift_text(pairs, screen_.layout(), all_));
    flush_output();
    for (const std::string& note : notes(sides)) say(fmt::format("dsv4diff drift: {}", one_line(note)));
    if (!sweeps.failure.empty()) say(fmt::format("dsv4diff drift: {}", one_line(sweeps.failure)));
    if (signal != 0) say("dsv4diff drift: interrupted; the result is of the cases that ran");
    return with_journal(written(pairs, status), *journal);
  }

 private:
  void check_json(const std::vector<DriftSide>& sides) const {
    if (json_.empty()) return;
    check_report_path("--json", json_);
    for (const DriftSide& side : sides) {
      if (side.is_file() && same_file(json_, side.label))
        throw Error(
            fmt::format("--json {}: this file is a side of the comparison, and would be replaced; choose another name",
                        shortened(json_)));
    }
    if (!workers_.journal_file().empty() && same_file(json_, workers_.journal_file()))
      throw Error(fmt::format("--json {}: --journal names the same file, which would be replaced; choose another name",
                              shortened(json_)));
  }

  /// The selected cases without those that have a scenario, in running order.
  static std::vector<std::string> calls_of(const CaseFilter& filter) {
    std::vector<Case> cases = select_cases(filter);
    std::erase_if(cases, [](const Case& c) { return !c.scenario.empty(); });
    if (cases.empty()) {
      throw Error(
          "the filters select only contracts, relations and sequences; they test one set alone, so drift has "
          "nothing to compare. 'dsv4diff run' runs them");
    }
    return in_running_order(cases);
  }

  static void require_intact(const std::vector<DriftSide>& sides, const std::vector<std::string>& ids) {
    const Manifest reference = find_set("reference");
    std::vector<const Manifest*> manifests{&reference};
    for (const DriftSide& side : sides) {
      if (side.set) manifests.push_back(&side.set->manifest);
    }
    if (!ids.empty()) require_intact_sets(manifests, ids);
  }

  static std::vector<std::string> notes(const std::vector<DriftSide>& sides) {
    std::vector<std::string> all;
    for (std::size_t i = 1; i < sides.size(); ++i) {
      if (!sides[0].set || !sides[i].set) continue;
      for (const std::string& note : describe_pair(sides[i].set->manifest, sides[0].set->manifest)) all.push_back(note);
    }
    return all;
  }

  [[nodiscard]] int written(const std::vector<PairDrift>& pairs, int status) const {
    if (json_.empty()) return status;
    nlohmann::json j = drift_json(pairs);
    j["command"] = name();
    j["version"] = DSV4_VERSION;
    j["options"] = filter_.described();
    j["exit_status"] = status;
    try {
      write_report(json_, j.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
      return status;
    } catch (const Error& e) {
      say(fmt::format("dsv4diff: {}", one_line(e.what())));
      return 2;
    }
  }

  std::vector<std::string> names_;
  FilterOptions filter_;
  WorkerOptions workers_;
  std::string json_;
  bool all_ = false;
  ScreenOptions screen_;
};

DSV4_REGISTER_COMMAND(DriftCommand);

}  // namespace
}  // namespace dsv4
