/// Makes a call across the ABI. Copies the arguments into memory between guard bands, makes one TVM-FFI call, copies
/// the arguments back and checks them.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/c_env_api.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include "harness/core/error.h"
#include "harness/core/poison.h"
#include "harness/device/allocations.h"
#include "harness/device/crash_report.h"
#include "harness/device/far_block.h"
#include "harness/device/memory.h"
#include "harness/sets/ffi_types.h"
#include "harness/sets/late_writes.h"
#include "harness/sets/module.h"
#include "harness/sets/sanitizer.h"
#include "harness/sets/set.h"

namespace dsv4 {
namespace {

namespace ffi = tvm::ffi;

/// A tensor argument during a call: its memory block, the DLTensor that the function sees, and the bytes of its storage
/// before the call. The block holds the storage's bytes from `first` to `last`.
struct Lent {
  std::unique_ptr<MemoryBlock> block;
  DLTensor view{};
  std::vector<std::uint8_t> before;
  std::size_t first = 0;
  std::size_t last = 0;
};

/// Sets `first` and `last` to the part of the storage that the tensor needs: its elements, and bytes that the call may
/// change.
void trim(const Arg& arg, Lent& lent) {
  const std::vector<std::uint8_t> elements = arg.tensor().view_mask();
  const auto needed = [&](std::size_t i) {
    return elements[i] != 0 || (i < arg.footprint.size() && arg.footprint[i] != 0);
  };
  while (lent.last > 0 && !needed(lent.last - 1)) --lent.last;
  while (lent.first < lent.last && !needed(lent.first)) ++lent.first;
}

/// Names a function of a set, for messages.
std::string place_of(const Manifest& manifest, const ManifestEntry& entry) {
  return fmt::format("set '{}', op '{}', function '{}' of {}", manifest.name, entry.op, entry.function, entry.module);
}

/// Returns the path of a module. Throws SetError if its file is missing or was changed. `where` begins the message.
std::string require_intact(const Manifest& manifest, const std::string& file, const std::string& where) {
  const std::filesystem::path path = std::filesystem::absolute(manifest.folder) / file;
  std::error_code none;
  if (!std::filesystem::exists(path, none)) {
    throw SetError(fmt::format("{}: the module file is missing ({}). Build the set again", where, path.string()));
  }
  if (!std::filesystem::is_regular_file(path, none)) {
    throw SetError(fmt::format("{}: the module {} is not a regular file. Build the set again", where, path.string()));
  }
  const std::string expected = manifest.modules.at(file).sha256;
  const std::string actual = sha256_of_file(path.string());
  if (actual != expected) {
    throw SetError(
        fmt::format("{}: the module's SHA-256 is {}, but the manifest says {}. The file was changed after the set was "
                    "built; build it again",
                    where, actual, expected));
  }
  return path.string();
}

class SetCaller final : public Caller {
 public:
  SetCaller(Manifest manifest, KnownAbis abis)
      : manifest_(std::move(manifest)), abis_(std::move(abis)), host_(make_host_memory()) {
    std::string why;
    if (!device_available(manifest_.device, &why)) {
      throw Error(fmt::format(
          "set '{}' needs a GPU: {}. Choose a CPU set (for instance --set host), or run on a machine with a GPU",
          manifest_.name, why));
    }
    if (why = why_other_sanitizer(manifest_); !why.empty()) throw Error(why);
    if (manifest_.device == DeviceKind::kCuda) device_ = make_cuda_memory();
  }

  [[nodiscard]] const std::string& name() const override { return manifest_.name; }
  [[nodiscard]] bool is_reference() const override {
    return manifest_.device == DeviceKind::kCpu && manifest_.name == "reference";
  }
  [[nodiscard]] bool errors_name_arguments() const override { return manifest_.errors_name_arguments; }
  [[nodiscard]] bool usable() const override { return usable_; }
  [[nodiscard]] bool shows_overlap() const override { return manifest_.device == DeviceKind::kSimt; }
  [[nodiscard]] bool shows_edges() const override { return manifest_.device != DeviceKind::kCuda; }
  [[nodiscard]] bool has_device() const override { return manifest_.device != DeviceKind::kCpu; }

  CallResult call(const Call& call, const CallOptions& options) override {
    try {
      CallResult result = guarded_call(call, options);
      // A function may launch on another stream than the one that it was given. If its kernel makes the GPU context
      // unusable, this call must report it. Otherwise the next call would.
      device().synchronize_device();
      return result;
    } catch (const DeviceLost&) {
      usable_ = false;
      throw;
    }
  }

 private:
  CallResult guarded_call(const Call& call, const CallOptions& options) {
    Module* module = nullptr;
    std::string name;
    const ffi::Function function = resolve(call, module, name);
    if (options.edge != Edge::kNone && !shows_edges())
      throw Unsupported("inaccessible pages can adjoin tensors in host memory only");
    if (module->configure && module->schedule != options.schedule) {
      (*module->configure)(static_cast<std::int64_t>(options.schedule));
      module->schedule = options.schedule;
    }
    CallResult result;
    result.args = call.args;
    std::vector<Lent> lent(call.args.size());
    Predecessor predecessor(*module);
    LateWriteWatch watch(*module);
    if (options.late_allocations || !options.late.empty()) predecessor.require();
    if (options.watch_late_writes) watch.require(options);
    const WatchedCall watched(manifest_.name, call.op, name);
    Allocations allocations(
        device(), *host_,
        {.poison = options.poison, .on_device = surround(true, options.edge), .on_host = surround(false, options.edge)},
        [&](const GuardedBlock& block, bool on_device) {
          WatchedCall::add("a tensor allocated by the function", block.payload(), block.bytes());
          if (!on_device) return;
          if (options.late_allocations) predecessor.writes(block.payload(), std::vector<std::uint8_t>(block.bytes()));
          if (options.watch_late_writes) {
            watch.add("memory that the function allocates", block.payload(), block.bytes());
          }
        });
    std::vector<ffi::AnyView> packed;
    for (std::size_t i = 0; i < call.args.size(); ++i) {
      const ffi::AnyView argument = lend(call.args[i], options, lent[i]);
      if (call.args[i].reached_by.empty()) packed.push_back(argument);
    }
    for (std::size_t i = 0; i < call.args.size(); ++i) tell_addresses(call, i, lent);
    for (const LateArgument& late : options.late) make_late(call, lent, options, late, predecessor);
    if (options.watch_late_writes) watch_arguments(call, lent, watch);

    ffi::Any returned;
    try {
      arm(lent, true);
      const StreamScope stream(manifest_.device, device().stream());
      function.CallPacked(packed.data(), static_cast<std::int32_t>(packed.size()), &returned);
      const std::string left_behind = device().take_error();
      device().synchronize();
      arm(lent, false);
      allocations.disarm();
      if (!left_behind.empty()) {
        result.findings.push_back(
            {"unreported_error",
             fmt::format("the function returned without an error, but a launch failed: {}", left_behind)});
      }
    } catch (const ffi::Error& e) {
      arm(lent, false);
      allocations.disarm();
      result.refusal = fmt::format("{}: {}", std::string(e.kind()), std::string(e.message()));
      (void)device().take_error();  // the refusal already reports this error
    }
    collect(call, lent, result);
    for (const Arg& arg : call.args) {
      if (arg.reached_by.empty()) continue;
      const auto holder = std::ranges::find(result.args, arg.reached_by, &Arg::name);
      holder->value = call.arg(arg.reached_by).value;
    }
    if (options.watch_late_writes) {
      result.late.findings = watch.findings();
      for (const Lent& l : lent) {
        result.late.args.push_back(l.block ? watch.late_bytes(l.block->payload()) : std::vector<std::uint8_t>{});
      }
    }
    if (!result.refusal) spread(returned, allocations, result, options.watch_late_writes ? &watch : nullptr);
    for (const auto& block : allocations.blocks()) block->check("a tensor allocated by the function", result.findings);
    return result;
  }

  /// Sets TVM-FFI's stream for the device while a call runs.
  class StreamScope {
   public:
    StreamScope(DeviceKind kind, void* stream) : active_(kind == DeviceKind::kCuda) {
      if (active_) TVMFFIEnvSetStream(kDLCUDA, 0, stream, &previous_);
    }
    ~StreamScope() {
      if (active_) TVMFFIEnvSetStream(kDLCUDA, 0, previous_, nullptr);
    }
    StreamScope(const StreamScope&) = delete;
    StreamScope& operator=(const StreamScope&) = delete;

   private:
    bool active_;
    TVMFFIStreamHandle previous_ = nullptr;
  };

  static void make_late(const Call& call, const std::vector<Lent>& lent, const CallOptions& options,
                        const LateArgument& late, Predecessor& predecessor) {
    const auto arg = std::ranges::find(call.args, late.name, &Arg::name);
    if (arg == call.args.end() || !arg->is_tensor() || arg->far_layout) {
      throw Error(fmt::format("op '{}' has no tensor argument '{}' that can be late", call.op, late.name));
    }
    if (options.edge != Edge::kNone) throw Error("a call cannot have both a late argument and an edge");
    if (late.earlier.size() != arg->tensor().storage.size()) {
      throw Error(
          fmt::format("op '{}': the earlier content of '{}' must have the size of the argument", call.op, late.name));
    }
    predecessor.writes(lent.at(static_cast<std::size_t>(arg - call.args.begin())).block->payload(), late.earlier);
  }

  static void watch_arguments(const Call& call, const std::vector<Lent>& lent, LateWriteWatch& watch) {
    for (std::size_t i = 0; i < lent.size(); ++i) {
      const Arg& arg = call.args[i];
      if (!lent[i].block || arg.place != Place::kDevice || arg.far_layout) continue;
      watch.add(fmt::format("'{}'", arg.name), lent[i].block->payload(), arg.tensor().storage.size());
    }
  }

  DeviceMemory& device() { return device_ ? *device_ : *host_; }

  static void arm(std::vector<Lent>& lent, bool on) {
    for (Lent& l : lent) {
      if (l.block) on ? l.block->arm() : l.block->disarm();
    }
  }

  /// What surrounds a tensor of a call.
  [[nodiscard]] Surround surround(bool on_device, Edge edge) const {
    if (on_device && manifest_.device == DeviceKind::kCuda) return bands_ ? Surround::kBands : Surround::kNothing;
    switch (edge) {
      case Edge::kNone:
        break;
      case Edge::kStart:
        return Surround::kPageBefore;
      case Edge::kEnd:
        return Surround::kPageAfter;
    }
    return Surround::kBands;
  }

  ffi::AnyView lend(const Arg& arg, const CallOptions& options, Lent& lent) {
    if (const auto* i = std::get_if<std::int64_t>(&arg.value)) return *i;
    if (const auto* d = std::get_if<double>(&arg.value)) return *d;
    if (const auto* b = std::get_if<bool>(&arg.value)) return *b;
    if (!arg.is_tensor()) return nullptr;
    const HostTensor& t = arg.tensor();
    lent.before = t.storage;
    if (arg.role == Role::kOut || arg.role == Role::kWorkspace) {
      poison_bytes(lent.before.data(), lent.before.size(), options.poison + 1);
    }
    const bool on_device = arg.place == Place::kDevice;
    DeviceMemory& memory = on_device ? device() : *host_;
    const auto misalign = static_cast<std::size_t>(arg.misalign);
    lent.last = lent.before.size();
    if (arg.far_layout) {
      lent.block = std::make_unique<FarBlock>(memory, arg.name, t, *arg.far_layout, options.poison, misalign);
      lent.block->write(lent.before);
      lent.view.data = lent.block->payload();
    } else {
      const Surround around = surround(on_device, options.edge);
      if (around != Surround::kBands) trim(arg, lent);
      // A tensor of bytes may hold records of 16 bytes, which must be aligned.
      const std::size_t alignment = t.dtype == DType::kU8 ? 16 : 1;
      lent.block =
          std::make_unique<GuardedBlock>(memory, lent.last - lent.first, options.poison, misalign, around, alignment);
      const auto part = [&](std::size_t i) { return lent.before.begin() + static_cast<std::ptrdiff_t>(i); };
      lent.block->write({part(lent.first), part(lent.last)});
      const std::int64_t before_view = t.offset * size_of(t.dtype) - static_cast<std::int64_t>(lent.first);
      lent.view.data = static_cast<std::uint8_t*>(lent.block->payload()) + before_view;
    }
    WatchedCall::add(fmt::format("'{}'", arg.name), lent.block->payload(), lent.block->bytes());
    const bool cuda_label = on_device && manifest_.device != DeviceKind::kCpu;
    lent.view.device = {cuda_label ? kDLCUDA : kDLCPU, 0};
    lent.view.ndim = static_cast<std::int32_t>(t.rank());
    lent.view.dtype = to_dlpack(t.dtype);
    const auto& [shape, strides] =
        arg.far_layout ? std::tie(arg.far_layout->shape, arg.far_layout->strides) : std::tie(t.shape, t.strides);
    lent.view.shape = const_cast<std::int64_t*>(shape.data());
    lent.view.strides = const_cast<std::int64_t*>(strides.data());
    return &lent.view;
  }

  /// If the function reaches argument `i` by addresses only, writes them into the argument that holds them.
  static void tell_addresses(const Call& call, std::size_t i, std::vector<Lent>& lent) {
    const Arg& reached = call.args[i];
    if (reached.reached_by.empty() || !reached.is_tensor()) return;
    Arg holder = call.arg(reached.reached_by);
    Lent& memory = lent.at(static_cast<std::size_t>(&call.arg(reached.reached_by) - call.args.data()));
    write_addresses(reached, reinterpret_cast<std::uintptr_t>(lent[i].view.data), holder);
    if (!holder.is_tensor()) return;
    memory.before = holder.tensor().storage;
    const auto part = [&](std::size_t byte) { return memory.before.begin() + static_cast<std::ptrdiff_t>(byte); };
    memory.block->write({part(memory.first), part(memory.last)});
  }

  /// Copies the arguments back and checks guard bands, inputs and footprints.
  static void collect(const Call& call, std::vector<Lent>& lent, CallResult& result) {
    for (std::size_t i = 0; i < lent.size(); ++i) {
      if (!lent[i].block) continue;
      const Arg& arg = call.args[i];
      HostTensor& after = result.args[i].tensor();
      const std::vector<std::uint8_t> part = lent[i].block->read();
      after.storage = lent[i].before;
      std::ranges::copy(part, after.storage.begin() + static_cast<std::ptrdiff_t>(lent[i].first));
      lent[i].block->check(arg.name, result.findings);
      if (after.storage == lent[i].before) continue;
      // The contents of a workspace do not matter, so even a refused call may change them.
      const bool must_not_change =
          arg.role == Role::kIn || (result.refusal.has_value() && arg.role != Role::kWorkspace);
      std::vector<std::uint8_t> may;
      if (!must_not_change) may = arg.footprint.empty() ? arg.tensor().view_mask() : arg.footprint;
      if (!may.empty() && may.size() != after.storage.size()) {
        throw Error(fmt::format("op '{}': the footprint of '{}' covers {} bytes, but its memory has {}", call.op,
                                arg.name, may.size(), after.storage.size()));
      }
      for (std::size_t k = 0; k < after.storage.size(); ++k) {
        if (after.storage[k] == lent[i].before[k] || (!may.empty() && may[k] != 0)) continue;
        const char* check = result.refusal    ? "written_on_refusal"
                            : must_not_change ? "input_changed"
                                              : "outside_footprint";
        result.findings.push_back({check, describe_byte(arg, k, lent[i].before[k], after.storage[k])});
        break;
      }
    }
  }

  static std::string describe_byte(const Arg& arg, std::size_t byte, std::uint8_t before, std::uint8_t after) {
    return fmt::format("'{}' ({}): byte {} of its memory changed from 0x{:02x} to 0x{:02x}", arg.name,
                       arg.tensor().describe(), byte, before, after);
  }

  /// Collects the returned values. If no op can read a value, adds a finding "returned" and treats the value as absent.
  void spread(const ffi::Any& returned, const Allocations& allocations, CallResult& result,
              const LateWriteWatch* watch) {
    const auto add = [&](const ffi::Any& any) {
      std::vector<std::uint8_t> late;
      Value value = value_of_any(any, allocations, result.findings, watch, late);
      result.returned.push_back(std::move(value));
      if (watch != nullptr) result.late.returned.push_back(std::move(late));
    };
    if (const auto list = returned.as<ffi::Array<ffi::Any>>()) {
      for (const ffi::Any& item : *list) add(item);
      return;
    }
    add(returned);
    if (std::holds_alternative<None>(result.returned.back())) {
      result.returned.clear();
      result.late.returned.clear();
    }
  }

  Value value_of_any(const ffi::Any& any, const Allocations& allocations, std::vector<Finding>& findings,
                     const LateWriteWatch* watch, std::vector<std::uint8_t>& late) {
    if (any == nullptr) return None{};
    if (const auto tensor = any.as<ffi::Tensor>()) {
      return value_of_tensor(*tensor.value().GetDLTensorPtr(), allocations, findings, watch, late);
    }
    if (const auto b = any.as<bool>()) return *b;
    if (const auto i = any.as<std::int64_t>()) return *i;
    if (const auto d = any.as<double>()) return *d;
    findings.push_back({"returned", fmt::format("the function returned a value of type {}, which no op can read",
                                                std::string(any.GetTypeKey()))});
    return None{};
  }

  /// Copies a returned tensor without its gaps. The whole tensor must be in memory that the function allocated during
  /// this call. Other memory has no guard bands, and reading it could crash. If `watch` is given, `late` gets the
  /// tensor's late bytes.
  Value value_of_tensor(const DLTensor& view, const Allocations& allocations, std::vector<Finding>& findings,
                        const LateWriteWatch* watch, std::vector<std::uint8_t>& late) {
    const Shape shape(view.shape, view.shape + view.ndim);
    HostTensor t;
    try {
      const DType dtype = from_dlpack(view.dtype);
      t = view.strides == nullptr ? HostTensor::make(dtype, shape)
                                  : HostTensor::strided(dtype, shape, Shape(view.strides, view.strides + view.ndim));
    } catch (const Error& e) {
      findings.push_back({"returned", fmt::format("no op can read a returned tensor: {}", e.what())});
      return None{};
    }
    if (t.storage.empty()) return t;
    const auto* data = static_cast<const std::uint8_t*>(view.data) + view.byte_offset;
    const GuardedBlock* block = allocations.find(data);
    if (block == nullptr) {
      findings.push_back({"returned", fmt::format("a returned tensor ({}) is in memory that the function did not "
                                                  "allocate through its environment",
                                                  t.describe())});
      return None{};
    }
    const auto* end = static_cast<const std::uint8_t*>(block->payload()) + block->bytes();
    if (t.storage.size() > static_cast<std::size_t>(end - data)) {
      findings.push_back({"returned", fmt::format("a returned tensor ({}) takes {} bytes, but its memory has {}",
                                                  t.describe(), t.storage.size(), end - data)});
      return None{};
    }
    if (watch != nullptr) {
      if (const auto all = watch->late_bytes(block->payload()); !all.empty()) {
        const auto first = all.begin() + (data - static_cast<const std::uint8_t*>(block->payload()));
        std::copy_n(first, t.storage.size(), t.storage.begin());
        late = t.packed().storage;
      }
    }
    device().download(t.storage.data(), data, t.storage.size());
    return t.packed();
  }

  /// Finds the function for the call. `name` gets its name in messages.
  ffi::Function resolve(const Call& call, Module*& module, std::string& name) {
    std::string why;
    const ManifestEntry* entry = manifest_.find(call, &why);
    if (entry == nullptr) throw Unsupported(why);
    name = entry->aux.empty() ? entry->function : fmt::format("{} ({})", entry->function, entry->aux);
    const std::string where = place_of(manifest_, *entry);
    if (entry->aux.empty()) {
      const auto known = abis_.find(call.op);
      if (known != abis_.end() && std::ranges::find(known->second, entry->abi) == known->second.end()) {
        throw Unsupported(fmt::format("{}: its signature variant '{}' is unknown to this tool, which can call {}",
                                      where, entry->abi, fmt::join(known->second, ", ")));
      }
    }
    const auto passed = std::ranges::count_if(call.args, [](const Arg& arg) { return arg.reached_by.empty(); });
    if (entry->arity != static_cast<int>(passed)) {
      throw SetError(fmt::format(
          "{}: takes {} arguments, but the op passes {}. The module does not match its manifest's ABI '{}'; "
          "build the set again",
          where, entry->arity, passed, entry->abi));
    }
    module = &load(entry->module, where);
    const auto found = module->module->GetFunction(entry->function);
    if (!found.has_value())
      throw SetError(fmt::format("{}: the module exports no such function. Build the set again", where));
    return found.value();
  }

  Module& load(const std::string& file, const std::string& where) {
    if (const auto it = modules_.find(file); it != modules_.end()) return it->second;
    const std::string path = require_intact(manifest_, file, where);
    return modules_.emplace(file, load_module(path, where)).first->second;
  }

  Manifest manifest_;
  KnownAbis abis_;
  std::unique_ptr<DeviceMemory> host_;
  std::unique_ptr<DeviceMemory> device_;
  std::map<std::string, Module> modules_;
  bool usable_ = true;
  /// False under NVIDIA's memcheck (scripts/memcheck): tensors in GPU memory then have no guard bands, because memcheck
  /// finds only what lies outside an allocation.
  const bool bands_ = std::getenv("DSV4DIFF_NO_GUARD_BANDS") == nullptr;
};

}  // namespace

void require_intact(const Manifest& manifest, const std::set<std::string>& ops) {
  std::set<std::string> seen;
  for (const ManifestEntry& entry : manifest.entries) {
    if (!ops.contains(entry.op) || !seen.insert(entry.module).second) continue;
    require_intact(manifest, entry.module, place_of(manifest, entry));
  }
}

std::unique_ptr<Caller> open_set(const Manifest& manifest, KnownAbis abis) {
  return std::make_unique<SetCaller>(manifest, std::move(abis));
}

}  // namespace dsv4
