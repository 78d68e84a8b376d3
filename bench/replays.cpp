#include "bench/replays.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

#include "harness/core/error.h"
#include "harness/sets/ffi_types.h"

namespace dsv4::bench {

namespace ffi = tvm::ffi;

Ended in_own_process(const std::function<Ended()>& body) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) throw Error("cannot start a process");
  if (child == 0) {
    const Ended ended = body();
    std::fflush(stdout);
    _exit(static_cast<int>(ended));
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return Ended::kWrong;
  return static_cast<Ended>(WEXITSTATUS(status));
}

void Tally::add(Ended ended) {
  ran += ended == Ended::kAgrees || ended == Ended::kDiffers ? 1 : 0;
  differ += ended == Ended::kDiffers ? 1 : 0;
  wrong += ended == Ended::kWrong ? 1 : 0;
}

int run_program(CLI::App& app, int argc, char** argv, const char* name, const std::function<int()>& body) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  try {
    return body();
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", name, e.what());
    return 2;
  }
}

Returned::Returned(ffi::Any value) : value_(std::move(value)) {
  if (const auto list = value_.as<ffi::Array<ffi::Any>>()) {
    for (const ffi::Any& item : *list) add(item);
  } else if (value_ != nullptr) {
    add(value_);
  }
}

void Returned::add(const ffi::Any& item) {
  const auto tensor = item.as<ffi::Tensor>();
  tensors_.push_back(tensor.has_value() ? tensor.value().GetDLTensorPtr() : nullptr);
}

HostTensor Returned::read(std::size_t i) const {
  const DLTensor& t = *tensors_.at(i);
  HostTensor host = HostTensor::make(from_dlpack(t.dtype), Shape(t.shape, t.shape + t.ndim));
  check_cuda(cudaMemcpy(host.storage.data(), t.data, host.storage.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  return host;
}

void Returned::write(std::size_t i, const std::vector<std::uint8_t>& bytes) const {
  check_cuda(cudaMemcpy(data(i), bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "cudaMemcpy");
}

cudaGraphExec_t captured(cudaStream_t stream, const std::function<void()>& calls) {
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
  calls();
  cudaGraph_t graph = nullptr;
  check_cuda(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t executable = nullptr;
  check_cuda(cudaGraphInstantiate(&executable, graph, 0), "cudaGraphInstantiate");
  check_cuda(cudaGraphDestroy(graph), "cudaGraphDestroy");
  return executable;
}

bool same_bits(const Observation& a, const Observation& b) {
  if (a.outputs.size() != b.outputs.size()) return false;
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    const HostTensor &x = a.outputs[i].value, &y = b.outputs[i].value;
    if (x.shape != y.shape || x.packed().storage != y.packed().storage) return false;
  }
  return true;
}

}  // namespace dsv4::bench
