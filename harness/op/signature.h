/// A signature lists each argument of an op's function once: its name, dtypes, symbolic shape, memory and role. From
/// the signature the harness derives calls, contracts, relations, canonical outputs and the argument tables in docs.
///
///   const Signature kSignature{{inout("topk_ids", {DType::kI32}, "rows k", {.called = "ids", .gaps = true}),
///                               in("count", {DType::kI32}, "1:size", {.place = Place::kHost})},
///                              "rows"};
///
/// A shape is a list of sizes. A size is a number, or a symbol that stands for the same number wherever it occurs. The
/// contract about a size is named "<called>_<label>", where <called> is Traits::called or the argument's name.
/// "size:label" gives the label. If there is no label, the symbol is used, or "dim" for a number. "size?" is a size
/// that no contract checks. "size!" is a size that the function knows from another source, such as its compile-time
/// parameters. The function must refuse any other size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/call/call.h"

namespace dsv4 {

/// One size of an argument's shape.
struct Dim {
  std::string symbol;   ///< a name, or a number
  std::string label;    ///< used in the names of contracts
  bool checked = true;  ///< a contract checks it
  bool fixed = false;   ///< the function knows it from another source: "size!"
  [[nodiscard]] bool is_number() const;
};

/// What the values of an integer tensor are if they are indices: numbers of rows of other memory, or counts of them.
struct Index {
  /// The values 0 ... limit - 1 are valid. A product of symbols of shapes, integer arguments and compile-time
  /// parameters ("pages*page"). "": the call accesses nothing that the values name, so every value is valid.
  std::string limit = {};
  bool count = false;   ///< the values are counts, so the limit itself is valid too
  std::string at = {};  ///< point of "contract:<called>_outside"; "": the point of the other contracts
};

/// Further properties of a tensor argument.
struct Traits {
  std::string called = {};    ///< the argument's name in names of contracts; "": `name`
  std::string dtype_of = {};  ///< the op's parameter whose value, such as "i32", is its dtype; "": none
  std::optional<Place> place = Place::kDevice;  ///< nullopt: the memory depends on the case; no contract checks it
  bool gaps = false;        ///< gaps between rows are allowed: the last stride is 1, the others are free
  std::string gap_of = {};  ///< the op's parameter that gives the number of unused elements after each row
  bool optional = false;    ///< the argument may be absent
  std::string output = {};  ///< name of the canonical output; "": the argument's name
  /// The u64 argument that holds the addresses of the rows, if the function does not get the tensor itself
  /// (Arg::reached_by). No contract is derived for the tensor.
  std::string reached_by = {};
  bool any_nan = false;  ///< the bits of a NaN are unspecified, so the canonical output has one pattern for all NaN
  std::string far = {};  ///< point of "relation:far_<name>", with rows 2^31 elements apart; "": no such relation
  std::optional<Index> index = std::nullopt;      ///< what the values are, if they are indices
  std::map<std::string, std::string> names = {};  ///< other names of contracts, by check: {"strided", "q_strided"}
};

struct Argument {
  enum class Kind { kTensor, kInteger, kReal, kFlag };

  std::string name;
  Kind kind = Kind::kTensor;
  Role role = Role::kIn;
  std::vector<DType> dtypes = {};  ///< dtypes that the function accepts; the first is the usual one
  std::vector<Dim> dims = {};
  Traits traits = {};

  [[nodiscard]] bool is_tensor() const { return kind == Kind::kTensor; }
  [[nodiscard]] bool is_output() const { return role == Role::kOut || role == Role::kInOut; }
  [[nodiscard]] const std::string& output_name() const { return traits.output.empty() ? name : traits.output; }
  /// True if there may be gaps between rows: all strides are free, except that the last one is 1.
  [[nodiscard]] bool has_gaps() const { return traits.gaps || !traits.gap_of.empty(); }
  /// The name of a contract about this argument. `check` is "dtype", "rank", "strided", "on_host", ...
  [[nodiscard]] std::string contract(const std::string& check) const;
  /// Index of the dimension with this symbol; -1 if there is none.
  [[nodiscard]] int dim_of(std::string_view symbol) const;
};

Argument in(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits = {});
Argument out(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits = {});
Argument inout(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits = {});
Argument workspace(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits = {});
/// Arguments that are not tensors.
Argument integer(std::string name);
Argument real(std::string name);
Argument truth(std::string name);

/// The size that each symbol stands for.
using Sizes = std::map<std::string, std::int64_t>;

class Signature {
 public:
  Signature() = default;
  /// `batch` is the symbol for the number of rows in the batch. The function computes each row independently. "" means
  /// that there is no batch.
  Signature(std::vector<Argument> arguments, std::string batch = "")
      : arguments_(std::move(arguments)), batch_(std::move(batch)) {}

  [[nodiscard]] const std::vector<Argument>& arguments() const { return arguments_; }
  [[nodiscard]] const std::string& batch() const { return batch_; }
  [[nodiscard]] bool empty() const { return arguments_.empty(); }
  /// Number of arguments that the function gets: those that are not reached by another one (Traits::reached_by).
  [[nodiscard]] std::size_t arity() const;
  /// The argument of this name. Throws Error if there is none.
  [[nodiscard]] const Argument& argument(std::string_view name) const;

  /// A call with these values, in the order of the arguments. Throws Error if their number is wrong, or if a value has
  /// the wrong kind.
  [[nodiscard]] Call call(std::string op, Params compile, std::vector<Value> values) const;
  /// A call with a zeroed tensor for each tensor argument. `sizes` gives the size of each symbol. A tensor with gaps
  /// (Traits::gap_of) is poisoned instead of zeroed. `params` gives the gap, and also the dtype if a parameter names
  /// it. Integers, reals and flags are 0. A tensor with a symbol that is not in `sizes` is absent.
  [[nodiscard]] Call allocate(std::string op, Params compile, const Params& params, const Sizes& sizes) const;

  /// The size that each symbol stands for in a call. Throws Error if a tensor of the call does not match the signature,
  /// so that a wrong declaration is noticed.
  [[nodiscard]] Sizes sizes_of(const Call& call) const;

  /// True if a contract checks this dimension and only one size is right, because the size is a number, is fixed
  /// ("size!"), or occurs a second time in the signature.
  [[nodiscard]] bool is_tied(const Argument& argument, std::size_t dim) const;

 private:
  std::vector<Argument> arguments_;
  std::string batch_;
};

}  // namespace dsv4
