/// dsv4diff ops: prints a table of the ops, which is made from the definitions of the ops.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>

#include "harness/cli/command.h"
#include "harness/cli/op_facts.h"
#include "harness/cli/op_page.h"
#include "harness/cli/screen.h"
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
  std::string summary() const override {
    return "List the ops, or tell everything about one: parameters, outputs, tolerances, checks";
  }
  std::string group() const override { return "Lists"; }

  void add_options(CLI::App& app) override {
    app.add_option("op", globs_, "Tell everything about the ops whose name matches, instead of the table of all ops")
        ->type_name("GLOB");
    app.add_option("--symbol", symbol_,
                   "Only the ops behind this Python function of sglang, such as hash_topk or _jit_hash_topk_module")
        ->type_name("NAME");
    app.add_flag("--json", json_, "Print as JSON, with parameters, arguments, outputs, tolerances and checks");
    screen_.add(app);
  }

  int run() override {
    const auto ops = ops_behind(symbol_, select_ops(globs_));
    std::vector<Manifest> sets;
    for (const std::string& set : installed_sets()) {
      try {
        sets.push_back(find_set(set));
      } catch (const Error& e) {
        say(fmt::format("dsv4diff ops: {}", one_line(e.what())));  // go on: one bad set must not hide the others
      }
    }
    if (json_) {
      print_json(ops, sets);
    } else if (globs_.empty() && symbol_.empty()) {
      print(ops_table(ops, sets, screen_.layout()));
    } else {
      for (const Op* op : ops) {
        print((op == ops.front() ? "" : "\n") + op_page(*op, outputs(*op), sets, screen_.layout()));
      }
    }
    return 0;
  }

 private:
  /// Those of `ops` that name the symbol in `upstream`; all if it is empty. Throws Error if there is none.
  static std::vector<const Op*> ops_behind(const std::string& symbol, std::vector<const Op*> ops) {
    if (symbol.empty()) return ops;
    std::vector<std::string> known;
    std::erase_if(ops, [&](const Op* op) {
      const std::vector<std::string> names = upstream_names(*op);
      known.insert(known.end(), names.begin(), names.end());
      return std::ranges::find(names, symbol) == names.end();
    });
    if (ops.empty()) {
      throw Error(fmt::format("no op is behind sglang's '{}'{}; docs/upstream.md lists sglang's functions", symbol,
                              did_you_mean(symbol, known)));
    }
    return ops;
  }

  /// The outputs of an op. They are found by calling the reference; without that set, there are none.
  static std::vector<OutputFacts> outputs(const Op& op) {
    static const std::unique_ptr<Caller> reference = [] {
      try {
        return open_set(find_set("reference"), known_abis());
      } catch (const Error& e) {
        say(fmt::format("dsv4diff ops: outputs and tolerances are left out: {}", one_line(e.what())));
        return std::unique_ptr<Caller>();
      }
    }();
    return reference ? outputs_of(op, *reference) : std::vector<OutputFacts>{};
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
    if (!a.traits.reached_by.empty()) j["reached_by"] = a.traits.reached_by;
    j["optional"] = a.traits.optional;
    return j;
  }

  static void add_signature(const Op& op, Json& j) {
    const Signature& signature = op.info().signature;
    j["arity"] = signature.arity();
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
        scenarios.push_back({{"name", s.label()},
                             {"meaning", s.meaning},
                             {"needs_device", s.needs_device},
                             {"derived", !is_own_check(*op, s)}});
      }
      Json j({{"name", info.name},
              {"family", info.family},
              {"summary", info.summary},
              {"upstream", info.upstream},
              {"symbols", upstream_names(*op)},
              {"abis", info.abis},
              {"sets", sets_with(sets, info.name)},
              {"cases", cases},
              {"params", params},
              {"scenarios", scenarios},
              {"without", info.without},
              {"bench", info.bench},
              {"host_note", info.host_note}});
      add_signature(*op, j);
      j["outputs"] = Json::array();
      for (const OutputFacts& o : outputs(*op))
        j["outputs"].push_back({{"name", o.name}, {"dtype", o.dtype}, {"dims", o.dims}, {"tolerances", o.tolerances}});
      list.push_back(std::move(j));
    }
    print(fmt::format("{}\n", list.dump(1)));
  }

  std::vector<std::string> globs_;
  std::string symbol_;
  bool json_ = false;
  ScreenOptions screen_;
};

DSV4_REGISTER_COMMAND(OpsCommand);

}  // namespace
}  // namespace dsv4
