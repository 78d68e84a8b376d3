/// What the NVIDIA driver says of the GPU. Asking it opens no context. Its libraries are looked for when it is asked: a
/// machine without them is a machine without a GPU.
#pragma once

#include <map>
#include <string>

namespace dsv4 {

/// Where the driver's two libraries are found. Others are for tests.
struct DriverLibraries {
  std::string cuda = "libcuda.so.1";
  std::string management = "libnvidia-ml.so.1";
};

/// Why no kernel can run on a GPU here, in a few words; "" if one can.
std::string gpu_missing(const DriverLibraries& libraries = {});

/// "gpu" (its name) and "driver" (its release) of the GPU that kernels run on, as far as they are told. Results from a
/// GPU are worth little without.
std::map<std::string, std::string> gpu_facts(const DriverLibraries& libraries = {});

}  // namespace dsv4
