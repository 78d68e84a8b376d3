#include "simt/waiting.h"

#include <map>
#include <tuple>

#include "simt/fault.h"

namespace simt {

const char* name_of(Collective operation) {
  static constexpr const char* kNames[] = {"griddepcontrol.wait", "the cluster's barrier",
                                           "__syncthreads",       "__syncthreads_count",
                                           "__syncthreads_and",   "__syncthreads_or",
                                           "__syncwarp",          "__shfl_sync",
                                           "__shfl_up_sync",      "__shfl_down_sync",
                                           "__shfl_xor_sync",     "__ballot_sync",
                                           "__any_sync",          "__all_sync",
                                           "__uni_sync",          "__match_any_sync",
                                           "__match_all_sync",    "__reduce_add_sync",
                                           "__reduce_min_sync",   "__reduce_max_sync",
                                           "__reduce_and_sync",   "__reduce_or_sync",
                                           "__reduce_xor_sync",   "elect.sync"};
  return kNames[static_cast<int>(operation)];
}

std::string describe_waiting(const std::vector<std::unique_ptr<Fiber>>& fibers, unsigned ended, unsigned threads) {
  struct Group {
    unsigned threads = 0;
    const Fiber* first = nullptr;
  };
  std::map<std::tuple<Collective, std::uint32_t, unsigned>, Group> groups;  // operation, mask, warp
  for (const auto& fiber : fibers) {
    if (!fiber->started || !fiber->waiting) continue;
    const bool block_wide = fiber->waits_in <= Collective::kBarrierOr;
    Group& group = groups[{fiber->waits_in, fiber->waits_mask, block_wide ? 0 : fiber->thread / kWarpLanes}];
    ++group.threads;
    if (group.first == nullptr || fiber->thread < group.first->thread) group.first = fiber.get();
  }
  std::string text;
  std::size_t shown = 0;
  for (const auto& [key, group] : groups) {
    if (++shown == 5) {
      text += "; and " + std::to_string(groups.size() - 4) + " more groups";
      break;
    }
    const auto [operation, mask, warp] = key;
    text += (shown > 1 ? "; " : "") + std::to_string(group.threads) +
            (group.threads == 1 ? " thread waits" : " threads wait") + " in " + name_of(operation);
    if (operation > Collective::kBarrierOr) text += " with mask " + to_hex(mask) + " of warp " + std::to_string(warp);
    text += " (first: thread " + to_string(group.first->index) + ")";
  }
  return text + (shown == 0 ? "" : "; ") + std::to_string(ended) + " of " + std::to_string(threads) +
         " threads have ended";
}

}  // namespace simt
