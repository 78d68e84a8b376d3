/// dsv4diff sets: lists the installed kernel sets, what they were made from, which ops they lack, and
/// which sources they do not cover.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/cli/command.h"
#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/op/op.h"
#include "harness/report/terminal.h"
#include "harness/sets/coverage.h"
#include "harness/sets/set.h"

namespace dsv4 {
namespace {

using Json = nlohmann::ordered_json;

class SetsCommand final : public Command {
 public:
  std::string name() const override { return "sets"; }
  std::string summary() const override {
    return "List the kernel sets: their source, their device, and the ops that they lack";
  }
  std::string group() const override { return "Lists"; }

  void add_options(CLI::App& app) override {
    app.add_option("set", names_, "Only these sets, by name or folder")->type_name("SET");
    app.add_flag("--json", json_, "Print as JSON, with modules and entries");
  }

  int run() override {
    std::vector<Manifest> sets;
    for (const std::string& name : names_) sets.push_back(find_set(name));
    for (const std::string& name : names_.empty() ? installed_sets() : std::vector<std::string>{}) {
      try {
        sets.push_back(find_set(name));
      } catch (const Error& e) {
        say(fmt::format("dsv4diff sets: {}", one_line(e.what())));
      }
    }
    if (sets.empty()) {
      std::string places;
      for (const std::string& root : set_roots()) places += " " + root;
      throw Error("there are no kernel sets; build the project, or name folders in DSV4DIFF_SETS. Searched folders:" +
                  places);
    }
    json_ ? print_json(sets) : print_table(sets);
    return 0;
  }

 private:
  /// Returns the ops that the set does not have, each with the reason that its manifest gives.
  static std::vector<AbsentOp> lacking(const Manifest& m) {
    std::vector<AbsentOp> list = m.absent;
    for (const Op* op : all_ops()) {
      const std::string& name = op->info().name;
      if (m.has_op(name) || std::ranges::find(list, name, &AbsentOp::op) != list.end()) continue;
      list.push_back({name, "its manifest does not list this op", false, {}});
    }
    std::ranges::sort(list, {}, &AbsentOp::op);
    return list;
  }

  static std::size_t op_count(const Manifest& m) {
    return static_cast<std::size_t>(
        std::ranges::count_if(all_ops(), [&](const Op* op) { return m.has_op(op->info().name); }));
  }

  static void print_table(const std::vector<Manifest>& sets) {
    std::vector<std::vector<std::string>> rows{{"set", "device", "ops", "usable here", "from"}};
    for (const Manifest& m : sets) {
      std::string why;
      rows.push_back({one_line(m.name), std::string(name_of(m.device)), std::to_string(op_count(m)),
                      device_available(m.device, &why) ? "yes" : "no: " + why,
                      describe_origin(std::string(name_of(m.device)), m.provenance)});
    }
    print(align(rows, {false, false, true, false, false}));
    for (const Manifest& m : sets) {
      for (const AbsentOp& a : lacking(m)) {
        std::string variant;
        for (const auto& [name, value] : a.params) variant += fmt::format(" {}={}", one_line(name), one_line(value));
        print(fmt::format("{} lacks {}{}: {}\n", one_line(m.name), one_line(a.op), variant, one_line(a.reason)));
      }
      if (const std::string line = coverage_summary(m); !line.empty()) print(line + "\n");
      for (const std::string& line : unmapped_functions(m)) print(line + "\n");
      for (const std::string& line : coverage_warnings(m)) print(line + "\n");
    }
  }

  static Json source_json(const SourceFile& file) {
    return {{"path", file.path}, {"sha256", file.sha256}, {"releases", file.releases}};
  }

  static Json set_json(const Manifest& m) {
    std::string why;
    const bool available = device_available(m.device, &why);
    Json entries = Json::array();
    for (const ManifestEntry& e : m.entries) {
      entries.push_back({{"op", e.op},
                         {"aux", e.aux},
                         {"params", e.params},
                         {"module", e.module},
                         {"function", e.function},
                         {"abi", e.abi},
                         {"arity", e.arity},
                         {"behaviour", e.behaviour}});
    }
    Json modules = Json::object();
    for (const auto& [file, module] : m.modules) {
      modules[file] = {
          {"sha256", module.sha256}, {"source", module.source}, {"flags", module.flags}, {"edits", module.edits}};
      modules[file]["sources"] = Json::array();
      for (const SourceFile& source : module.sources) modules[file]["sources"].push_back(source_json(source));
    }
    Json absent = Json::array();
    for (const AbsentOp& a : lacking(m)) {
      absent.push_back({{"op", a.op}, {"params", a.params}, {"reason", a.reason}, {"left_out", a.left_out}});
    }
    Json uncovered = Json::array();
    for (const UncoveredSource& source : m.uncovered) {
      uncovered.push_back(source_json(source));
      uncovered.back()["changed"] = source.changed;
      uncovered.back()["unmapped"] = source.unmapped;
      uncovered.back()["functions"] = source.functions;
    }
    Json uncalled = Json::array();
    for (const UncalledFunctions& file : m.uncalled) {
      uncalled.push_back({{"path", file.path}, {"functions", file.functions}});
    }
    return {{"name", m.name},         {"folder", m.folder},  {"device", name_of(m.device)},
            {"usable", available},    {"why_not", why},      {"provenance", m.provenance},
            {"ops", entries},         {"absent", absent},    {"modules", modules},
            {"uncovered", uncovered}, {"uncalled", uncalled}};
  }

  static void print_json(const std::vector<Manifest>& sets) {
    Json list = Json::array();
    for (const Manifest& m : sets) list.push_back(set_json(m));
    print(fmt::format("{}\n", list.dump(1, ' ', false, Json::error_handler_t::replace)));
  }

  std::vector<std::string> names_;
  bool json_ = false;
};

DSV4_REGISTER_COMMAND(SetsCommand);

}  // namespace
}  // namespace dsv4
