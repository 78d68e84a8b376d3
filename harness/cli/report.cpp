/// dsv4diff report: one HTML page from results files. A Python program makes it (scripts/report.py).
#include <fmt/format.h>

#include "harness/cli/command.h"
#include "harness/cli/python_program.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/report/write.h"

namespace dsv4 {
namespace {

class ReportCommand final : public Command {
 public:
  std::string name() const override { return "report"; }
  std::string summary() const override { return "Make one HTML page from results files"; }
  std::string details() const override {
    return "RESULTS are files that 'run', 'verify', 'merge' or 'bench' wrote with --json. Several results of one set\n"
           "are shown as a trend, in the order of the command line. The page needs no network and no other file.\n"
           "Exit status: 0 if the page was written, whatever its verdicts; 2 if the command or a file is wrong.";
  }

  void add_options(CLI::App& app) override {
    app.add_option("RESULTS", files_, "Results files that --json wrote")->required()->check(not_empty());
    app.add_option("-o,--output", output_, "Write the page to this file")
        ->type_name("FILE")
        ->required()
        ->check(not_empty());
  }

  int run() override {
    check_report_path("--output", output_);
    for (const std::string& file : files_) {
      if (same_file(file, output_)) throw Error(fmt::format("--output {}: is also a results file to read", output_));
    }
    std::vector<std::string> words{"--output=" + output_, "--"};
    words.insert(words.end(), files_.begin(), files_.end());
    become_python_program("report.py", words);
  }

 private:
  std::vector<std::string> files_;
  std::string output_;
};

DSV4_REGISTER_COMMAND(ReportCommand);

}  // namespace
}  // namespace dsv4
