/// dsv4diff merge: joins the results of shards into one verdict.
#include "harness/report/merge.h"

#include "harness/cli/command.h"
#include "harness/cli/sweep_options.h"
#include "harness/cli/validators.h"

namespace dsv4 {
namespace {

class MergeCommand final : public Command {
 public:
  std::string name() const override { return "merge"; }
  std::string summary() const override { return "Join the --json results of shards into one verdict"; }
  std::string details() const override {
    return "All parts of a sweep are needed. They must have the same version, options, set and build.\n"
           "Exit status: as if 'dsv4diff run' had run all cases, or 2 if a shard is missing.";
  }

  void add_options(CLI::App& app) override {
    app.add_option("files", files_, "Results files that --json wrote")
        ->type_name("FILE")
        ->required()
        ->check(not_empty());
    app.add_flag("--partial", partial_, "Allow missing shards");
    reports_.add(app);
  }

  int run() override {
    std::vector<std::pair<std::string, std::string>> parts;
    for (const std::string& file : files_) parts.emplace_back("a file to merge", file);
    reports_.check(parts);
    RunReport begun;
    begun.command = name();
    begun.version = DSV4_VERSION;
    reports_.begin(begun);
    std::vector<NamedReport> reports;
    for (const std::string& file : files_) reports.emplace_back(file, read_results(file));
    return reports_.publish(merge_reports(reports, partial_));
  }

 private:
  std::vector<std::string> files_;
  bool partial_ = false;
  ReportOptions reports_;
};

DSV4_REGISTER_COMMAND(MergeCommand);

}  // namespace
}  // namespace dsv4
