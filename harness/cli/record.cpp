/// dsv4diff record: records the outputs of a kernel set as goldens. `dsv4diff verify` compares later sets with them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "harness/cli/command.h"
#include "harness/cli/filter_options.h"
#include "harness/cli/golden_options.h"
#include "harness/cli/sweep_options.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/golden/file.h"
#include "harness/golden/removal.h"
#include "harness/report/differing_cases.h"
#include "harness/workers/interrupt.h"

namespace dsv4 {
namespace {

/// Says where the outputs came from. The revision is left out, because recording the same outputs again after a commit
/// must change nothing. Git knows when a golden changed.
std::map<std::string, std::string> provenance_of(const Manifest& manifest) {
  auto provenance = origin_of(manifest);
  provenance.erase("revision");
  provenance["device"] = name_of(manifest.device);
  return provenance;
}

/// Describes how the golden file changed: "new", "unchanged", or the numbers of added, changed and removed cases.
std::string describe(const GoldenWriting& writing) {
  const GoldenDifference& d = writing.difference;
  if (writing.change == GoldenChange::kNew) return "new";
  if (writing.change == GoldenChange::kUnchanged) return "unchanged";
  if (!writing.damage.empty()) return fmt::format("replaced one that could not be read ({})", writing.damage);
  return fmt::format("{} added, {} changed, {} removed{}", d.added, d.changed, d.removed,
                     d.origin ? ", other provenance" : "");
}

/// Describes the cases of the golden at `path` that the set cannot run any more; "" if there are none.
std::string unanswered(const std::string& path, const std::string& op, const SweepResult& swept) {
  std::map<std::string, std::string> lacking;  // id -> why
  for (const CaseResult& r : swept.results) {
    if (r.verdict == Verdict::kUnsupported && r.op() == op) lacking[r.id] = r.reason;
  }
  if (lacking.empty()) return "";
  std::size_t lost = 0;
  std::string first;
  try {
    for (const GoldenEntry& e : read_golden(path, op).entries) {
      const auto it = lacking.find(e.id);
      if (it != lacking.end() && ++lost == 1) first = fmt::format("{}: {}", it->first, it->second);
    }
  } catch (const Error&) {
    return "";  // there is no readable golden, so nothing is lost
  }
  return lost == 0 ? "" : fmt::format("{} of its golden ({})", count_of(lost, "case"), first);
}

class RecordCommand final : public Command {
 public:
  std::string name() const override { return "record"; }
  std::string summary() const override { return "Record the outputs of a kernel set as golden files"; }
  std::string group() const override { return "Goldens"; }
  std::string details() const override {
    return "Writes <golden>/<op>/<set>.h5 and .txt for every selected op that the set has. An op is not written if\n"
           "one of its cases is an error. Recording again changes no file if nothing changed.\n"
           "Cases that an op does not have any more are removed. Cases that --tier or the set leaves out are\n"
           "removed only with --prune.\n"
           "An op is not written either if cases that passed at the last recording now fail, unless\n"
           "--accept-failures is given.\n"
           "Exit status: 0 all ops were written, 1 an op was not written or outputs differ from the reference\n"
           "(such outputs are recorded with their verdict), 2 the command or the environment is wrong or dsv4diff\n"
           "itself fails, 130 after Ctrl-C (then nothing is written).";
  }

  void add_options(CLI::App& app) override {
    app.add_option("--set", set_, "Kernel set to record, by name or folder")->type_name("SET")->required();
    filter_.add_op(app);
    filter_.add_tier(app);
    app.add_option("--golden", golden_, "Folder of goldens (default: the one that comes with the tool, or ./golden)")
        ->type_name("FOLDER")
        ->check(not_empty());
    app.add_flag("--prune", prune_,
                 "Also remove cases of higher tiers, and cases that the set cannot run, from the goldens");
    app.add_flag("--dry-run", dry_run_, "Run the cases and say what would change, but write nothing");
    app.add_flag("--accept-failures", accept_failures_,
                 "Also record cases that fail now and passed when they were last recorded");
    add_show(app, shown_);
    screen_.add(app);
    workers_.add(app);
  }

  int run() override {
    const CaseFilter filter = filter_.filter();
    const auto ops = select_ops(filter.ops);
    const ChosenSet set = choose_set(set_);
    const std::string root = dry_run_ ? golden_root(golden_) : golden_root_to_write(golden_);
    std::vector<Case> cases;
    std::vector<const Op*> recording;
    for (const Op* op : ops) {
      if (!set.manifest.has_op(op->info().name)) {
        print(fmt::format("{}: not recorded, the set has no such op\n", op->info().name));
        continue;
      }
      golden_path(root, op->info().name, set.manifest.name);  // refuses a name that no golden can have
      recording.push_back(op);
      std::ranges::move(recordable_cases(*op, filter.tier), std::back_inserter(cases));
    }
    if (cases.empty())
      throw Error(fmt::format("no case is selected, because set '{}' has none of these ops", set.label));
    if (!prune_) require_no_higher_tiers(root, set.manifest.name, recording, filter.tier);

    const Manifest reference = find_set("reference");
    require_intact_sets({&set.manifest, &reference}, in_running_order(cases));
    const InterruptGuard interrupts;
    const auto journal = workers_.journal();
    SweepOptions options = workers_.sweep_options(set, "reference", {"--record", "--against-label", "reference"},
                                                  {"run", "--set", set.label});
    options.journal = journal.get();
    options.progress.total = cases.size();
    std::map<std::string, Golden> goldens;
    options.on_answer = [&](const CaseAnswer& answer) {
      if (!answer.entry.is_null()) goldens[answer.result.op()].entries.push_back(answer.entry.get<GoldenEntry>());
    };
    announce(set, "reference", cases.size(), options);
    const SweepResult swept = sweep(options, source_of(in_running_order(cases)));
    if (!swept.failure.empty()) throw Error(swept.failure + "; nothing is written");
    if (InterruptGuard::signal() != 0) {
      print("interrupted: nothing is written\n");
      return 128 + InterruptGuard::signal();
    }
    return with_journal(write(set, root, swept, goldens), *journal);
  }

 private:
  /// Writes the goldens of all ops. If the files of one op cannot be replaced, the others are still written.
  int write(const ChosenSet& set, const std::string& root, const SweepResult& swept,
            std::map<std::string, Golden>& goldens) const {
    std::map<std::string, Tally> tallies;
    for (const CaseResult& r : swept.results) {
      tallies[r.op()].add(r);
    }
    const Layout layout = screen_.layout();
    const std::size_t rows = kScreenRows - std::min(kScreenRows, tallies.size());
    if (const std::string text = differing_cases(swept.results, {.shown = shown_, .rows = rows, .layout = layout});
        !text.empty()) {
      print(text.substr(1) + "\n");
    }
    int status = 0;
    for (const auto& [op, tally] : tallies) {
      if (tally.differing() != 0) status = std::max(status, 1);
      if (tally.of(Verdict::kError) != 0) {
        print(fmt::format("{}: not recorded, {} of {} ended with an error\n", op, tally.of(Verdict::kError),
                          count_of(tally.cases(), "case")));
        continue;
      }
      Golden& golden = goldens[op];
      if (golden.entries.empty()) {
        print(fmt::format("{}: not recorded, this set can run none of its cases\n", op));
        continue;
      }
      golden.op = op;
      golden.set = set.manifest.name;
      golden.provenance = provenance_of(set.manifest);
      const std::string path = golden_path(root, op, golden.set);
      if (const std::string lost = prune_ ? "" : unanswered(path, op, swept); !lost.empty()) {
        print(
            fmt::format("{}: not recorded, because the set cannot run {}; --prune removes them\n", op, one_line(lost)));
        status = std::max(status, 1);
        continue;
      }
      const std::string count = count_of(golden.entries.size(), "case");
      GoldenPreview preview;
      std::string what;
      try {
        preview = preview_golden(path, golden);
        if (!accept_failures_ && !preview.failing.empty()) {
          print(
              fmt::format("{}: not recorded, because {} passed at the last recording and now {}, such as {}; "
                          "--accept-failures records {}\n",
                          op, count_of(preview.failing.size(), "case"), preview.failing.size() == 1 ? "fails" : "fail",
                          preview.failing.front(), preview.failing.size() == 1 ? "it" : "them"));
          print(moved(preview, layout));
          status = std::max(status, 1);
          continue;
        }
        what = describe(dry_run_ ? preview.writing : write_golden(path, golden));
      } catch (const Error& e) {
        say(fmt::format("dsv4diff record: {}", one_line(e.what())));
        status = 2;
        continue;
      }
      print(fmt::format("{}: {}, {}: {}\n", op, count, one_line(what), one_line(path)));
      print(moved(preview, layout));
    }
    if (dry_run_) print("--dry-run: nothing was written\n");
    return status;
  }

  /// Says how far the outputs moved since the last recording, for the cases with the farthest outputs.
  [[nodiscard]] std::string moved(const GoldenPreview& preview, const Layout& layout) const {
    const std::size_t listed = std::min(shown_.value_or(kMostMoved), preview.moved.size());
    std::string text;
    for (std::size_t i = 0; i < listed; ++i) {
      const Movement& m = preview.moved[i];
      text += lines_of(layout, fmt::format("  {} of {}: {}", m.output, m.id, describe(m)), 4);
    }
    if (preview.moved.size() > listed) {
      const std::size_t rest = preview.moved.size() - listed;
      text += lines_of(
          layout, fmt::format("  {} moved{}: --show N lists more of them",
                              count_of(rest, listed == 0 ? "output" : "more output"), listed == 0 ? "" : " less far"));
    }
    return text;
  }

  static constexpr std::size_t kMostMoved = 5;

  std::string set_;
  FilterOptions filter_;
  std::string golden_;
  bool prune_ = false;
  bool dry_run_ = false;
  bool accept_failures_ = false;
  std::optional<std::size_t> shown_;
  ScreenOptions screen_;
  WorkerOptions workers_;
};

DSV4_REGISTER_COMMAND(RecordCommand);

}  // namespace
}  // namespace dsv4
