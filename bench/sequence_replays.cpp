/// dsv4_sequence_replays captures a step of an op's sequences in a CUDA graph on a GPU, and replays it with the inputs
/// of the steps that follow.
///
///     dsv4_sequence_replays --set cuda [--op GLOB]... [--rounds N]
///
/// First, each sequence runs as in `dsv4diff run`, and its calls are recorded. Then the program looks for rounds:
/// repeated steps with the same calls in the same form, such as plan, compress and store. The calls of the first round
/// are captured. What a call takes from an earlier one is the same memory in the graph: a plan, or compressed entries.
/// What a round takes from the round before (the compressor's state, the cache) stays in memory from replay to replay.
/// Before a replay, the memory of all other inputs gets the inputs of its round. Outputs and returned tensors get
/// poison. Each replay is behind other work of the stream. The outputs of every call must have the bits of the recorded
/// ones. A tensor that a later call of the round changes is compared after that call, in the elements that it names.
///
/// One line for each sequence says how many replays differ, or why it was not replayed. A sequence runs in its own
/// process, because an illegal access ends the CUDA context. The exit status is 0 if no replay differs, 1 if one does,
/// and 2 if the command or the environment is wrong, or nothing ran.
#include <fmt/format.h>
#include <tvm/ffi/error.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bench/replays.h"
#include "harness/bench/kernel_set.h"
#include "harness/bench/rounds.h"
#include "harness/core/error.h"
#include "harness/core/poison.h"
#include "harness/run/scenario_context.h"
#include "harness/run/select.h"
#include "harness/sets/set.h"

namespace dsv4::bench {
namespace {

namespace ffi = tvm::ffi;

struct Options {
  std::string set = "cuda";
  std::vector<std::string> ops;
  int rounds = 64;
};

/// The calls of a sequence on `set`. Whether they are right is the task of `dsv4diff run`.
std::vector<RecordedCall> recorded(const CheckedCase& c, const std::string& set) {
  const auto kernels = open_set(find_set(set), known_abis()), reference = open_set(find_set("reference"), known_abis());
  RecordingCaller recorder(*kernels);
  CaseResult unused;
  TrialContext context(*c.definition, c, recorder, *reference, unused);
  c.scenario_definition->run(context);
  return recorder.calls();
}

/// The calls of a round, in one CUDA graph.
class RoundGraph {
 public:
  RoundGraph(Device& device, KernelSet& set, const CheckedCase& c, const std::vector<RecordedCall>& calls,
             const Rounds& rounds)
      : device_(device), case_(c), calls_(calls), rounds_(rounds) {
    for (std::size_t i = 0; i < rounds.length; ++i) {
      const Call& call = recorded_at(0, i).call;
      const auto function = set.find(*find_op(call.op), call);
      if (!function) throw Error(fmt::format("{} has no {}", set.name(), call.op));
      functions_.push_back(*function);
      arguments_.push_back(std::make_unique<DeviceArguments>(call));
    }
    warm_up();
    graph_ = captured(device.stream(), [this] { make_calls(true); });
  }

  /// Runs a round, and returns the text "OP of call N" of the first call with other outputs; "" if all are the same.
  std::string replay(std::size_t round) {
    prepare(round);
    busy_.add_to(device_.stream());
    check_cuda(cudaGraphLaunch(graph_, device_.stream()), "cudaGraphLaunch");
    check_cuda(cudaStreamSynchronize(device_.stream()), "the replay");
    for (std::size_t i = 0; i < rounds_.length; ++i) {
      if (!agrees(round, i)) return fmt::format("{} (call {} of the round)", recorded_at(round, i).call.op, i + 1);
    }
    return "";
  }

 private:
  [[nodiscard]] const RecordedCall& recorded_at(std::size_t round, std::size_t call) const {
    return calls_[rounds_.number(round, call)];
  }

  /// The first call of a function loads its kernels, which must not happen during a capture.
  void warm_up() {
    make_calls(false);
    check_cuda(cudaStreamSynchronize(device_.stream()), "the calls before the capture");
  }

  /// Makes the calls. `keep_returned`: the returned tensors are those of the graph.
  void make_calls(bool keep_returned) {
    std::vector<std::unique_ptr<Returned>> returned;
    for (std::size_t i = 0; i < rounds_.length; ++i) {
      for (std::size_t a = 0; a < rounds_.sources[i].size(); ++a) {
        const auto& made = rounds_.sources[i][a].made;
        if (!made.has_value()) continue;
        arguments_[i]->move(
            a, made->returned ? returned[made->call]->data(made->index) : arguments_[made->call]->data(made->index));
      }
      returned.push_back(std::make_unique<Returned>(arguments_[i]->call(functions_[i])));
    }
    if (keep_returned) returned_ = std::move(returned);
  }

  /// Writes the inputs of a round, apart from those that earlier calls make.
  void prepare(std::size_t round) {
    for (std::size_t i = 0; i < rounds_.length; ++i) {
      Call call = recorded_at(round, i).call;
      for (std::size_t a = 0; a < call.args.size(); ++a) {
        if (call.args[a].is_tensor() && call.args[a].role == Role::kOut) poison(call.args[a].tensor());
        if (round == 1 && rounds_.sources[i][a].carried) arguments_[i]->keep(a);
      }
      arguments_[i]->restore(call);
      for (std::size_t r = 0; r < returned_[i]->size(); ++r) {
        if (!returned_[i]->is_tensor(r)) continue;
        HostTensor plan = std::get<HostTensor>(recorded_at(round, i).result.returned.at(r));
        poison(plan);
        returned_[i]->write(r, plan.storage);
      }
    }
  }

  bool agrees(std::size_t round, std::size_t number) {
    const RecordedCall& want = recorded_at(round, number);
    const Op& op = *find_op(want.call.op);
    CallResult got;
    got.args = want.call.args;
    // What a later call of the round changes again is compared there, in the elements that the later call names.
    for (std::size_t a = 0; a < got.args.size(); ++a) {
      if (!got.args[a].is_tensor()) continue;
      got.args[a].tensor().storage =
          changed_later(number, a) ? want.result.args[a].tensor().storage : arguments_[number]->read(a);
    }
    const Returned& returned = *returned_[number];
    for (std::size_t i = 0; i < returned.size(); ++i) {
      got.returned.push_back(returned.is_tensor(i) ? Value(returned.read(i)) : want.result.returned.at(i));
    }
    const Observation expected = op.observe(case_, want.call, want.result);
    try {
      return same_bits(op.observe(case_, want.call, got), expected);
    } catch (const TensorError&) {
      return false;  // a plan names rows that do not exist
    }
  }

  /// True if a later call of the round writes into the memory of this argument.
  [[nodiscard]] bool changed_later(std::size_t call, std::size_t arg) const {
    for (std::size_t i = call + 1; i < rounds_.length; ++i) {
      for (std::size_t a = 0; a < rounds_.sources[i].size(); ++a) {
        const Arg& later = recorded_at(0, i).call.args[a];
        if (later.is_tensor() && later.role != Role::kIn && arguments_[i]->data(a) == arguments_[call]->data(arg)) {
          return true;
        }
      }
    }
    return false;
  }

  Device& device_;
  const CheckedCase& case_;
  const std::vector<RecordedCall>& calls_;
  const Rounds& rounds_;
  std::vector<ffi::Function> functions_;
  std::vector<std::unique_ptr<DeviceArguments>> arguments_;
  std::vector<std::unique_ptr<Returned>> returned_;
  cudaGraphExec_t graph_ = nullptr;
  BusyWork busy_;
};

/// "plan_decode, compress_c4_decode, compress_norm_rope_store"
std::string names_of(const std::vector<RecordedCall>& calls, const Rounds& rounds) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < rounds.length; ++i) names.push_back(calls[rounds.number(0, i)].call.op);
  return fmt::format("{}", fmt::join(names, ", "));
}

Ended run_sequence(const CheckedCase& c, const Options& options) {
  const auto say = [&](const std::string& text) { fmt::print("{}: {}\n", c.id(), text); };
  try {
    std::vector<RecordedCall> calls;
    try {
      calls = recorded(c, options.set);
    } catch (const CaseEnd& e) {
      return say(fmt::format("not replayed: the sequence itself fails: {}", e.what())), Ended::kMissing;
    }
    const Rounds rounds = find_rounds(calls);
    if (rounds.count == 0) return say("not replayed: no two consecutive steps have the same form"), Ended::kMissing;
    Device device;
    KernelSet set(options.set);
    RoundGraph graph(device, set, c, calls, rounds);
    const auto count = std::min(rounds.count, static_cast<std::size_t>(options.rounds));
    for (std::size_t round = 0; round < count; ++round) {
      if (const std::string where = graph.replay(round); !where.empty()) {
        return say(fmt::format("replay {} of {} differs in {}", round + 1, count, where)), Ended::kDiffers;
      }
    }
    say(fmt::format("0 of {} replays of ({}) differ", count, names_of(calls, rounds)));
    return Ended::kAgrees;
  } catch (const Unsupported& e) {
    return say(fmt::format("not run: {}", e.what())), Ended::kMissing;
  } catch (const std::exception& e) {
    return say(fmt::format("error: {}", e.what())), Ended::kWrong;
  }
}

int run(const Options& options) {
  Tally tally;
  int missing = 0;
  (void)KernelSet(options.set);  // an error here is about the command
  for (const Op* op : select_ops(options.ops)) {
    for (const Case& c : cases_of(*op, Tier::kQuick)) {
      const CheckedCase checked = with_definitions(c);
      if (!checked.scenario_definition || checked.scenario_definition->kind != Scenario::Kind::kSequence) continue;
      const Ended ended = in_own_process([&] { return run_sequence(checked, options); });
      tally.add(ended);
      missing += ended == Ended::kMissing ? 1 : 0;
    }
  }
  fmt::print("{} sequences replayed, {} differ, {} not replayed, {} ended with an error\n", tally.ran, tally.differ,
             missing, tally.wrong);
  return tally.exit_status();
}

}  // namespace
}  // namespace dsv4::bench

int main(int argc, char** argv) {
  dsv4::bench::Options options;
  CLI::App app("Replays steps of sequences in CUDA graphs, with new inputs in each replay.");
  app.add_option("--set", options.set, "set, by its folder or its name")->capture_default_str();
  app.add_option("--op", options.ops, "only sequences of the ops that this glob matches (may be repeated)");
  app.add_option("--rounds", options.rounds, "replays of each sequence, at most")
      ->capture_default_str()
      ->check(CLI::Range(2, 100000));
  return dsv4::bench::run_program(app, argc, argv, "dsv4_sequence_replays", [&] { return dsv4::bench::run(options); });
}
