#include "kernels/simt/executor.h"

#include <driver_types.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <numeric>
#include <tuple>
#include <vector>

#include "kernels/simt/fault.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/schedule.h"
#include "kernels/simt/shared_memory.h"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace simt {

Executor executor;

namespace {

using boost::context::detail::transfer_t;

constexpr unsigned kAtomicsInARow = 4096;
/// So many atomics (half a second) without any thread starting, ending or passing a barrier: they spin.
constexpr std::uint64_t kSpinningAtomics = std::uint64_t{1} << 26;
constexpr unsigned kAtomicsOfASleep = 256;  ///< what __nanosleep counts for

/// Not even the first fiber of a launch could be made.
struct OutOfStacks {};

/// Everything about the launch in progress.
class Scheduler {
 public:
  int run(const LaunchRequest& request);

  Exchange& join(std::uint32_t mask, Collective operation, std::uint64_t value);
  void leave(Exchange& exchange);
  int barrier(Collective form, bool predicate);
  void yield(unsigned atomics);
  void after_many_atomics() { yield(atomics_in_a_row_); }
  [[noreturn]] void fail(int code, std::string&& what);
  bool in_kernel() const { return current_ != nullptr && current_ != &launcher_; }
  void* dynamic_shared() { return shared_.dynamic(); }
  std::uint32_t live_lanes() const { return ~warps_[executor.warp].ended; }
  void configure(std::uint64_t seed);

  std::mutex mutex;

 private:
  static void fiber_main(transfer_t transfer);
  void run_threads();
  void begin_block(std::uint64_t block);
  int end_block();
  void shuffle_threads();
  bool start_next();
  void end_thread();
  void wait(Collective operation, std::uint32_t mask);
  void wake(Fiber* fiber, bool first);
  void switch_away(bool prefer_new = false);
  void go(Fiber& next);
  void set_running(const Fiber& fiber);
  Fiber& idle_fiber();
  void release_barrier();
  void complete(Warp& warp, unsigned slot);
  void discard_fibers();
  std::string stuck() const;
  [[noreturn]] void end_launch_with(int code, std::string&& text);

  std::uint64_t random() { return mix(random_state_++); }
  bool shuffled() const { return executor.seed != 0; }
  bool fair() const { return policy_ == Policy::kFair; }
  void reset_atomics() {
    atomics_in_a_row_ = shuffled() ? 1 + static_cast<unsigned>(random() >> 60) : kAtomicsInARow;
    executor.atomics_until_yield = atomics_in_a_row_;
  }

  const LaunchRequest* request_ = nullptr;
  Fiber launcher_;
  Fiber* current_ = nullptr;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
  RunQueue runnable_;
  SharedMemory shared_;

  Policy policy_ = Policy::kNatural;
  unsigned threads_ = 0;  ///< of a block
  unsigned unstarted_ = 0;
  unsigned ended_ = 0;
  unsigned atomics_in_a_row_ = 1;
  std::uint64_t atomics_since_progress_ = 0;
  std::array<std::uint16_t, kMaxThreads> order_{};  ///< in which threads start

  struct Barrier {
    Collective form = Collective::kBarrier;
    unsigned arrived = 0;
    unsigned agreed = 0;
    unsigned result = 0;  ///< of the barrier that was released last
    unsigned voters = 0;
    std::array<Fiber*, kMaxThreads> waiting{};
  } barrier_;
  std::array<Warp, kMaxThreads / kWarpLanes> warps_{};
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> free_exchanges_;

  std::uint64_t random_state_ = 0;
  std::uint64_t launches_ = 0;  ///< since `configure`
};

Scheduler& scheduler() {
  static Scheduler instance;
  return instance;
}

// --- a launch -------------------------------------------------------------------------------------------------------

int Scheduler::run(const LaunchRequest& request) {
  clear_fault();
  request_ = &request;
  random_state_ = mix(executor.seed) + (mix(++launches_) << 1);
  threads_ = request.block.x * request.block.y * request.block.z;
  blockDim = request.block;
  gridDim = request.grid;
  shared_.begin_launch(request.dynamic_shared_bytes);
  std::iota(order_.begin(), order_.begin() + threads_, std::uint16_t{0});

  // Blocks in a shuffled order: multiples of a number that has no factor in common with their count.
  const std::uint64_t blocks = std::uint64_t{request.grid.x} * request.grid.y * request.grid.z;
  std::uint64_t step = 1, first = 0;
  if (shuffled()) {
    first = random() % blocks;
    do step = 1 + random() % blocks;
    while (std::gcd(step, blocks) != 1);
  }
  int status = cudaSuccess;
  current_ = &launcher_;
  for (std::uint64_t i = 0, block = first; i < blocks && status == cudaSuccess; ++i) {
    begin_block(block);
    try {
      go(idle_fiber());
      status = end_block();
    } catch (const OutOfStacks&) {
      status = last_fault().code;
    }
    block += step;
    if (block >= blocks) block -= blocks;
  }
  shared_.end_launch();
  current_ = nullptr;
  request_ = nullptr;
  return status;
}

void Scheduler::begin_block(std::uint64_t block) {
  const dim3& grid = request_->grid;
  blockIdx = {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(block / grid.x % grid.y),
              static_cast<unsigned>(block / grid.x / grid.y)};
  shared_.begin_block(undefined_word());
  unstarted_ = threads_;
  ended_ = 0;
  atomics_since_progress_ = 0;
  barrier_.arrived = barrier_.agreed = 0;
  for (unsigned first = 0; first < threads_; first += kWarpLanes) {
    const unsigned lanes = std::min(threads_ - first, kWarpLanes);
    warps_[first / kWarpLanes].ended = lanes == kWarpLanes ? 0 : ~0u << lanes;
  }
  policy_ = Policy::kNatural;
  if (shuffled()) {
    policy_ = random() % 2 == 0 ? Policy::kFair : Policy::kWarpByWarp;
    shuffle_threads();
  }
  reset_atomics();
}

/// The order in which threads start: any, or warps in any order and their lanes.
void Scheduler::shuffle_threads() {
  const auto begin = order_.begin();
  std::iota(begin, begin + threads_, std::uint16_t{0});
  const auto shuffle = [this](auto first, std::size_t count) {
    for (std::size_t i = count; i > 1; --i) std::swap(first[i - 1], first[random() % i]);
  };
  if (fair()) return shuffle(begin, threads_);
  for (unsigned first = 0; first < threads_; first += kWarpLanes) {
    shuffle(begin + first, std::min(threads_ - first, kWarpLanes));
  }
  const unsigned warps = threads_ / kWarpLanes;  // a last, partial warp stays where it is
  for (unsigned i = warps; i > 1; --i) {
    const auto a = begin + (i - 1) * kWarpLanes, b = begin + random() % i * kWarpLanes;
    if (a != b) std::swap_ranges(a, a + kWarpLanes, b);
  }
}

/// Back in the launcher: every thread has ended, or the launch has failed.
int Scheduler::end_block() {
  if (last_fault().code != cudaSuccess) {
    discard_fibers();
    return last_fault().code;
  }
  const std::ptrdiff_t damaged = shared_.damaged_guard();
  if (damaged == SharedMemory::kIntact) return cudaSuccess;
  set_fault(cudaErrorIllegalAddress, kernel_name(request_->kernel) + ", block " + to_string(blockIdx) +
                                         ": wrote to byte " + std::to_string(damaged) +
                                         " of dynamic shared memory, of which the launch asked for " +
                                         std::to_string(request_->dynamic_shared_bytes) + " bytes");
  return cudaErrorIllegalAddress;
}

/// After a failure every fiber may stand in the middle of a kernel. None of them goes on.
void Scheduler::discard_fibers() {
  runnable_.clear();
  idle_.clear();
  for (const auto& fiber : fibers_) {
    prepare(*fiber, &Scheduler::fiber_main);
    idle_.push_back(fiber.get());
  }
  for (Warp& warp : warps_) warp.open_count = 0;
  free_exchanges_.clear();
  for (const auto& exchange : exchanges_) free_exchanges_.push_back(exchange.get());
}

// --- fibers ---------------------------------------------------------------------------------------------------------

Fiber& Scheduler::idle_fiber() {
  if (idle_.empty()) {
    auto fiber = std::make_unique<Fiber>();
    try {
      prepare(*fiber, &Scheduler::fiber_main);
    } catch (const std::bad_alloc&) {
      end_launch_with(cudaErrorMemoryAllocation, "no memory for the stack of one more thread");
    }
    fibers_.push_back(std::move(fiber));
    return *fibers_.back();
  }
  Fiber* fiber = idle_.back();
  idle_.pop_back();
  return *fiber;
}

void Scheduler::fiber_main(transfer_t transfer) {
  Scheduler& self = scheduler();
  arrive_in_new_fiber(*self.current_, transfer);
  for (;;) {
    self.run_threads();
    self.idle_.push_back(self.current_);
    self.switch_away();
  }
}

/// Runs one thread after the other until none is left to start, or another one is to go on.
void Scheduler::run_threads() {
  while (start_next()) {
    request_->invoke(request_->arguments);
    end_thread();
    if (!runnable_.empty() && (!fair() || unstarted_ == 0 || random() % 2 == 0)) return;
  }
}

bool Scheduler::start_next() {
  if (unstarted_ == 0) return false;
  const unsigned thread = order_[threads_ - unstarted_--];
  atomics_since_progress_ = 0;
  const dim3& block = request_->block;
  Fiber& fiber = *current_;
  fiber.started = true;
  fiber.thread = thread;
  unsigned x = thread, y = 0, z = 0;
  if (block.x != threads_) {
    x = thread % block.x;
    y = thread / block.x % block.y;
    z = thread / block.x / block.y;
  }
  // Set both from registers: reading back what was just written, as one wider word, would stall the processor.
  fiber.index.x = threadIdx.x = x;
  fiber.index.y = threadIdx.y = y;
  fiber.index.z = threadIdx.z = z;
  executor.lane = thread % kWarpLanes;
  executor.warp = thread / kWarpLanes;
  return true;
}

void Scheduler::end_thread() {
  current_->started = false;
  ++ended_;
  atomics_since_progress_ = 0;
  Warp& warp = warps_[executor.warp];
  warp.ended |= 1u << executor.lane;
  // Whoever waited for this thread only need not wait any longer.
  if (barrier_.arrived != 0 && barrier_.arrived + ended_ == threads_) release_barrier();
  for (unsigned i = warp.open_count; i-- > 0;) {
    if (((warp.open[i]->arrived | warp.ended) & warp.open[i]->mask) == warp.open[i]->mask) complete(warp, i);
  }
}

void Scheduler::set_running(const Fiber& fiber) {
  threadIdx = fiber.index;
  executor.lane = fiber.thread % kWarpLanes;
  executor.warp = fiber.thread / kWarpLanes;
}

void Scheduler::go(Fiber& next) {
  Fiber& self = *current_;
  current_ = &next;
  if (next.started) set_running(next);
  switch_fiber(self, next);
}

/// Gives the processor to whoever can use it: a thread that can go on, one that has not started, or, at the end of the
/// block, the launcher.
void Scheduler::switch_away(bool prefer_new) {
  if (fair()) prefer_new = random() % 2 == 0;
  if (shuffled()) reset_atomics();
  Fiber* next = nullptr;
  if (!runnable_.empty() && !(prefer_new && unstarted_ != 0)) {
    next = runnable_.pop(fair() ? static_cast<unsigned>(random() >> 33) : 0);
  } else if (unstarted_ != 0) {
    next = &idle_fiber();
  } else if (ended_ == threads_) {
    next = &launcher_;
  } else {
    end_launch_with(cudaErrorLaunchFailure, "no thread can go on: " + stuck());
  }
  if (next != current_) go(*next);
}

void Scheduler::wait(Collective operation, std::uint32_t mask) {
  current_->waiting = true;
  current_->waits_in = operation;
  current_->waits_mask = mask;
  switch_away();
}

void Scheduler::wake(Fiber* fiber, bool first) {
  fiber->waiting = false;
  atomics_since_progress_ = 0;
  first ? runnable_.push_front(fiber) : runnable_.push(fiber);
}

void Scheduler::yield(unsigned atomics) {
  if (!in_kernel()) return;
  atomics_since_progress_ += atomics;
  if (atomics_since_progress_ > kSpinningAtomics) {
    fail(cudaErrorLaunchTimeout,
         "spins on memory that nothing changes: blocks run one after another here, so a thread cannot wait for "
         "another block (" +
             stuck() + ")");
  }
  reset_atomics();
  if (runnable_.empty() && unstarted_ == 0) return;
  // Without a seed the threads that have not started are preferred: they may be what this one waits for.
  runnable_.push(current_);
  switch_away(true);
}

// --- block barrier --------------------------------------------------------------------------------------------------

int Scheduler::barrier(Collective form, bool predicate) {
  Barrier& b = barrier_;
  if (b.arrived == 0) {
    b.form = form;
  } else if (b.form != form) {
    fail(cudaErrorLaunchFailure, std::string("calls ") + name_of(form) + " while thread " +
                                     to_string(b.waiting[0]->index) + " waits in " + name_of(b.form) +
                                     ": a block's threads must meet in the same barrier");
  }
  b.waiting[b.arrived++] = current_;
  b.agreed += predicate ? 1 : 0;
  if (b.arrived + ended_ == threads_) {
    current_->waiting = true;
    release_barrier();
    switch_away();
  } else {
    wait(form, 0);
  }
  // No later barrier can be released before this thread arrives there, so the result is still that of this one.
  if (form == Collective::kBarrierAnd) return b.result == b.voters;
  if (form == Collective::kBarrierOr) return b.result != 0;
  return static_cast<int>(b.result);
}

void Scheduler::release_barrier() {
  Barrier& b = barrier_;
  b.result = b.agreed;
  b.voters = b.arrived;
  if (policy_ == Policy::kWarpByWarp) {
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
                                     ", which does not name its own lane " + std::to_string(executor.lane));
  }
  Warp& warp = warps_[executor.warp];
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
                                     " while other lanes that it names wait in " + name_of(exchange.operation));
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
    wake(exchange.waiting[std::countr_zero(lanes)], policy_ == Policy::kWarpByWarp);
  }
}

void Scheduler::leave(Exchange& exchange) {
  if (--exchange.unread == 0) free_exchanges_.push_back(&exchange);
}

// --- failures -------------------------------------------------------------------------------------------------------

void Scheduler::fail(int code, std::string&& what) {
  what.insert(0, "thread " + (in_kernel() ? to_string(current_->index) : "outside of a kernel") + ": ");
  end_launch_with(code, std::move(what));
}

/// Records the failure and returns to the launcher. The fiber that fails is not continued, nothing on its stack is
/// destroyed: so the text is taken over and emptied here.
void Scheduler::end_launch_with(int code, std::string&& text) {
  if (request_ == nullptr) {  // a device function was called by host code: there is nothing to return to
    std::fprintf(stderr, "simt: %s\n", text.c_str());
    std::abort();
  }
  set_fault(code, kernel_name(request_->kernel) + ", block " + to_string(blockIdx) + ", " + text);
  std::string().swap(text);
  if (current_ == &launcher_) throw OutOfStacks();
  Fiber& self = *current_;
  current_ = &launcher_;
  abandon_fiber(self, launcher_);
}

/// What keeps the block's threads from going on, grouped.
std::string Scheduler::stuck() const {
  struct Group {
    unsigned threads = 0;
    const Fiber* first = nullptr;
  };
  std::map<std::tuple<Collective, std::uint32_t, unsigned>, Group> groups;  // operation, mask, warp
  for (const auto& fiber : fibers_) {
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
      text += "; and " + std::to_string(groups.size() - 4) + " groups more";
      break;
    }
    const auto [operation, mask, warp] = key;
    text += (shown > 1 ? "; " : "") + std::to_string(group.threads) + (group.threads == 1 ? " waits" : " wait") +
            " in " + name_of(operation);
    if (operation > Collective::kBarrierOr) text += " with mask " + to_hex(mask) + " of warp " + std::to_string(warp);
    text += " (first: thread " + to_string(group.first->index) + ")";
  }
  return text + (shown == 0 ? "" : "; ") + std::to_string(ended_) + " of " + std::to_string(threads_) + " have ended";
}

void Scheduler::configure(std::uint64_t seed) {
  executor.seed = seed;
  launches_ = 0;
}

}  // namespace

const char* name_of(Collective operation) {
  static constexpr const char* kNames[] = {"__syncthreads",    "__syncthreads_count", "__syncthreads_and",
                                           "__syncthreads_or", "__syncwarp",          "__shfl_sync",
                                           "__shfl_up_sync",   "__shfl_down_sync",    "__shfl_xor_sync",
                                           "a vote",           "__match_sync",        "__reduce_sync"};
  return kNames[static_cast<int>(operation)];
}

Exchange& join(std::uint32_t mask, Collective operation, std::uint64_t value) {
  return scheduler().join(mask, operation, value);
}
void leave(Exchange& exchange) { scheduler().leave(exchange); }
int barrier(Collective form, bool predicate) { return scheduler().barrier(form, predicate); }
void yield() { scheduler().yield(kAtomicsOfASleep); }
void after_many_atomics() { scheduler().after_many_atomics(); }
std::uint32_t live_lanes() { return scheduler().live_lanes(); }
void fail_kernel(int code, std::string&& what) { scheduler().fail(code, std::move(what)); }
void* dynamic_shared_memory() { return scheduler().dynamic_shared(); }
bool in_kernel() { return scheduler().in_kernel(); }

std::uint32_t undefined_word() {
  // A NaN, which arithmetic carries on; numbers so large that a maximum keeps them, of either sign; and as an index all
  // of them lie far outside of any array. Which one comes first depends on the seed.
  static constexpr std::uint32_t kPatterns[] = {0x7FF5A5A5u, 0x7E3C3C3Cu, 0xFE69A5C3u, 0xFFD2B4E1u};
  return kPatterns[executor.seed % 4] ^ static_cast<std::uint32_t>(mix(executor.seed) & 0xFFFu);
}

int run(const LaunchRequest& request) {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  return s.run(request);
}

void configure(std::uint64_t seed) {
  Scheduler& s = scheduler();
  const std::lock_guard lock(s.mutex);
  s.configure(seed);
}

}  // namespace simt
