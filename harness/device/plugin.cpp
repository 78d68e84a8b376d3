#include "harness/device/plugin.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>

#include "harness/core/error.h"
#include "harness/core/paths.h"

namespace dsv4 {

void* plugin_function(const std::string& name, const std::string& function, const std::string& need,
                      const std::string& advice) {
  const std::filesystem::path exe = executable_folder();
  const std::string file = "lib" + name + ".so";
  void* plugin = nullptr;
  std::string tried;
  for (const std::string& path :
       {(exe / "lib" / file).string(), (exe / file).string(), (exe / "../lib" / file).string(), file}) {
    plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (plugin != nullptr) break;
    if (tried.empty() || std::filesystem::exists(path)) tried = dlerror();
  }
  if (plugin == nullptr) throw Error(fmt::format("{}, which could not be loaded: {}. {}", need, tried, advice));
  void* found = dlsym(plugin, function.c_str());
  if (found != nullptr) return found;
  throw Error(fmt::format("{} does not belong to this tool, because it does not have the function {}. Build it again",
                          file, function));
}

}  // namespace dsv4
