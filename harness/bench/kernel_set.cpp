#include "harness/bench/kernel_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "harness/core/error.h"

namespace dsv4::bench {

KernelSet::KernelSet(const std::string& name_or_folder) : manifest_(find_set(name_or_folder)) {
  if (manifest_.device != DeviceKind::kCuda) {
    throw Error(fmt::format("{}: set '{}' does not run on a GPU; only sets with device 'cuda' can be timed",
                            manifest_.folder, manifest_.name));
  }
}

std::optional<tvm::ffi::Function> KernelSet::find(const Op& op, const Call& call) {
  const ManifestEntry* entry = manifest_.find(call);
  const auto& abis = op.info().abis;
  if (entry == nullptr || std::ranges::find(abis, entry->abi) == abis.end()) return std::nullopt;
  const std::string file = (std::filesystem::absolute(manifest_.folder) / entry->module).string();
  if (!loaded_.contains(entry->module)) {
    if (sha256_of_file(file) != manifest_.modules.at(entry->module).sha256) {
      throw Error(fmt::format("{}: is not the file that the manifest of '{}' describes. Build the set again", file,
                              manifest_.name));
    }
    loaded_.emplace(entry->module, tvm::ffi::Module::LoadFromFile(file));
  }
  auto found = loaded_.at(entry->module)->GetFunction(entry->function);
  if (!found.has_value()) throw Error(fmt::format("{}: exports no function '{}'", file, entry->function));
  return found.value();
}

}  // namespace dsv4::bench
