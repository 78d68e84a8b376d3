/// dsv4_pair_replays runs pairs of ops in CUDA graphs on a GPU: a producer, and a consumer that takes the tensors that
/// the producer made. Ops declare their pairs (Op::pairs()).
///
///     dsv4_pair_replays --set cuda --against sglang-0.5.13 [--pair TEXT] [--replays N]
///
/// Each pair runs in four mixes: producer and consumer are both from one set, or each from another. A CUDA graph with
/// the two calls is replayed behind other work of the stream. So both kernels wait for the GPU at the same time, and
/// the consumer begins as soon as the producer lets it. Before each replay, the memory of the produced tensors holds
/// zeros, or the tensors' own rows at other places. So a consumer that reads too early gets a wrong result. The outputs
/// are compared bit by bit with those of the same two calls, made one after the other. For each mix, one line says how
/// many replays differ. A mix runs in its own process, because an illegal access ends the CUDA context. The exit status
/// is 0 if no replay differs, 1 if one does, and 2 if the command or the environment is wrong, or nothing ran.
#include <fmt/format.h>
#include <tvm/ffi/error.h>

#include <algorithm>

#include "bench/replays.h"
#include "harness/bench/kernel_set.h"
#include "harness/core/error.h"
#include "harness/op/records.h"

namespace dsv4::bench {
namespace {

namespace ffi = tvm::ffi;

struct Options {
  std::string set = "cuda";
  std::string against;
  std::string filter;
  int replays = 200;
};

/// A pair at one of its points.
struct PairCase {
  const Op* op;
  Pair pair;
  Case c;
};

std::vector<PairCase> all_pairs() {
  std::vector<PairCase> cases;
  for (const Op* op : all_ops()) {
    for (const Pair& pair : op->pairs()) {
      std::vector<Params> points;
      if (!pair.makes.empty()) {
        fmt::print("not replayed: {} -> {}: the producer makes its tensors in arguments\n", pair.producer,
                   op->info().name);
        continue;
      }
      if (!pair.points) points.push_back(op->points(Tier::kSmoke).front());
      for (const Tier tier : {Tier::kSmoke, Tier::kQuick}) {
        if (!pair.points) continue;
        for (Params& point : pair.points(tier)) points.push_back(std::move(point));
      }
      for (const Params& point : points) cases.push_back({op, pair, {op->info().name, "", point, 1}});
    }
  }
  return cases;
}

std::vector<std::uint8_t> rows_moved(const HostTensor& t) {
  std::vector<std::uint8_t> bytes = t.storage;
  if (t.size(0) == 0) return bytes;
  std::rotate(bytes.begin(), bytes.begin() + std::ssize(bytes) / t.size(0) * (t.size(0) / 2), bytes.end());
  return bytes;
}

/// One mix of a pair: the producer of one set, the consumer of another or of the same.
class Mix {
 public:
  Mix(const PairCase& pair_case, Device& device, ffi::Function producer, ffi::Function consumer, Call produce)
      : pair_case_(pair_case),
        device_(device),
        producer_(std::move(producer)),
        consumer_(std::move(consumer)),
        producer_arguments_(produce) {}

  /// Makes both calls one after the other, and returns the outputs.
  Observation one_after_the_other() {
    const Returned made(producer_arguments_.call(producer_));
    wait("the producer's call");
    if (made.size() < pair_case_.pair.takes.size()) throw Error("the producer returned too few tensors");
    plans_.clear();
    for (std::size_t i = 0; i < pair_case_.pair.takes.size(); ++i) plans_.push_back(made.read(i));
    call_ = pair_case_.pair.consume(pair_case_.c, plans_);
    pair_case_.op->fit(call_);
    consumer_arguments_ = std::make_unique<DeviceArguments>(call_);
    (void)consumer_arguments_->call(consumer_);
    wait("the consumer's call");
    return outputs(call_);
  }

  /// Records both calls in a CUDA graph. The consumer's call takes the tensors from where the producer puts them.
  void capture() {
    graph_ = captured(device_.stream(), [this] {
      in_graph_ = std::make_unique<Returned>(producer_arguments_.call(producer_));
      for (std::size_t i = 0; i < pair_case_.pair.takes.size(); ++i) {
        consumer_arguments_->move(number_of(pair_case_.pair.takes[i]), in_graph_->data(i));
      }
      (void)consumer_arguments_->call(consumer_);
    });
  }

  /// Returns the outputs of a replay.
  Observation replay(int number) {
    consumer_arguments_->restore(call_);
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      in_graph_->write(i,
                       number % 2 == 0 ? std::vector<std::uint8_t>(plans_[i].storage.size()) : rows_moved(plans_[i]));
    }
    busy_.add_to(device_.stream());
    check_cuda(cudaGraphLaunch(graph_, device_.stream()), "cudaGraphLaunch");
    wait("the replay");
    Call call = call_;
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      call.arg(pair_case_.pair.takes[i]).tensor() = in_graph_->read(i);
    }
    return outputs(call);
  }

 private:
  void wait(const char* what) { check_cuda(cudaStreamSynchronize(device_.stream()), what); }

  [[nodiscard]] std::size_t number_of(const std::string& argument) const {
    return static_cast<std::size_t>(&call_.arg(argument) - call_.args.data());
  }

  Observation outputs(const Call& call) {
    CallResult result;
    result.args = call.args;
    for (std::size_t i = 0; i < result.args.size(); ++i) {
      if (result.args[i].is_tensor()) result.args[i].tensor().storage = consumer_arguments_->read(i);
    }
    return pair_case_.op->observe(pair_case_.c, call, result);
  }

  const PairCase& pair_case_;
  Device& device_;
  ffi::Function producer_;
  ffi::Function consumer_;
  DeviceArguments producer_arguments_;
  std::unique_ptr<DeviceArguments> consumer_arguments_;
  std::vector<HostTensor> plans_;
  Call call_;
  std::unique_ptr<Returned> in_graph_;
  cudaGraphExec_t graph_ = nullptr;
  BusyWork busy_;
};

/// Runs one mix and prints its line.
Ended run_mix(const PairCase& pair_case, KernelSet& from, KernelSet& to, int replays, const std::string& title) {
  const auto say = [&](const std::string& text) { fmt::print("{}: {}\n", title, text); };
  try {
    Device device;
    const Call produce = pair_case.pair.produce(pair_case.c);
    const auto producer = from.find(*find_op(pair_case.pair.producer), produce);
    if (!producer) return say(fmt::format("not run: {} has no {}", from.name(), produce.op)), Ended::kMissing;
    // The set's entry for the consumer depends only on the parameters of the case.
    const Call consume = pair_case.op->make(pair_case.c);
    const auto consumer = to.find(*pair_case.op, consume);
    if (!consumer) return say(fmt::format("not run: {} has no {}", to.name(), consume.op)), Ended::kMissing;

    Mix mix(pair_case, device, *producer, *consumer, produce);
    const Observation want = mix.one_after_the_other();
    if (!same_bits(mix.one_after_the_other(), want)) {
      return say("two runs, one call after the other, differ"), Ended::kDiffers;
    }
    mix.capture();
    int differ = 0;
    for (int i = 0; i < replays; ++i) {
      try {
        differ += same_bits(mix.replay(i), want) ? 0 : 1;
      } catch (const TensorError&) {
        ++differ;  // the plan of this replay names rows that do not exist
      } catch (const Error& e) {
        return say(fmt::format("replay {} of {} ended with an error: {}", i + 1, replays, e.what())), Ended::kDiffers;
      }
    }
    say(fmt::format("{} of {} replays differ", differ, replays));
    return differ == 0 ? Ended::kAgrees : Ended::kDiffers;
  } catch (const std::exception& e) {
    say(fmt::format("error: {}", e.what()));
    return Ended::kWrong;
  }
}

int run(const Options& options) {
  std::vector<std::string> names{options.set};
  if (!options.against.empty()) names.push_back(options.against);
  Tally tally;
  for (const PairCase& pair_case : all_pairs()) {
    const std::string pair = fmt::format("{} -> {}", pair_case.pair.producer, pair_case.op->info().name);
    if (pair.find(options.filter) == std::string::npos) continue;
    fmt::print("{} at {}\n", pair, pair_case.c.params.str());
    for (const std::string& from : names) {
      for (const std::string& to : names) {
        KernelSet producers(from), consumers(to);
        const std::string title = fmt::format("  mix {}({}) -> {}({})", pair_case.pair.producer, producers.name(),
                                              pair_case.op->info().name, consumers.name());
        tally.add(in_own_process([&] { return run_mix(pair_case, producers, consumers, options.replays, title); }));
      }
    }
  }
  fmt::print("{} mixes ran, {} differ, {} ended with an error of the environment\n", tally.ran, tally.differ,
             tally.wrong);
  return tally.exit_status();
}

}  // namespace
}  // namespace dsv4::bench

int main(int argc, char** argv) {
  dsv4::bench::Options options;
  CLI::App app("Replays pairs of ops in CUDA graphs, with the kernels of one set or of two.");
  app.add_option("--set", options.set, "first set, by its folder or its name")->capture_default_str();
  app.add_option("--against", options.against, "second set; without it, only one of the four mixes runs");
  app.add_option("--pair", options.filter,
                 "only pairs whose name (\"plan_decode -> compress_c4_decode\") has this text");
  app.add_option("--replays", options.replays, "replays of each mix")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  return dsv4::bench::run_program(app, argc, argv, "dsv4_pair_replays", [&] { return dsv4::bench::run(options); });
}
