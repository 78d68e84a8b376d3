/// The operations in which the threads of a block wait: the block's barrier, and the collectives of its warps.
#include <driver_types.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "simt/fault.h"
#include "simt/scheduler.h"
#include "simt/waiting.h"

namespace simt {

// --- block barrier --------------------------------------------------------------------------------------------------

int Scheduler::barrier(Collective form, bool predicate) {
  Barrier& b = block_->barrier;
  if (b.arrived == 0) {
    b.form = form;
  } else if (b.form != form) {
    fail(cudaErrorLaunchFailure, std::string("calls ") + name_of(form) + ", but thread " +
                                     to_string(b.waiting[0]->index) + " waits in " + name_of(b.form) +
                                     ". All threads of a block must wait in the same barrier");
  }
  b.waiting[b.arrived++] = current_;
  b.agreed += predicate ? 1 : 0;
  if (b.arrived + block_->ended == threads_) {
    current_->waiting = true;
    release_barrier();
    switch_away();
  } else {
    wait(form, 0);
  }
  // A later barrier cannot be released before this thread arrives there, so `b.result` is still the result of
  // this barrier.
  if (form == Collective::kBarrierAnd) return b.result == b.voters;
  if (form == Collective::kBarrierOr) return b.result != 0;
  return static_cast<int>(b.result);
}

void Scheduler::release_barrier() {
  Barrier& b = block_->barrier;
  b.result = b.agreed;
  b.voters = b.arrived;
  wake_all(*block_, b);
}

/// Wakes the threads of a block that wait in a barrier.
void Scheduler::wake_all(Block& block, Barrier& b) {
  if (block.policy == Policy::kWarpByWarp) {
    const std::uint64_t key = random();
    std::sort(b.waiting.begin(), b.waiting.begin() + b.arrived, [key](const Fiber* x, const Fiber* y) {
      const auto rank = [key](const Fiber* f) {
        return std::pair(mix(key + f->thread / kWarpLanes), mix(key + f->thread));
      };
      return rank(x) < rank(y);
    });
  }
  for (unsigned i = 0; i < b.arrived; ++i) wake(b.waiting[i], false);
  b.arrived = b.agreed = 0;
}

// --- warp collectives -----------------------------------------------------------------------------------------------

Exchange& Scheduler::join(std::uint32_t mask, Collective operation, std::uint64_t value) {
  const std::uint32_t self = 1u << executor.lane;
  if ((mask & self) == 0) {
    fail(cudaErrorLaunchFailure, std::string("calls ") + name_of(operation) + " with mask " + to_hex(mask) +
                                     ", but the mask does not contain the calling lane " +
                                     std::to_string(executor.lane));
  }
  Warp& warp = block_->warps[executor.warp];
  unsigned slot = 0;
  while (slot < warp.open_count && warp.open[slot]->mask != mask) ++slot;
  if (slot == warp.open_count) {
    if (free_exchanges_.empty()) {
      exchanges_.push_back(std::make_unique<Exchange>());
      free_exchanges_.push_back(exchanges_.back().get());
    }
    Exchange* fresh = free_exchanges_.back();
    free_exchanges_.pop_back();
    fresh->mask = mask;
    fresh->arrived = 0;
    fresh->operation = operation;
    warp.open[warp.open_count++] = fresh;
  }
  Exchange& exchange = *warp.open[slot];
  if (exchange.operation != operation) {
    fail(cudaErrorLaunchFailure, std::string("calls ") + name_of(operation) + " with mask " + to_hex(mask) +
                                     ", but other lanes of this mask wait in " + name_of(exchange.operation) +
                                     ". All lanes of a mask must call the same collective");
  }
  exchange.arrived |= self;
  exchange.value[executor.lane] = value;
  exchange.waiting[executor.lane] = current_;
  if (((exchange.arrived | warp.ended) & mask) == mask) {
    complete(warp, slot);
    switch_away();
  } else {
    wait(operation, mask);
  }
  return exchange;
}

void Scheduler::complete(Warp& warp, unsigned slot) {
  Exchange& exchange = *warp.open[slot];
  warp.open[slot] = warp.open[--warp.open_count];
  exchange.unread = static_cast<unsigned>(std::popcount(exchange.arrived));
  for (std::uint32_t lanes = exchange.arrived; lanes != 0; lanes &= lanes - 1) {
    wake(exchange.waiting[std::countr_zero(lanes)], block_->policy == Policy::kWarpByWarp);
  }
}

void Scheduler::leave(Exchange& exchange) {
  if (--exchange.unread == 0) free_exchanges_.push_back(&exchange);
}

}  // namespace simt
