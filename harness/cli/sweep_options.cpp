#include "harness/cli/sweep_options.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/cli/command.h"
#include "harness/cli/set_code.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/core/paths.h"
#include "harness/core/shell.h"
#include "harness/core/text.h"
#include "harness/report/junit.h"
#include "harness/report/markdown.h"
#include "harness/report/summary.h"
#include "harness/report/terminal.h"
#include "harness/report/write.h"
#include "harness/run/known_faults.h"
#include "harness/sets/coverage.h"
#include "harness/sets/sanitizer.h"

namespace dsv4 {
namespace {

constexpr int kMostJobs = 1024;
/// Workers compute the reference most of the time, so several of them can share a GPU. Each needs memory of the GPU.
constexpr int kCudaJobs = 8;

int usable_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  return ::sched_getaffinity(0, sizeof cores, &cores) == 0 ? std::max(1, CPU_COUNT(&cores)) : 1;
}

/// Says how to find the instruction of a wrong memory access: the command that runs the case with AddressSanitizer.
/// `again` is the command that runs it with this program, without the case.
std::string advice_on_crash(const ChosenSet& set, std::vector<std::string> again, const std::string& id) {
  if (set.manifest.device == DeviceKind::kCuda || !sanitizer_of_program().empty()) return "";
  // scripts/setup builds these sets with AddressSanitizer. The user must build any other set.
  const bool built_by_setup = set.label == "host" || (set.label.starts_with("sglang-") && set.label.ends_with("-host"));
  if (!built_by_setup) return "AddressSanitizer names the line, if the set is built with it (docs/host-execution.md)";
  const std::filesystem::path folder = std::filesystem::path(again[0]).parent_path();
  const std::filesystem::path build = folder.empty() ? std::filesystem::path("build") : folder;
  again[0] = (build / "../build-asan/dsv4diff").lexically_normal().string();
  again.insert(again.end(), {"--case", id});
  std::error_code none;
  const bool ready =
      std::filesystem::exists(std::filesystem::path(executable_folder()) / "../build-asan/sets" / set.label, none);
  return fmt::format("AddressSanitizer names the line: {}{}", shell_command(again),
                     ready ? "" : " (scripts/setup --with-sanitizers builds it)");
}

}  // namespace

std::optional<std::string> default_known_faults() { return find_data("known_faults.json"); }

void WorkerOptions::add(CLI::App& app) {
  app.add_option("--jobs", jobs_,
                 fmt::format("Number of worker processes (default: one per core, here {}; at most {} on a GPU)",
                             usable_cores(), kCudaJobs))
      ->type_name("N")
      ->check(number_of_jobs(kMostJobs));
  app.add_option("--timeout", timeout_seconds_, "Time limit for one case; a case that takes longer is an error")
      ->type_name("SECONDS")
      ->check(positive_seconds())
      ->capture_default_str();
  app.add_option("--memory", memory_gib_,
                 "Memory limit of a worker that runs a CPU set, at least 0.25; 0 means no limit")
      ->type_name("GIB")
      ->check(worker_memory())
      ->capture_default_str();
  app.add_option(
         "--journal", journal_,
         "File to which each case is written before it runs (default: a temporary file, which is removed at the end)")
      ->type_name("FILE")
      ->check(not_empty());
  app.add_option("--known", known_,
                 "File with the known faults (default: the known_faults.json that comes with the tool)")
      ->type_name("FILE")
      ->check(not_empty());
  app.add_flag("--no-known", no_known_, "Treat known faults as failures, like any other difference");
}

void WorkerOptions::add_ends(CLI::App& app) {
  app.add_flag("--fail-fast", fail_fast_, "End the run after the first case that differs");
  app.add_option("--resume", resume_,
                 "Journal of a run that was interrupted or killed: its cases that agreed do not run again")
      ->type_name("JOURNAL")
      ->check(not_empty());
}

int WorkerOptions::jobs(const ChosenSet& set) const {
  if (jobs_ != 0) return jobs_;
  return set.manifest.device == DeviceKind::kCuda ? std::min(kCudaJobs, usable_cores()) : usable_cores();
}

std::optional<std::string> WorkerOptions::known_faults() const {
  if (!known_.empty()) return known_;
  return default_known_faults();
}

std::vector<std::string> WorkerOptions::deviations() const {
  std::vector<std::string> words;
  const auto add = [&](const char* option, const std::string& value) {
    words.emplace_back(option);
    words.push_back(value);
  };
  if (timeout_seconds_ != kTimeoutSeconds) add("--timeout", fmt::format("{}", timeout_seconds_));
  if (memory_gib_ != kMemoryGib) add("--memory", fmt::format("{}", memory_gib_));
  if (!known_.empty()) add("--known", known_);
  if (no_known_) words.emplace_back("--no-known");
  return words;
}

SweepOptions WorkerOptions::sweep_options(const ChosenSet& set, const std::string& against_label,
                                          const std::vector<std::string>& mode,
                                          const std::vector<std::string>& reproduce) const {
  SweepOptions o;
  o.reproduce = {program_name()};
  for (const auto& words : {reproduce, deviations()}) o.reproduce.insert(o.reproduce.end(), words.begin(), words.end());
  o.crash_advice = [set, again = o.reproduce](const std::string& id) { return advice_on_crash(set, again, id); };
  o.names = {set.label, set.manifest.name, against_label};
  o.pool.jobs = jobs(set);
  o.pool.timeout_seconds = timeout_seconds_;
  // /proc/self/exe starts the program of this process, even if the program's file was replaced meanwhile.
  o.pool.command = {"/proc/self/exe", "worker", "--set", std::filesystem::absolute(set.manifest.folder).string(),
                    "--set-label",    set.label};
  o.pool.command.insert(o.pool.command.end(), mode.begin(), mode.end());
  const auto more = [&](const std::string& option, const std::string& value) {
    o.pool.command.push_back(option);
    o.pool.command.push_back(value);
  };
  if (const auto known = known_faults()) {
    // Read the list here before the workers do. Then a malformed list gives one message instead of one from
    // every worker.
    o.policy.known = KnownFaults::load(*known);
    more("--known", std::filesystem::absolute(*known).string());
  }
  o.policy.keep_known = !no_known_;
  o.policy.subject = code_of(set.manifest, set.label);
  if (no_known_) o.pool.command.emplace_back("--no-known");
  if (set.manifest.device != DeviceKind::kCuda) more("--memory", fmt::format("{}", memory_gib_));
  o.fail_fast = fail_fast_;
  identify(o, set, mode, reproduce);
  o.progress.terminal = ::isatty(STDERR_FILENO) == 1;
  o.progress.label = one_line(set.label);
  return o;
}

/// Sets what the journal says about the sweep, and the verdicts of the journal to resume.
void WorkerOptions::identify(SweepOptions& o, const ChosenSet& set, const std::vector<std::string>& mode,
                             const std::vector<std::string>& reproduce) const {
  // Everything that a verdict depends on beside the case: the command without its cases, and the files that it reads.
  std::vector<std::string> words = reproduce;
  const auto more = deviations();
  words.insert(words.end(), more.begin(), more.end());
  std::string files = DSV4_VERSION;
  const auto add_set = [&](const std::string& folder) { files += " " + sha256_of_file(folder + "/manifest.json"); };
  add_set(set.manifest.folder);
  add_set(find_set("reference").folder);
  for (std::size_t i = 0; i + 1 < mode.size(); ++i) {
    if (mode[i] == "--against") add_set(mode[i + 1]);
    if (mode[i] == "--golden") files += " " + sha256_of_file(mode[i + 1].substr(mode[i + 1].find('=') + 1));
  }
  if (const auto known = known_faults()) files += " " + sha256_of_file(*known);
  const std::string what = shell_command(words);
  o.identity =
      nlohmann::json{{"what", what}, {"files", files}}.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (resume_.empty()) return;
  o.earlier_from = "journal " + resume_;
  std::string others;
  for (const JournalSweep& sweep : resumed_) {
    const auto identity = nlohmann::json::parse(sweep.identity, nullptr, false);
    const std::string swept = identity.is_object() ? identity.value("what", "") : "";
    if (swept != what) {
      others += fmt::format("{}'{}'", others.empty() ? "" : ", ", one_line(shortened(swept)));
      continue;
    }
    found_own_ = true;
    if (sweep.identity != o.identity) {
      throw Error(
          fmt::format("--resume {}: a set, a golden, the known faults or dsv4diff changed after '{}', so its "
                      "verdicts may not hold any more; run without --resume",
                      shortened(resume_), shortened(what)));
    }
    for (const auto& [id, verdict] : sweep.verdicts) {
      if (!is_difference(verdict)) o.earlier[id] = verdict;
    }
  }
  // A run may have been killed before its later sweeps began, but not before the first.
  if (!found_own_) {
    throw Error(
        fmt::format("--resume {}: the journal is of {}, not of '{}'; name the journal of this command, or run "
                    "without --resume",
                    shortened(resume_), others, shortened(what)));
  }
}

std::unique_ptr<Journal> WorkerOptions::journal() {
  // The journal to resume may be the file that is written now.
  if (!resume_.empty()) resumed_ = read_journal(resume_);
  if (journal_.empty()) return std::make_unique<Journal>();
  return std::make_unique<Journal>(journal_);
}

void ExactOption::add(CLI::App& app) {
  app.add_flag("--exact", exact_, "Outputs with other bits fail, even if the tolerance allows the difference");
}

void ExactOption::add_to(std::vector<std::string>& mode, std::vector<std::string>& reproduce) const {
  if (!exact_) return;
  mode.emplace_back("--exact");
  reproduce.emplace_back("--exact");
}

void add_show(CLI::App& app, std::optional<std::size_t>& shown) {
  app.add_option("--show", shown,
                 "Number of kinds of failure that are told in full for each set (default: as many as fit on a screen)")
      ->type_name("N")
      ->check(natural_number());
}

void ReportOptions::add(CLI::App& app) {
  const auto file = [&](const char* option, std::string& path, const char* meaning) {
    app.add_option(option, path, meaning)->type_name("FILE")->check(not_empty());
  };
  file("--json", json_, "Write all results as JSON");
  file("--junit", junit_, "Write a JUnit report");
  file("--markdown", markdown_, "Write a summary for a pull request's page");
  app.add_flag("-v,--verbose", verbose_, "Print passed cases as well");
  add_show(app, shown_);
  screen_.add(app);
}

void ReportOptions::check(std::vector<std::pair<std::string, std::string>> others) const {
  for (const auto& [option, path] :
       {std::pair{"--json", json_}, std::pair{"--junit", junit_}, std::pair{"--markdown", markdown_}}) {
    if (path.empty()) continue;
    check_report_path(option, path);
    for (const auto& [other, name] : others) {
      if (!name.empty() && same_file(path, name)) {
        throw Error(fmt::format("{} {}: {} names the same file, which would be replaced; choose another name", option,
                                path, other));
      }
    }
    others.emplace_back(option, path);
  }
}

void ReportOptions::begin(RunReport report) const {
  report.unfinished = true;
  for (const auto& [path, make] : files()) replace_old_report(path, make(report));
}

int ReportOptions::publish(const RunReport& report) const {
  int status = exit_status(report);
  // Print to the terminal first, so that the user sees the results even if a file cannot be written.
  const std::string text = terminal_report(report, {.shown = shown_, .verbose = verbose_, .layout = screen_.layout()});
  print(text);
  flush_output();
  for (const auto& [path, make] : files()) {
    try {
      write_report(path, make(report));
    } catch (const Error& e) {
      say(fmt::format("dsv4diff: {}", one_line(e.what())));
      status = 2;
    }
  }
  return status;
}

std::vector<std::pair<std::string, std::string (*)(const RunReport&)>> ReportOptions::files() const {
  std::vector<std::pair<std::string, std::string (*)(const RunReport&)>> all{
      {json_, results_json}, {junit_, junit_report}, {markdown_, markdown_report}};
  std::erase_if(all, [](const auto& file) { return file.first.empty(); });
  return all;
}

void require_intact_sets(const std::vector<const Manifest*>& sets, const std::vector<std::string>& ids) {
  std::set<std::string> ops;
  for (const std::string& id : ids) ops.insert(id.substr(0, id.find('/')));
  for (const Manifest* set : sets) require_intact(*set, ops);
}

std::vector<std::string> describe_pair(const Manifest& set, const Manifest& against) {
  std::error_code none;
  if (std::filesystem::equivalent(set.folder, against.folder, none)) {
    return {fmt::format("{} was compared with itself: this shows only whether its results repeat", set.name)};
  }
  std::set<std::string> a, b;
  for (const auto& [file, module] : set.modules) a.insert(module.sha256);
  for (const auto& [file, module] : against.modules) b.insert(module.sha256);
  std::vector<std::string> notes;
  if (!a.empty() && a == b) {
    notes.push_back(fmt::format("{} and {} have the same modules: this shows only whether their results repeat",
                                set.folder, against.folder));
  }
  if (set.name == against.name) {
    notes.push_back(
        fmt::format("{} and {} have the same name in their manifests, '{}'; known faults and goldens of that "
                    "name apply to both",
                    set.folder, against.folder, set.name));
  }
  return notes;
}

SetRun describe_run(const ChosenSet& set, const std::string& against_label, const Policy& policy) {
  SetRun run;
  run.set_label = set.label;
  run.set_name = set.manifest.name;
  run.against = against_label;
  run.device = name_of(set.manifest.device);
  run.provenance = origin_of(set.manifest);
  for (const UncoveredSource& source : set.manifest.uncovered) run.not_covered[kSourcesInNoModule].insert(source.path);
  for (const UncalledFunctions& file : set.manifest.uncalled) {
    for (const std::string& function : file.functions) run.not_covered[kFunctionsOfNoOp].insert(function);
  }
  run.warnings = coverage_warnings(set.manifest);
  for (const KnownFault& fault : policy.known.all()) {
    run.known_kinds[fault.id] = name_of(fault.kind);
    for (const std::string& op : fault.ops) {
      const Applies applies = applies_to(fault, op, policy.subject);
      if (applies.answer == Applies::Answer::kEdited) run.edited_faults[fault.id] = applies.why;
    }
  }
  return run;
}

int with_journal(int status, const Journal& journal) {
  if (journal.broken().empty()) return status;
  say(fmt::format("dsv4diff: {}", one_line(journal.broken())));
  return 2;
}

void announce(const ChosenSet& set, const std::string& against_label, std::optional<std::size_t> cases,
              const SweepOptions& options) {
  std::string text =
      fmt::format("{}: {} against {}, {}", one_line(set.label), cases ? count_of(*cases, "case") : "random cases",
                  one_line(against_label), count_of(static_cast<std::size_t>(options.pool.jobs), "worker"));
  if (options.journal != nullptr && !options.journal->path().empty()) {
    text += fmt::format(", journal {}", one_line(options.journal->path()));
  }
  say(text);
}

}  // namespace dsv4
