#include "harness/device/gpu.h"

#include <dlfcn.h>

namespace dsv4 {
namespace {

constexpr int kLongestText = 256;

/// A shared library that stays loaded. The library or its functions may be missing.
class Library {
 public:
  explicit Library(const std::string& name) : handle_(dlopen(name.c_str(), RTLD_LAZY | RTLD_LOCAL)) {}

  [[nodiscard]] bool loaded() const { return handle_ != nullptr; }

  /// Calls a function that returns 0 on success. Returns true on success, and false if the function failed or does
  /// not exist.
  template <typename... Arguments>
  [[nodiscard]] bool call(const char* function, Arguments... arguments) const {
    const auto f = handle_ == nullptr ? nullptr : reinterpret_cast<int (*)(Arguments...)>(dlsym(handle_, function));
    return f != nullptr && f(arguments...) == 0;
  }

 private:
  void* handle_;
};

}  // namespace

std::string gpu_missing(const DriverLibraries& libraries) {
  const Library cuda(libraries.cuda);
  if (!cuda.loaded()) return "there is no CUDA driver on this machine (libcuda.so.1)";
  int devices = 0;
  if (!cuda.call("cuInit", 0U) || !cuda.call("cuDeviceGetCount", &devices) || devices == 0)
    return "the CUDA driver finds no device";
  return "";
}

std::map<std::string, std::string> gpu_facts(const DriverLibraries& libraries) {
  std::map<std::string, std::string> facts;
  char text[kLongestText] = "";
  const Library cuda(libraries.cuda);
  int device = 0;
  if (cuda.call("cuInit", 0U) && cuda.call("cuDeviceGet", &device, 0) &&
      cuda.call("cuDeviceGetName", &text[0], kLongestText, device)) {
    facts["gpu"] = text;
  }
  const Library management(libraries.management);
  if (management.call("nvmlInit_v2")) {
    if (management.call("nvmlSystemGetDriverVersion", &text[0], static_cast<unsigned>(kLongestText)))
      facts["driver"] = text;
    (void)management.call("nvmlShutdown");
  }
  return facts;
}

}  // namespace dsv4
