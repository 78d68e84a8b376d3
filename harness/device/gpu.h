/// Asks the NVIDIA driver about the GPU, without opening a GPU context. The driver's libraries are loaded only when
/// these functions are called. A machine without the libraries counts as a machine without a GPU.
#pragma once

#include <map>
#include <string>

namespace dsv4 {

/// Names of the driver's two libraries. Only tests use other names.
struct DriverLibraries {
  std::string cuda = "libcuda.so.1";
  std::string management = "libnvidia-ml.so.1";
};

/// Says in a few words why this machine cannot run kernels on a GPU; "" if it can.
std::string gpu_missing(const DriverLibraries& libraries = {});

/// Facts about the GPU that kernels run on: "gpu" is its name, and "driver" is the driver's version. A fact that the
/// driver does not give is absent. Results from a GPU are worth little without these facts, because they can depend
/// on both.
std::map<std::string, std::string> gpu_facts(const DriverLibraries& libraries = {});

}  // namespace dsv4
