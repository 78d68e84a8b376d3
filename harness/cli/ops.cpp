/// dsv4diff ops: the table of ops, made from their definitions.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>

#include "harness/cli/command.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/run/select.h"
#include "harness/sets/set.h"

namespace dsv4 {
namespace {

using Json = nlohmann::ordered_json;

class OpsCommand final : public Command {
 public:
  std::string name() const override { return "ops"; }
  std::string summary() const override { return "List the ops: what they are, who has them, how they are tested"; }
  std::string group() const override { return "Look around"; }

  void add_options(CLI::App& app) override {
    app.add_option("op", globs_, "Only ops whose name matches")->type_name("GLOB");
    app.add_flag("--json", json_, "Print as JSON, with parameters and scenarios");
  }

  int run() override {
    const auto ops = select_ops(globs_);
    std::vector<Manifest> sets;
    for (const std::string& set : installed_sets()) {
      try {
        sets.push_back(find_set(set));
      } catch (const Error& e) {
        say(fmt::format("dsv4diff ops: {}", one_line(e.what())));  // one bad set does not hide the others
      }
    }
    json_ ? print_json(ops, sets) : print_table(ops, sets);
    return 0;
  }

 private:
  static std::vector<std::string> sets_with(const std::vector<Manifest>& sets, const std::string& op) {
    std::vector<std::string> names;
    for (const Manifest& m : sets) {
      if (m.has_op(op)) names.push_back(m.name);
    }
    return names;
  }

  static void print_table(const std::vector<const Op*>& ops, const std::vector<Manifest>& sets) {
    std::vector<std::vector<std::string>> rows{
        {"op", "family", "smoke", "quick", "full", "scenarios", "upstream", "sets"}};
    for (const Op* op : ops) {
      const OpInfo& info = op->info();
      const auto count = [&](Tier tier) { return std::to_string(cases_of(*op, tier).size()); };
      rows.push_back({info.name, info.family, count(Tier::kSmoke), count(Tier::kQuick), count(Tier::kFull),
                      std::to_string(all_scenarios(*op).size()), info.upstream,
                      fmt::format("{}", fmt::join(sets_with(sets, info.name), " "))});
    }
    print(align(rows, {false, false, true, true, true, true, false, false}));
  }

  static Json param_json(const ParamSpec& spec) {
    Json j{{"name", spec.name}, {"meaning", spec.meaning}};
    if (!spec.choices.empty()) {
      j["choices"] = spec.choices;
    } else {
      j["min"] = spec.min;
      j["max"] = spec.max;
      if (!spec.interesting.empty()) j["interesting"] = spec.interesting;
    }
    return j;
  }

  /// How an argument of a smoke case looks: the signature, as the calls themselves have it.
  static Json argument_json(const Arg& arg) {
    Json j{{"name", arg.name}};
    if (!arg.is_tensor()) {
      static constexpr std::array<const char*, 4> kKinds{"absent", "integer", "real", "flag"};
      j["kind"] = kKinds.at(arg.value.index());
      return j;
    }
    static constexpr std::array<const char*, 4> kRoles{"in", "out", "inout", "workspace"};
    const HostTensor& t = arg.tensor();
    j["kind"] = "tensor";
    j["role"] = kRoles.at(static_cast<std::size_t>(arg.role));
    j["dtype"] = name_of(t.dtype);
    j["rank"] = t.rank();
    j["place"] = arg.place == Place::kHost ? "host" : "device";
    return j;
  }

  /// The arguments of the op's function and the names of its compile-time parameters, from its smoke cases: an argument
  /// that one of them leaves out is optional.
  static void add_signature(const Op& op, Json& j) {
    Json arguments = Json::array(), compile = Json::array();
    for (const Params& point : op.points(Tier::kSmoke)) {
      const Call call = op.make({op.info().name, "", point, 1});
      if (arguments.empty()) {
        for (const auto& [name, value] : call.compile.pairs()) compile.push_back(name);
        for (const Arg& arg : call.args) arguments.push_back(argument_json(arg));
      }
      for (std::size_t i = 0; i < call.args.size(); ++i) {
        const Json other = argument_json(call.args[i]);
        const bool left_out = other["kind"] == "absent";
        if (left_out || arguments[i]["kind"] == "absent") {
          if (!left_out) arguments[i] = other;
          arguments[i]["optional"] = true;
        }
      }
    }
    j["arguments"] = arguments;
    j["compile"] = compile;
  }

  static void print_json(const std::vector<const Op*>& ops, const std::vector<Manifest>& sets) {
    Json list = Json::array();
    for (const Op* op : ops) {
      const OpInfo& info = op->info();
      Json cases;
      for (const Tier tier : {Tier::kSmoke, Tier::kQuick, Tier::kFull}) {
        cases[std::string(name_of(tier))] = cases_of(*op, tier).size();
      }
      Json params = Json::array();
      for (const ParamSpec& spec : info.params) params.push_back(param_json(spec));
      Json scenarios = Json::array();
      for (const Scenario& s : all_scenarios(*op)) {
        scenarios.push_back({{"name", s.label()}, {"meaning", s.meaning}, {"needs_device", s.needs_device}});
      }
      Json j({{"name", info.name},
              {"family", info.family},
              {"summary", info.summary},
              {"upstream", info.upstream},
              {"abis", info.abis},
              {"sets", sets_with(sets, info.name)},
              {"cases", cases},
              {"params", params},
              {"scenarios", scenarios},
              {"host_note", info.host_note}});
      add_signature(*op, j);
      list.push_back(std::move(j));
    }
    print(fmt::format("{}\n", list.dump(1)));
  }

  std::vector<std::string> globs_;
  bool json_ = false;
};

DSV4_REGISTER_COMMAND(OpsCommand);

}  // namespace
}  // namespace dsv4
