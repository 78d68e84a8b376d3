/// dsv4diff cases: lists case ids.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/cli/command.h"
#include "harness/cli/filter_options.h"

namespace dsv4 {
namespace {

class CasesCommand final : public Command {
 public:
  std::string name() const override { return "cases"; }
  std::string summary() const override { return "List the cases that the filters select"; }
  std::string group() const override { return "Lists"; }

  void add_options(CLI::App& app) override {
    filter_.add(app);
    app.add_flag("--json", json_, "Print as JSON");
  }

  int run() override {
    const auto cases = select_cases(filter_.filter());
    if (!json_) {
      for (const Case& c : cases) print(fmt::format("{}\n", c.id()));
      return 0;
    }
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Case& c : cases) {
      nlohmann::ordered_json params = nlohmann::ordered_json::object();
      for (const auto& [name, value] : c.params.pairs()) params[name] = value;
      list.push_back({{"id", c.id()}, {"op", c.op}, {"scenario", c.scenario}, {"params", params}, {"seed", c.seed}});
    }
    print(fmt::format("{}\n", list.dump(1)));
    return 0;
  }

 private:
  FilterOptions filter_;
  bool json_ = false;
};

DSV4_REGISTER_COMMAND(CasesCommand);

}  // namespace
}  // namespace dsv4
