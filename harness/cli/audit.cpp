/// dsv4diff audit: reads the Python package of sglang's JIT kernels, and lists what a reviewer should know.
/// The program is written in Python (scripts/audit_jit.py), because it needs Python's own parser.
#include <string>
#include <vector>

#include "harness/cli/command.h"
#include "harness/cli/python_program.h"
#include "harness/cli/validators.h"

namespace dsv4 {
namespace {

class AuditCommand final : public Command {
 public:
  std::string name() const override { return "audit"; }
  std::string summary() const override { return "Read sglang's JIT package, and list what a refactor may have broken"; }
  std::string details() const override {
    return "PACKAGE is sglang==X.Y.Z (its wheel in .deps/wheels), a wheel, a checkout of sglang, or an unpacked\n"
           "package. Nothing of it is imported or run, except with --count. docs/audit.md explains each rule.\n"
           "Exit status: 0 no fault was found, 1 a fault was found (with --against: one that the other version\n"
           "lacks), 2 the command or the environment is wrong. Notes never change the exit status.";
  }

  void add_options(CLI::App& app) override {
    app.add_option("PACKAGE", package_, "The version to read")->required()->check(not_empty());
    app.add_option("--against", against_, "Also list what changed since this version (not with --count)")
        ->type_name("PACKAGE")
        ->check(not_empty());
    app.add_flag("--count", count_,
                 "Import the package with a counter in place of the compiler, call each getter twice, and count");
    app.add_option("--wheels", wheels_, "Folder with the wheels of sglang (default: .deps/wheels)")
        ->type_name("FOLDER")
        ->check(not_empty());
    app.add_flag("--json", json_, "Print as JSON");
  }

  int run() override {
    std::vector<std::string> words;
    if (!against_.empty()) words.push_back("--against=" + against_);
    if (!wheels_.empty()) words.push_back("--wheels=" + wheels_);
    if (count_) words.emplace_back("--count");
    if (json_) words.emplace_back("--json");
    words.insert(words.end(), {"--", package_});
    become_python_program("audit_jit.py", words);
  }

 private:
  std::string package_;
  std::string against_;
  std::string wheels_;
  bool count_ = false;
  bool json_ = false;
};

DSV4_REGISTER_COMMAND(AuditCommand);

}  // namespace
}  // namespace dsv4
