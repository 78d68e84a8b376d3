/// Helpers for the tests of the host executor. A test file is a .cu file with kernels and TESTs. It is compiled like a
/// module of the host set.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace simt_test {

/// Launches a kernel and returns the status of the launch.
template <typename Kernel, typename... Arguments>
cudaError_t launch(dim3 grid, dim3 block, Kernel kernel, Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// Launches a kernel in clusters of `cluster` blocks.
template <typename Kernel, typename... Arguments>
cudaError_t launch_clusters(dim3 cluster, dim3 grid, dim3 block, Kernel kernel, Arguments... arguments) {
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {cluster.x, cluster.y, cluster.z};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = 1024;
  config.attrs = attributes;
  config.numAttrs = 2;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// Launches a kernel that may begin before the previous kernel has ended (programmatic dependent launch).
template <typename Kernel, typename... Arguments>
cudaError_t launch_dependent(dim3 grid, dim3 block, Kernel kernel, Arguments... arguments) {
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.attrs = &attribute;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

template <typename Kernel, typename... Arguments>
cudaError_t launch_with_shared(std::size_t bytes, dim3 grid, dim3 block, Kernel kernel, Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = bytes;
  return cudaLaunchKernelEx(&config, kernel, arguments...);
}

/// Returns the error text of the last failed launch.
inline std::string failure() { return cudaGetErrorString(cudaGetLastError()); }

/// Returns the seeds of the schedules to try. Seed 0 gives the natural order; the other seeds shuffle it.
inline std::vector<std::uint64_t> seeds(int count = 12) {
  std::vector<std::uint64_t> list;
  for (int seed = 0; seed < count; ++seed) list.push_back(static_cast<std::uint64_t>(seed));
  return list;
}

class SimtTest : public ::testing::Test {
 protected:
  void TearDown() override {
    simt::configure(0);
    (void)cudaGetLastError();
  }
};

}  // namespace simt_test
