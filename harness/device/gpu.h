/// What the NVIDIA driver says about the GPU. Asking it opens no context. Its libraries are loaded only when it is
/// asked. A machine without them counts as a machine without a GPU.
#pragma once

#include <map>
#include <string>

namespace dsv4 {

/// Names of the driver's two libraries. Only tests use other names.
struct DriverLibraries {
  std::string cuda = "libcuda.so.1";
  std::string management = "libnvidia-ml.so.1";
};

/// Says in a few words why no kernel can run on a GPU here; "" if one can.
std::string gpu_missing(const DriverLibraries& libraries = {});

/// Facts about the GPU that kernels run on: "gpu" is its name, "driver" the driver's version. A fact that the driver
/// does not give is absent. Results from a GPU are worth little without these facts.
std::map<std::string, std::string> gpu_facts(const DriverLibraries& libraries = {});

}  // namespace dsv4
