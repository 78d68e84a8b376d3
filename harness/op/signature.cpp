#include "harness/op/signature.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "harness/core/error.h"
#include "harness/core/poison.h"

namespace dsv4 {
namespace {

Dim dim_from(std::string_view text) {
  Dim dim;
  if (text.ends_with('?')) {
    dim.checked = false;
    text.remove_suffix(1);
  }
  const auto colon = text.find(':');
  dim.symbol = text.substr(0, colon);
  if (dim.symbol.ends_with('!')) {
    dim.fixed = true;
    dim.symbol.pop_back();
  }
  dim.label = colon == std::string_view::npos ? (dim.is_number() ? "dim" : dim.symbol) : text.substr(colon + 1);
  return dim;
}

std::int64_t number_of(const std::string& symbol) {
  std::int64_t n = 0;
  std::from_chars(symbol.data(), symbol.data() + symbol.size(), n);
  return n;
}

}  // namespace

bool Dim::is_number() const { return !symbol.empty() && symbol.front() >= '0' && symbol.front() <= '9'; }

namespace {

Argument tensor(std::string name, Role role, std::vector<DType> dtypes, std::string_view shape, Traits traits) {
  Argument a{.name = std::move(name), .role = role, .dtypes = std::move(dtypes), .traits = std::move(traits)};
  while (!shape.empty()) {
    const auto space = shape.find(' ');
    if (space != 0) a.dims.push_back(dim_from(shape.substr(0, space)));
    if (space == std::string_view::npos) break;
    shape.remove_prefix(space + 1);
  }
  return a;
}

}  // namespace

Argument in(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits) {
  return tensor(std::move(name), Role::kIn, std::move(dtypes), shape, std::move(traits));
}
Argument out(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits) {
  return tensor(std::move(name), Role::kOut, std::move(dtypes), shape, std::move(traits));
}
Argument inout(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits) {
  return tensor(std::move(name), Role::kInOut, std::move(dtypes), shape, std::move(traits));
}
Argument workspace(std::string name, std::vector<DType> dtypes, std::string_view shape, Traits traits) {
  return tensor(std::move(name), Role::kWorkspace, std::move(dtypes), shape, std::move(traits));
}
Argument integer(std::string name) { return {.name = std::move(name), .kind = Argument::Kind::kInteger}; }
Argument real(std::string name) { return {.name = std::move(name), .kind = Argument::Kind::kReal}; }
Argument truth(std::string name) { return {.name = std::move(name), .kind = Argument::Kind::kFlag}; }

std::string Argument::contract(const std::string& check) const {
  const auto named = traits.names.find(check);
  if (named != traits.names.end()) return named->second;
  return (traits.called.empty() ? name : traits.called) + "_" + check;
}

int Argument::dim_of(std::string_view symbol) const {
  const auto it = std::ranges::find(dims, symbol, &Dim::symbol);
  return it == dims.end() ? -1 : static_cast<int>(it - dims.begin());
}

std::size_t Signature::arity() const {
  const auto passed = [](const Argument& a) { return a.traits.reached_by.empty(); };
  return static_cast<std::size_t>(std::ranges::count_if(arguments_, passed));
}

const Argument& Signature::argument(std::string_view name) const {
  const auto it = std::ranges::find(arguments_, name, &Argument::name);
  if (it == arguments_.end()) throw Error(fmt::format("the signature has no argument '{}'", name));
  return *it;
}

Call Signature::call(std::string op, Params compile, std::vector<Value> values) const {
  if (values.size() != arguments_.size()) {
    throw Error(fmt::format("op '{}': {} values for {} arguments", op, values.size(), arguments_.size()));
  }
  Call call{std::move(op), "", std::move(compile), {}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Argument& a = arguments_[i];
    // Index of each Argument::Kind in the variant Value. The order of Value is: None, integer, real, flag, tensor.
    static constexpr std::size_t kIndex[] = {4, 1, 2, 3};
    const std::size_t index = values[i].index();
    if (index != kIndex[static_cast<std::size_t>(a.kind)] && !(index == 0 && a.traits.optional)) {
      throw Error(fmt::format("op '{}': the value of argument '{}' is of another kind", call.op, a.name));
    }
    Arg arg;
    arg.name = a.name;
    arg.value = std::move(values[i]);
    const bool tensor = arg.is_tensor();
    arg.role = tensor ? a.role : Role::kIn;
    arg.place = tensor ? a.traits.place.value_or(Place::kDevice) : Place::kHost;
    arg.reached_by = a.traits.reached_by;
    call.args.push_back(std::move(arg));
  }
  return call;
}

Call Signature::allocate(std::string op, Params compile, const Params& params, const Sizes& sizes) const {
  std::vector<Value> values;
  for (const Argument& a : arguments_) {
    switch (a.kind) {
      case Argument::Kind::kInteger:
        values.emplace_back(std::int64_t{0});
        continue;
      case Argument::Kind::kReal:
        values.emplace_back(0.0);
        continue;
      case Argument::Kind::kFlag:
        values.emplace_back(false);
        continue;
      case Argument::Kind::kTensor:
        break;
    }
    Shape shape;
    for (const Dim& dim : a.dims) {
      const auto size = sizes.find(dim.symbol);
      if (dim.is_number()) {
        shape.push_back(number_of(dim.symbol));
      } else if (size != sizes.end()) {
        shape.push_back(size->second);
      }
    }
    if (shape.size() != a.dims.size()) {
      values.emplace_back(None{});
      continue;
    }
    DType dtype = a.dtypes.front();
    if (!a.traits.dtype_of.empty()) {
      const std::string& word = params.text(a.traits.dtype_of);
      const auto named = dtype_from_name(word);
      if (!named)
        throw Error(
            fmt::format("op '{}': the value '{}' of parameter '{}' is not a dtype", op, word, a.traits.dtype_of));
      dtype = *named;
    }
    if (a.traits.gap_of.empty()) {
      values.emplace_back(HostTensor::make(dtype, std::move(shape)));
    } else {
      values.emplace_back(HostTensor::with_gaps(dtype, std::move(shape), params.integer(a.traits.gap_of)));
      poison(std::get<HostTensor>(values.back()));
    }
  }
  return call(std::move(op), std::move(compile), std::move(values));
}

Sizes Signature::sizes_of(const Call& call) const {
  Sizes sizes;
  const auto wrong = [&](const Argument& a, const std::string& what) {
    return Error(fmt::format("op '{}': argument '{}' does not match its signature: {}", call.op, a.name, what));
  };
  for (const Argument& a : arguments_) {
    const Arg& arg = call.arg(a.name);
    if (!a.is_tensor()) continue;
    if (!arg.is_tensor()) {
      if (!a.traits.optional) throw wrong(a, "it is absent");
      continue;
    }
    const HostTensor& t = arg.tensor();
    if (std::ranges::find(a.dtypes, t.dtype) == a.dtypes.end())
      throw wrong(a, "its dtype is wrong: it is " + t.describe());
    if (t.rank() != a.dims.size()) throw wrong(a, "its rank is wrong: it is " + t.describe());
    if (arg.role != a.role) throw wrong(a, "its role is wrong");
    if (a.traits.place && arg.place != *a.traits.place) throw wrong(a, "it is in the wrong memory");
    for (std::size_t d = 0; d < t.rank(); ++d) {
      const Dim& dim = a.dims[d];
      const std::int64_t size = t.shape[d];
      const std::int64_t expected =
          dim.is_number() ? number_of(dim.symbol) : sizes.emplace(dim.symbol, size).first->second;
      if (size != expected) throw wrong(a, fmt::format("'{}' is {} here but {} elsewhere", dim.symbol, size, expected));
    }
  }
  return sizes;
}

bool Signature::is_tied(const Argument& argument, std::size_t dim) const {
  const Dim& d = argument.dims.at(dim);
  if (!d.checked) return false;
  if (d.is_number() || d.fixed) return true;
  int uses = 0;
  for (const Argument& other : arguments_) {
    for (const Dim& o : other.dims)
      uses += o.symbol == d.symbol && !(other.traits.optional && &other != &argument) ? 1 : 0;
  }
  return uses > 1;
}

}  // namespace dsv4
