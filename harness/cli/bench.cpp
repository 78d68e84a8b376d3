/// dsv4diff bench: times kernel sets side by side on a GPU, at the shapes that production uses.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/bench/kernel_set.h"
#include "harness/bench/shapes.h"
#include "harness/bench/timer.h"
#include "harness/bench/times.h"
#include "harness/cli/command.h"
#include "harness/cli/validators.h"
#include "harness/core/error.h"
#include "harness/device/gpu.h"
#include "harness/report/write.h"
#include "harness/run/select.h"

namespace dsv4 {
namespace {

class BenchCommand final : public Command {
 public:
  std::string name() const override { return "bench"; }
  std::string summary() const override { return "Time kernel sets side by side on a GPU, at production shapes"; }
  std::string details() const override {
    return "The shapes are those of each op's declaration. All sets run in this process, on one stream and on the\n"
           "same inputs, and their samples alternate. 'us' is the median of cold calls: consecutive calls use\n"
           "different copies of the inputs, so that the L2 cache does not hold them. Warm calls all use the same\n"
           "inputs. 'x' is the set's time divided by that of the first set. Bytes and operations are the least that\n"
           "any kernel needs.\n"
           "Exit status: 0 if it was measured, 2 if the command or the environment is wrong.";
  }

  void add_options(CLI::App& app) override {
    repeatable(app.add_option("--set", sets_, "Set to time, by name or folder. May be repeated (default: cuda)"))
        ->type_name("SET");
    repeatable(
        app.add_option("--op", ops_, "Only ops whose name matches; *, ? and [abc] are wildcards. May be repeated"))
        ->type_name("GLOB");
    repeatable(app.add_option("--shape", parts_, "Only shapes whose text contains this. May be repeated"))
        ->type_name("TEXT");
    app.add_option("--samples", samples_, "Samples of each time; the median counts")
        ->type_name("N")
        ->capture_default_str()
        ->check(CLI::Range(3, 10000));
    app.add_option("--json", json_, "Write all results to this file")->type_name("FILE")->check(not_empty());
    app.add_flag("--list", list_, "Print the shapes, and time nothing");
  }

  int run() override {
    const auto shapes = bench::shapes_of(select_ops(ops_), parts_);
    if (list_) {
      for (const auto& shape : shapes) print(shape.title() + "\n");
      return 0;
    }
    if (!json_.empty()) {
      check_report_path("--json", json_);
      replace_old_report(json_, nlohmann::json{{"command", name()}, {"unfinished", true}}.dump(1) + "\n");
    }
    if (sets_.empty()) sets_ = {"cuda"};
    std::vector<bench::KernelSet> sets;
    for (const std::string& name : sets_) sets.emplace_back(name);
    const auto timer = bench::open_timer();
    bench::BenchFacts facts;
    facts.machine = timer->facts();
    facts.machine.merge(gpu_facts());
    facts.copy_bytes_per_second = timer->copy_bytes_per_second();
    for (const auto& set : sets) facts.sets.emplace_back(set.name(), set.provenance());
    print(bench::heading(facts));
    std::vector<bench::ShapeTimes> all;
    for (const auto& shape : shapes) {
      all.push_back(time(*timer, sets, shape));
      print(bench::lines_on(all.back(), facts));
      flush_output();
    }
    print(bench::summary(all, facts));
    flush_output();
    if (!json_.empty()) write_report(json_, bench::to_json(all, facts).dump(1) + "\n");
    return 0;
  }

 private:
  bench::ShapeTimes time(bench::Timer& timer, std::vector<bench::KernelSet>& sets, const bench::Shape& shape) const {
    const bench::ShapeCall made = bench::make_call(shape);
    bench::ShapeTimes times{shape.op->info().name, shape.point, made.cost, made.clock, {}};
    std::vector<tvm::ffi::Function> functions;
    std::vector<std::size_t> places;
    for (auto& set : sets) {
      const auto function = set.find(*shape.op, made.call);
      if (function) {
        functions.push_back(*function);
        places.push_back(times.sets.size());
      }
      times.sets.push_back({set.name(), function ? "" : "the set has no function for this shape", {}});
    }
    try {
      const auto timed = timer.time(functions, made.call, made.cost.bytes, samples_, times.clock);
      for (std::size_t i = 0; i < timed.size(); ++i) times.sets[places[i]].timed = timed[i];
    } catch (const Error& e) {
      throw Error(fmt::format("{}: {}", shape.title(), e.what()));
    }
    return times;
  }

  std::vector<std::string> sets_;
  std::vector<std::string> ops_;
  std::vector<std::string> parts_;
  std::string json_;
  int samples_ = 30;
  bool list_ = false;
};

DSV4_REGISTER_COMMAND(BenchCommand);

}  // namespace
}  // namespace dsv4
