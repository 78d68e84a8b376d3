/// One call of an op's function across the ABI, described without any device: what goes in, what came out.
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
  kIn,         ///< must come back unchanged, to the byte
  kOut,        ///< contents before the call are poison; only its footprint may change
  kInOut,      ///< contents matter before and after; only its footprint may change
  kWorkspace,  ///< contents do not matter; only its footprint may change; never compared
};

/// Where the ABI wants a tensor: on the set's device, or in host memory whatever the device is.
enum class Place { kDevice, kHost };

struct None {
  bool operator==(const None&) const = default;
};

using Value = std::variant<None, std::int64_t, double, bool, HostTensor>;

/// Where a tensor lies on the device when it is spread out there: far larger than what of it is on the host. The
/// function sees a tensor of `shape` and `strides` (in elements). Of it the caller lays out what the call's tensor
/// holds: place i of the tensor's first dimension becomes place `rows[i]` of the function's, the other dimensions begin
/// at 0. The rest is memory that nothing may touch.
struct Placement {
  Shape shape;
  Shape strides;
  std::vector<std::int64_t> rows;
};

struct Arg {
  std::string name;
  Value value;
  Role role = Role::kIn;
  Place place = Place::kDevice;
  /// Which storage bytes the call may change (1 = may), for kOut, kInOut and kWorkspace.
  /// Empty: every element of the view.
  std::vector<std::uint8_t> footprint;
  /// Bytes by which the data pointer is moved off its natural 256-byte alignment (contract cases).
  std::int64_t misalign = 0;
  /// The function sees the tensor spread out like this. It is the tensor itself that comes back.
  std::optional<Placement> placement = std::nullopt;

  [[nodiscard]] bool is_tensor() const { return std::holds_alternative<HostTensor>(value); }
  [[nodiscard]] const HostTensor& tensor() const { return std::get<HostTensor>(value); }
  [[nodiscard]] HostTensor& tensor() { return std::get<HostTensor>(value); }
};

Arg in(std::string name, HostTensor tensor, Place place = Place::kDevice);
/// Output: the storage is poisoned before each call. `footprint` as in Arg.
Arg out(std::string name, HostTensor tensor, std::vector<std::uint8_t> footprint = {});
Arg inout(std::string name, HostTensor tensor, std::vector<std::uint8_t> footprint = {}, Place place = Place::kDevice);
Arg workspace(std::string name, HostTensor tensor, Place place = Place::kDevice);
Arg scalar(std::string name, std::int64_t value);
Arg scalar(std::string name, double value);
Arg scalar(std::string name, bool value);
Arg absent(std::string name);

struct Call {
  std::string op;   ///< op whose function is called
  std::string aux;  ///< "" for the op itself; else the role of a reference's auxiliary function ("bound", ...)
  Params compile;   ///< compile-time parameters that select the set's entry
  std::vector<Arg> args;

  [[nodiscard]] const Arg& arg(std::string_view name) const;
  [[nodiscard]] Arg& arg(std::string_view name);
  [[nodiscard]] const HostTensor& tensor(std::string_view name) const { return arg(name).tensor(); }
};

/// Something found wrong, apart from the comparison with another side.
struct Finding {
  std::string check;   ///< stable name: "guard", "input_changed", "outside_footprint", "duplicate_index", ...
  std::string detail;  ///< one sentence with coordinates and values
  bool operator==(const Finding&) const = default;
};

struct CallResult {
  std::vector<Arg> args;               ///< as in the call, with the storages as they were afterwards
  std::vector<Value> returned;         ///< the returned values in order (a tuple is spread)
  std::vector<Finding> findings;       ///< guard bands, changed inputs, writes outside a footprint
  std::optional<std::string> refusal;  ///< the error's text when the function refused the call

  [[nodiscard]] const HostTensor& tensor(std::string_view name) const;
};

struct CallOptions {
  std::uint32_t poison = 0;    ///< variant of the poison in outputs, guard bands and fresh allocations
  std::uint64_t schedule = 0;  ///< seed of the host executor's scheduling; 0 is the natural order
  /// Name of a tensor argument that the stream's previous kernel is still writing when the call comes ("": none), as a
  /// programmatic dependent launch may find it; before, its storage held `earlier`.
  /// Throws Unsupported on a set that cannot show it.
  std::string late_argument = {};
  std::vector<std::uint8_t> earlier = {};
  /// The same of what the function allocates (zeros before): an allocator hands out memory that the stream still uses.
  bool late_allocations = false;
};

/// A kernel set that can be called. Implementations: harness/sets.
class Caller {
 public:
  virtual ~Caller() = default;
  /// Makes the call on fresh guarded copies of the arguments. A refusal by the function is a result, not an exception.
  /// Throws Unsupported if the set has no entry for the call, Unavailable if the machine lacks what it needs, SetError
  /// if the set cannot be used at all, and Error if the call itself is malformed.
  virtual CallResult call(const Call& call, const CallOptions& options = {}) = 0;
  /// Name of the set, for messages.
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// True for the set that is the truth (references; bounds and certificates come from it).
  [[nodiscard]] virtual bool is_reference() const = 0;
  /// True if this set's errors must name the argument at fault (in-tree sets promise it, upstream's do not).
  [[nodiscard]] virtual bool errors_name_arguments() const = 0;
  /// True if device arguments can be told from host arguments (all sets but those of plain CPU functions).
  [[nodiscard]] virtual bool has_device() const { return true; }
  /// True if calls may have a `late_argument`: sets of the host executor.
  [[nodiscard]] virtual bool shows_overlap() const { return false; }
  /// False once the device's context is dead: the process must be replaced.
  [[nodiscard]] virtual bool usable() const { return true; }
};

}  // namespace dsv4
