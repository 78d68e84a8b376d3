/// dsv4diff record: keeps what a kernel set answers today, for later sets to be held against.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "harness/cli/command.h"
#include "harness/cli/golden_options.h"
#include "harness/cli/sweep_options.h"
#include "harness/core/error.h"
#include "harness/golden/file.h"
#include "harness/report/terminal.h"
#include "harness/report/text.h"
#include "harness/run/interrupt.h"
#include "harness/run/select.h"

namespace dsv4 {
namespace {

/// What says where the answers came from. The revision stays out: recording the same answers again after a commit must
/// change nothing (git knows when a golden changed).
std::map<std::string, std::string> provenance_of(const Manifest& manifest) {
  auto provenance = manifest.provenance;
  provenance.erase("revision");
  provenance["device"] = name_of(manifest.device);
  return provenance;
}

class RecordCommand final : public Command {
 public:
  std::string name() const override { return "record"; }
  std::string summary() const override { return "Keep what a kernel set answers, as golden files"; }
  std::string group() const override { return "Goldens"; }
  std::string details() const override {
    return "Writes <golden>/<op>/<set>.h5 and .txt for every op that is selected and that the set has. An op of which "
           "a\n"
           "case has no answer (error) is not written. Recording again with nothing changed changes no file.\n"
           "Exit status: 0 all written, 1 an op was not written or an answer differs from the reference (it is "
           "recorded\n"
           "with that verdict), 2 the call or the environment is at fault, 130 interrupted (nothing is written).";
  }

  void add_options(CLI::App& app) override {
    app.add_option("--set", set_, "Kernel set to record, by name or folder")->type_name("SET")->required();
    app.add_option("--op", ops_, "Only ops whose name matches. May be repeated")
        ->type_name("GLOB")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false);
    app.add_option("--tier", tier_, "smoke, quick or full")->type_name("TIER")->capture_default_str();
    app.add_option("--golden", golden_, "Folder of goldens (default: the one that comes with the tool, or ./golden)")
        ->type_name("FOLDER");
    workers_.add(app);
  }

  int run() override {
    const Tier tier = tier_from_name(tier_);
    const auto ops = select_ops(ops_);
    const ChosenSet set = choose_set(set_);
    std::vector<Case> cases;
    for (const Op* op : ops) {
      if (!set.manifest.has_op(op->info().name)) {
        fmt::print("{}: not recorded, the set has no such op\n", op->info().name);
        continue;
      }
      for (Case& c : cases_of(*op, tier)) {
        if (c.scenario.empty()) cases.push_back(std::move(c));
      }
    }
    if (cases.empty()) throw Error(fmt::format("no case is selected: set '{}' has none of these ops", set.label));

    const InterruptGuard interrupts;
    const auto journal = workers_.journal();
    SweepOptions options = workers_.sweep_options(set, "reference", {"--record", "--against-label", "reference"});
    options.journal = journal.get();
    options.progress.total = cases.size();
    std::map<std::string, Golden> goldens;
    options.read = [&](const nlohmann::json& answer) {
      auto result = answer.get<CaseResult>();
      if (answer.contains("entry")) goldens[result.op()].entries.push_back(answer.at("entry").get<GoldenEntry>());
      return result;
    };
    announce(set, "reference", cases.size(), options);
    const SweepResult swept = sweep(options, source_of(in_running_order(cases)));
    if (!swept.failure.empty()) throw Error(swept.failure + "; nothing is written");
    if (InterruptGuard::signal() != 0) {
      fmt::print("interrupted: nothing is written\n");
      return 128 + InterruptGuard::signal();
    }
    return write(set, swept, goldens);
  }

 private:
  int write(const ChosenSet& set, const SweepResult& swept, std::map<std::string, Golden>& goldens) const {
    std::map<std::string, Tally> tallies;
    for (const CaseResult& r : swept.results) {
      tallies[r.op()].add(r);
      if (r.verdict == Verdict::kError || r.verdict == Verdict::kFailed) fmt::print("{}\n", describe_case(r));
    }
    int status = 0;
    for (const auto& [op, tally] : tallies) {
      if (tally.differing() != 0) status = 1;
      if (tally.of(Verdict::kError) != 0) {
        fmt::print("{}: not recorded, {} of {} cases have no answer\n", op, tally.of(Verdict::kError), tally.cases());
        continue;
      }
      Golden& golden = goldens[op];
      if (golden.entries.empty()) {
        fmt::print("{}: not recorded, no case can be run by this set\n", op);
        continue;
      }
      golden.op = op;
      golden.set = set.manifest.name;
      golden.provenance = provenance_of(set.manifest);
      const std::string path = golden_path(golden_root(golden_), op, golden.set);
      const auto count = golden.entries.size();
      const GoldenChange change = write_golden(path, std::move(golden));
      const char* what = change == GoldenChange::kNew         ? "new"
                         : change == GoldenChange::kUnchanged ? "unchanged"
                                                              : "changed";
      fmt::print("{}: {} cases, {}: {}\n", op, count, what, one_line(path));
    }
    return status;
  }

  std::string set_;
  std::vector<std::string> ops_;
  std::string tier_ = "quick";
  std::string golden_;
  WorkerOptions workers_;
};

DSV4_REGISTER_COMMAND(RecordCommand);

}  // namespace
}  // namespace dsv4
