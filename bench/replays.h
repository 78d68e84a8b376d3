/// What the programs share that replay CUDA graphs of several calls: dsv4_pair_replays and dsv4_sequence_replays.
#pragma once

#include <tvm/ffi/any.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

#include "bench/bench_device.h"
#include "harness/op/op.h"

namespace dsv4::bench {

/// How a process ended that ran one mix or one sequence. The numbers are its exit statuses.
enum class Ended { kAgrees = 0, kDiffers = 1, kWrong = 2, kMissing = 3 };

/// Runs `body` in its own process and returns how it ended. An illegal access ends the CUDA context of that process
/// only.
Ended in_own_process(const std::function<Ended()>& body);

/// Counts how processes ended, and gives the exit status of the program: 1 if something differs, otherwise 2 if a
/// process ended with an error of the environment or nothing ran, otherwise 0.
struct Tally {
  int ran = 0;
  int differ = 0;
  int wrong = 0;

  void add(Ended ended);
  [[nodiscard]] int exit_status() const { return differ != 0 ? 1 : wrong != 0 || ran == 0 ? 2 : 0; }
};

/// Parses the command line and returns what `body` returns. The exit status of a wrong command line is 2. So is that of
/// an error, whose text is printed after the program's name.
int run_program(CLI::App& app, int argc, char** argv, const char* name, const std::function<int()>& body);

/// Work of the stream that takes some tenths of a millisecond.
class BusyWork {
 public:
  BusyWork() { check_cuda(cudaMalloc(&memory_, kBytes), "cudaMalloc"); }
  ~BusyWork() { (void)cudaFree(memory_); }
  BusyWork(const BusyWork&) = delete;
  BusyWork& operator=(const BusyWork&) = delete;
  void add_to(cudaStream_t stream) { check_cuda(cudaMemsetAsync(memory_, 0, kBytes, stream), "cudaMemsetAsync"); }

 private:
  static constexpr std::size_t kBytes = std::size_t{512} << 20;
  void* memory_ = nullptr;
};

/// The values that a function returned. Their tensors stay in memory as long as this object. Only a tensor has data.
class Returned {
 public:
  explicit Returned(tvm::ffi::Any value);

  [[nodiscard]] std::size_t size() const { return tensors_.size(); }
  [[nodiscard]] bool is_tensor(std::size_t i) const { return tensors_.at(i) != nullptr; }
  [[nodiscard]] void* data(std::size_t i) const { return tensors_.at(i)->data; }
  [[nodiscard]] HostTensor read(std::size_t i) const;
  void write(std::size_t i, const std::vector<std::uint8_t>& bytes) const;

 private:
  void add(const tvm::ffi::Any& item);

  tvm::ffi::Any value_;
  std::vector<const DLTensor*> tensors_;  ///< null for a value that is not a tensor
};

/// Captures what `calls` launches on the stream in a CUDA graph. The graph is never destroyed, because the process ends
/// after its replays.
cudaGraphExec_t captured(cudaStream_t stream, const std::function<void()>& calls);

bool same_bits(const Observation& a, const Observation& b);

}  // namespace dsv4::bench
