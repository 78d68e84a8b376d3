/// The arguments of an op's function, each listed once: name, dtypes, symbolic shape, memory, role. The harness derives
/// calls, contracts, relations, canonical outputs and the argument tables in docs from them.
///
///   const Signature kSignature{{inout("topk_ids", {DType::kI32}, "rows k", {.called = "ids", .gaps = true}),
///                               in("count", {DType::kI32}, "1:size", {.place = Place::kHost})},
///                              "rows"};
///
/// A shape is a list of sizes. A size is a number, or a symbol that stands for the same number wherever it occurs. The
/// contract about a size is named "<called>_<label>". "size:label" gives the label. Without it, the label is the
/// symbol, or "dim" for a number. "size?" is a size that no contract checks. "size!" is a size that the function knows
/// from elsewhere, such as its compile-time parameters; it must refuse another size.
#pragma once

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
  bool fixed = false;   ///< the function knows it from elsewhere
  [[nodiscard]] bool is_number() const;
};

/// Further properties of a tensor argument.
struct Traits {
  std::string called = {};                      ///< the argument in names of checks; "": its name
  std::string dtype_of = {};                    ///< the op's parameter that names its dtype by a word such as "i32"
  std::optional<Place> place = Place::kDevice;  ///< nullopt: it depends on the case, and no contract checks it
  bool gaps = false;                            ///< all strides are free, except that the last one is 1
  std::string gap_of = {};                      ///< the op's parameter that counts the unused elements after each row
  bool optional = false;                        ///< it may be left out
  std::string output = {};                      ///< name of the canonical output; "": the argument's
  bool any_nan = false;  ///< the bits of a NaN are unspecified: the canonical output has one pattern
  std::string far = {};  ///< point of "relation:far_<name>", where its rows lie 2^31 elements apart
  std::map<std::string, std::string> names = {};  ///< other names of derived contracts: {"strided", "columns_strided"}
};

struct Argument {
  enum class Kind { kTensor, kInteger, kReal, kFlag };

  std::string name;
  Kind kind = Kind::kTensor;
  Role role = Role::kIn;
  std::vector<DType> dtypes = {};  ///< dtypes that the function takes; the first is the usual one
  std::vector<Dim> dims = {};
  Traits traits = {};

  [[nodiscard]] bool is_tensor() const { return kind == Kind::kTensor; }
  [[nodiscard]] bool is_output() const { return role == Role::kOut || role == Role::kInOut; }
  [[nodiscard]] const std::string& output_name() const { return traits.output.empty() ? name : traits.output; }
  /// True if there may be gaps between rows: all strides are free, except that the last one is 1.
  [[nodiscard]] bool has_gaps() const { return traits.gaps || !traits.gap_of.empty(); }
  /// The name of the contract "dtype", "rank", "strided", "on_host", ... about this argument.
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

/// The sizes that symbols stand for.
using Sizes = std::map<std::string, std::int64_t>;

class Signature {
 public:
  Signature() = default;
  /// `batch` is the symbol for the number of rows in the batch, which the function computes independently. "": there is
  /// no batch.
  Signature(std::vector<Argument> arguments, std::string batch = "")
      : arguments_(std::move(arguments)), batch_(std::move(batch)) {}

  [[nodiscard]] const std::vector<Argument>& arguments() const { return arguments_; }
  [[nodiscard]] const std::string& batch() const { return batch_; }
  [[nodiscard]] bool empty() const { return arguments_.empty(); }
  /// The argument of this name. Throws Error if there is none.
  [[nodiscard]] const Argument& argument(std::string_view name) const;

  /// A call with these values, in the order of the arguments. Throws Error if their number or their kinds do not fit.
  [[nodiscard]] Call call(std::string op, Params compile, std::vector<Value> values) const;
  /// A call with a zeroed tensor for every tensor argument; its symbols take their values from `sizes`. A tensor with
  /// gaps is poisoned instead. If a parameter names the dtype, it comes from `params`. Integers, reals and flags are 0.
  /// A tensor with a symbol that is not in `sizes` is absent.
  [[nodiscard]] Call allocate(std::string op, Params compile, const Params& params, const Sizes& sizes) const;

  /// The sizes that the symbols stand for in a call. Throws Error if a tensor of the call does not match the signature,
  /// so that a wrong declaration is noticed.
  [[nodiscard]] Sizes sizes_of(const Call& call) const;

  /// True if a contract checks this dimension and its size cannot be another one: it is a number, fixed, or occurs a
  /// second time.
  [[nodiscard]] bool is_tied(const Argument& argument, std::size_t dim) const;

 private:
  std::vector<Argument> arguments_;
  std::string batch_;
};

}  // namespace dsv4
