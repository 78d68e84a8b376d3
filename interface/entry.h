/// Defines the macros with which a module of this project exports the functions of an op and describes them.
///
/// Every `kernels/<family>/<op>.cu` and `reference/<family>/<op>.cpp` is one translation unit and becomes one TVM-FFI
/// module. `DSV4_ENTRY` exports a function under TVM-FFI's symbol convention. It also records the op, the compile-time
/// parameters and the signature variant (ABI) of the function. Every module also exports the function `dsv4_manifest`,
/// which returns these records as JSON. The build writes the manifest of the set from them. So no other list of the
/// functions is needed.
#pragma once

#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/container/tuple.h>
#include <tvm/ffi/function.h>
#include <tvm/ffi/optional.h>
#include <tvm/ffi/string.h>

#include <string>
#include <vector>

namespace dsv4::abi {

struct Entry {
  std::string op;
  std::string aux;  ///< empty for the op itself; else the role of an auxiliary function, such as "bound"
  std::string function;
  std::string abi;
  std::string params;  ///< "name=value;name=value|value": compile-time parameters that this entry is built for
  int arity;
};

inline std::vector<Entry>& entries() {
  static std::vector<Entry> list;
  return list;
}

template <auto Fn>
bool record(const char* op, const char* aux, const char* function, const char* abi, const char* params) {
  using Info = ::tvm::ffi::detail::FunctionInfo<std::decay_t<decltype(Fn)>>;
  entries().push_back({op, aux, function, abi, params, static_cast<int>(Info::num_args)});
  return true;
}

/// Returns the records of this module: `[{"op": ..., "aux": ..., "function": ..., "abi": ..., "params": {...}, "arity":
/// n}]`. Names are identifiers, so no character needs an escape in JSON.
inline ::tvm::ffi::String describe() {
  std::string out = "[";
  for (const Entry& e : entries()) {
    if (out.size() > 1) out += ",";
    out += R"({"op":")" + e.op + R"(","aux":")" + e.aux + R"(","function":")" + e.function + R"(","abi":")" + e.abi +
           R"(","params":{)";
    std::string rest = e.params;
    for (bool first = true; !rest.empty(); first = false) {
      const auto end = rest.find(';');
      const std::string pair = rest.substr(0, end);
      const auto eq = pair.find('=');
      out += std::string(first ? "" : ",") + "\"" + pair.substr(0, eq) + "\":\"" + pair.substr(eq + 1) + "\"";
      rest = end == std::string::npos ? "" : rest.substr(end + 1);
    }
    out += "},\"arity\":" + std::to_string(e.arity) + "}";
  }
  return out + "]";
}

}  // namespace dsv4::abi

/// Exports the C++ function `FN` under the name FUNCTION, for op OP (a string). ABI names the variant of the signature:
/// "<op>/<n>". PARAMS are the compile-time parameters that the function is built for ("ue8m0=1;swizzle=0"), or "" if
/// the function can run every case of the op. If one function serves several values, '|' separates them
/// ("head_dim=128|512"). So a caller can see from the manifest what the function refuses, and use another one.
#define DSV4_ENTRY(FUNCTION, FN, OP, ABI, PARAMS) \
  TVM_FFI_DLL_EXPORT_TYPED_FUNC(FUNCTION, FN);    \
  [[maybe_unused]] static const bool dsv4_recorded_##FUNCTION = ::dsv4::abi::record<FN>(OP, "", #FUNCTION, ABI, PARAMS)

/// Exports an auxiliary function of an op, for instance the reference's error bound ("bound") or interval ("interval").
#define DSV4_AUX(FUNCTION, FN, OP, AUX, PARAMS)                 \
  TVM_FFI_DLL_EXPORT_TYPED_FUNC(FUNCTION, FN);                  \
  [[maybe_unused]] static const bool dsv4_recorded_##FUNCTION = \
      ::dsv4::abi::record<FN>(OP, AUX, #FUNCTION, OP "/" AUX, PARAMS)

TVM_FFI_DLL_EXPORT_TYPED_FUNC(dsv4_manifest, ::dsv4::abi::describe);
