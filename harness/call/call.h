/// Describes one call of an op's function across the ABI, and its result, independently of any device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "harness/case/params.h"
#include "harness/core/error.h"
#include "harness/core/tensor.h"

namespace dsv4 {

/// What a call may do to a tensor argument.
enum class Role {
  kIn,         ///< the call must not change any byte
  kOut,        ///< contents before the call are poison; only its footprint may change
  kInOut,      ///< contents matter before and after; only its footprint may change
  kWorkspace,  ///< contents do not matter; only its footprint may change; never compared
};

/// The memory in which the ABI expects a tensor: the memory of the set's device, or host memory whatever the device is.
enum class Place { kDevice, kHost };

struct None {
  bool operator==(const None&) const = default;
};

using Value = std::variant<None, std::int64_t, double, bool, HostTensor>;

/// Describes a tensor that the function sees as much larger than the data we hold. Only the listed rows exist; the gaps
/// must not be touched. The function sees a tensor of `shape` and `strides` (in elements). Row i of the call's tensor
/// is row `rows[i]` of the function's tensor. A row is one index of the first dimension. In every other dimension,
/// index j of the call's tensor is index j of the function's tensor.
struct FarLayout {
  Shape shape;
  Shape strides;
  std::vector<std::int64_t> rows;
};

constexpr std::uint8_t kMayChangeWithoutMeaning = 2;

struct Arg {
  std::string name;
  Value value;
  Role role = Role::kIn;
  Place place = Place::kDevice;
  /// The footprint of a kOut, kInOut or kWorkspace argument. It has one byte for each byte of the storage: 1 if the
  /// call may change that byte, or else 0. If it is empty, the call may change every element of the view. A byte that
  /// the call may change and that has no meaning, such as padding of a record, is kMayChangeWithoutMeaning.
  std::vector<std::uint8_t> footprint;
  /// Bytes by which the data pointer is moved away from its 256-byte alignment. Scenarios about alignment set this.
  std::int64_t misalign = 0;
  /// If set, the function sees the tensor spread out as the far layout says. The result holds the tensor with its own
  /// shape and strides.
  std::optional<FarLayout> far_layout = std::nullopt;
  /// If not empty, the function does not get this tensor, but the addresses of its rows. They are the elements of the
  /// argument of this name, a u64 tensor: element i of n is the address of row i * rows / n. A call holds zeros in
  /// their place, and so does its result, because addresses differ from run to run.
  std::string reached_by = {};

  [[nodiscard]] bool is_tensor() const { return std::holds_alternative<HostTensor>(value); }
  [[nodiscard]] const HostTensor& tensor() const { return std::get<HostTensor>(value); }
  [[nodiscard]] HostTensor& tensor() { return std::get<HostTensor>(value); }
};

Arg in(std::string name, HostTensor tensor, Place place = Place::kDevice);
/// An output; its storage is poisoned before each call. `footprint` is as in Arg.
Arg out(std::string name, HostTensor tensor, std::vector<std::uint8_t> footprint = {});
Arg inout(std::string name, HostTensor tensor, std::vector<std::uint8_t> footprint = {}, Place place = Place::kDevice);
Arg workspace(std::string name, HostTensor tensor, Place place = Place::kDevice);
Arg scalar(std::string name, std::int64_t value);
Arg scalar(std::string name, double value);
Arg scalar(std::string name, bool value);
Arg absent(std::string name);

/// Writes the addresses of rows of `reached` into `addresses`, as Arg::reached_by says. `first` is the address of its
/// first element. Does nothing if `addresses` is not a tensor of 8-byte elements, as in a contract.
void write_addresses(const Arg& reached, std::uint64_t first, Arg& addresses);

struct Call {
  std::string op;   ///< op whose function is called
  std::string aux;  ///< "" for the op itself; else the role of a reference's auxiliary function ("bound", ...)
  Params compile;   ///< compile-time parameters that select the set's entry
  std::vector<Arg> args;

  [[nodiscard]] const Arg& arg(std::string_view name) const;
  [[nodiscard]] Arg& arg(std::string_view name);
  [[nodiscard]] const HostTensor& tensor(std::string_view name) const { return arg(name).tensor(); }
};

/// An error of a call that no comparison of values shows.
struct Finding {
  std::string check;   ///< stable name: "guard", "input_changed", "outside_footprint", "duplicate_index", ...
  std::string detail;  ///< one sentence with coordinates and values
  bool operator==(const Finding&) const = default;
};

/// What a call wrote after it had let the stream's next kernel begin. The next kernel may miss these writes.
struct LateWrites {
  /// A finding "written_late" for each kernel and tensor: "kernel X wrote N bytes to 'y' after it let the next kernel
  /// go".
  std::vector<Finding> findings;
  /// For each argument of the call: one byte for each byte of its storage, 1 if the next kernel may miss this byte.
  /// Empty if the argument has no such byte.
  std::vector<std::vector<std::uint8_t>> args;
  /// The same for each returned value, for its packed storage.
  std::vector<std::vector<std::uint8_t>> returned;
};

struct CallResult {
  std::vector<Arg> args;               ///< the arguments of the call, with their storage after the call
  std::vector<Value> returned;         ///< the returned values in order; a tuple gives several
  std::vector<Finding> findings;       ///< guard bands, changed inputs, writes outside a footprint
  std::optional<std::string> refusal;  ///< the error's text if the function refused the call
  LateWrites late;                     ///< only with CallOptions::watch_late_writes

  [[nodiscard]] const HostTensor& tensor(std::string_view name) const;
};

/// Where inaccessible memory adjoins the tensors of a call, so that an access beyond a tensor ends the process.
enum class Edge {
  kNone,   ///< nowhere: guard bands surround each tensor
  kStart,  ///< each tensor begins right after an inaccessible page
  kEnd,    ///< each tensor ends right before an inaccessible page
};

/// A tensor argument that the stream's previous kernel is still writing when the call begins. Programmatic dependent
/// launch makes this possible.
struct LateArgument {
  std::string name;
  std::vector<std::uint8_t> earlier;  ///< its storage before the previous kernel writes it
};

struct CallOptions {
  std::uint32_t poison = 0;    ///< variant of the poison in outputs, guard bands and new allocations
  std::uint64_t schedule = 0;  ///< seed of the host executor's thread order; 0 is the natural order
  /// The call throws Unsupported on a set that cannot show a late argument.
  std::vector<LateArgument> late = {};
  /// If true, memory that the function allocates is late in the same way. It holds zeros before. On a GPU, an allocator
  /// may return memory that the stream still uses.
  bool late_allocations = false;
  /// Applies to every tensor argument except far ones, and to memory that the function allocates. A tensor begins with
  /// its first element and ends with its last element, even if its storage is larger. The call throws Unsupported on a
  /// set that cannot do this.
  Edge edge = Edge::kNone;
  /// If true, CallResult::late says what the call wrote after it had let the next kernel begin. Not together with late
  /// arguments or allocations. The call throws Unsupported on a set that cannot show it.
  bool watch_late_writes = false;
};

/// A kernel set that can be called. harness/sets implements this interface.
class Caller {
 public:
  virtual ~Caller() = default;
  /// Makes the call on new copies of the arguments, with guard bands around them. If the function refuses the call,
  /// CallResult::refusal says so, and nothing is thrown. Throws Unsupported if the set has no entry for the call, and
  /// Unavailable if the machine lacks something that the call needs. Throws DeviceLost if the GPU context is dead,
  /// SetError if the set cannot be used at all, and Error if the call itself is malformed.
  virtual CallResult call(const Call& call, const CallOptions& options = {}) = 0;
  /// Name of the set, for messages.
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// True for the reference set, which also computes bounds and intervals.
  [[nodiscard]] virtual bool is_reference() const = 0;
  /// True if this set's errors must name the wrong argument. In-tree sets promise this, upstream's sets do not.
  [[nodiscard]] virtual bool errors_name_arguments() const = 0;
  /// True if the kernels of this set must let the stream's next kernel begin after their last write. In-tree sets
  /// promise this. CUDA does not demand it, so other sets need not.
  [[nodiscard]] virtual bool writes_before_next() const { return errors_name_arguments(); }
  /// True if the set can tell device arguments from host arguments. All sets can, except those of plain CPU functions.
  [[nodiscard]] virtual bool has_device() const { return true; }
  /// True if calls may use `late`, `late_allocations` and `watch_late_writes`. Sets of the host executor can.
  [[nodiscard]] virtual bool shows_overlap() const { return false; }
  /// True if calls may use `edge`. Sets whose tensors are in host memory can.
  [[nodiscard]] virtual bool shows_edges() const { return false; }
  /// False if the device's context is dead. Then the process must be replaced.
  [[nodiscard]] virtual bool usable() const { return true; }
};

}  // namespace dsv4
