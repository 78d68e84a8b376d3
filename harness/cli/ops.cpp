/// dsv4diff ops: prints a table of the ops, which is made from the definitions of the ops.
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
  std::string summary() const override { return "List the ops, the sets that have them, and their checks"; }
  std::string group() const override { return "Lists"; }

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
        say(fmt::format("dsv4diff ops: {}", one_line(e.what())));  // go on: one bad set must not hide the others
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
    std::string left_out;
    for (const Op* op : ops) {
      for (const auto& [label, reason] : op->info().without)
        left_out += fmt::format("  {} {}: {}\n", op->info().name, label, reason);
    }
    if (!left_out.empty()) print(fmt::format("\nDerived checks that an op leaves out:\n{}", left_out));
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

  static Json argument_json(const Signature& signature, const Argument& a) {
    static constexpr std::array<const char*, 4> kKinds{"tensor", "integer", "real", "flag"};
    Json j{{"name", a.name}, {"kind", kKinds.at(static_cast<std::size_t>(a.kind))}};
    if (!a.is_tensor()) return j;
    static constexpr std::array<const char*, 4> kRoles{"in", "out", "inout", "workspace"};
    std::vector<std::string> dtypes, shape;
    for (const DType dtype : a.dtypes) dtypes.emplace_back(name_of(dtype));
    for (const Dim& dim : a.dims) shape.push_back(dim.symbol);
    j["role"] = kRoles.at(static_cast<std::size_t>(a.role));
    j["dtypes"] = dtypes;
    j["shape"] = shape;
    j["batch"] = signature.batch().empty() ? -1 : a.dim_of(signature.batch());
    j["strides"] = a.has_gaps() ? "free except the last" : "contiguous";
    j["memory"] = !a.traits.place ? "either" : *a.traits.place == Place::kHost ? "host" : "device";
    j["optional"] = a.traits.optional;
    return j;
  }

  static void add_signature(const Op& op, Json& j) {
    const Signature& signature = op.info().signature;
    j["arguments"] = Json::array();
    for (const Argument& a : signature.arguments()) j["arguments"].push_back(argument_json(signature, a));
    std::vector<std::string> compile;
    const Call call = op.make({op.info().name, "", op.points(Tier::kSmoke).front(), 1});
    for (const auto& [name, value] : call.compile.pairs()) compile.push_back(name);
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
      for (const ParamSpec& spec : info.space.specs()) params.push_back(param_json(spec));
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
              {"without", info.without},
              {"bench", info.bench},
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
