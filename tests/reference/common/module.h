/// Calls a reference in the same way as a kernel. Its module is loaded from the build's reference set, and its
/// functions are called across the ABI with tensors.
#pragma once

#include <gtest/gtest.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <initializer_list>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/core/error.h"
#include "harness/core/tensor.h"
#include "tests/build_folder.h"

namespace dsv4::testing {

/// Returns the DLPack element type of a harness dtype.
inline DLDataType dl_dtype(DType dtype) {
  const auto bits = static_cast<std::uint8_t>(8 * size_of(dtype));
  switch (dtype) {
    case DType::kU8:
    case DType::kU16:
    case DType::kU32:
    case DType::kU64:
      return {kDLUInt, bits, 1};
    case DType::kBool:
      return {kDLBool, bits, 1};
    case DType::kBF16:
      return {kDLBfloat, bits, 1};
    case DType::kF16:
    case DType::kF32:
    case DType::kF64:
      return {kDLFloat, bits, 1};
    case DType::kE4M3:
      return {kDLFloat8_e4m3fn, bits, 1};
    case DType::kE5M2:
      return {kDLFloat8_e5m2, bits, 1};
    default:
      return {kDLInt, bits, 1};
  }
}

/// A tensor as an argument of a call. It refers to the storage of `tensor`, which must outlive the argument.
class TensorArgument {
 public:
  TensorArgument(HostTensor& tensor, DLDeviceType device = kDLCPU) : shape_(tensor.shape), strides_(tensor.strides) {
    dl_.data = tensor.storage.data() + tensor.offset * size_of(tensor.dtype);
    dl_.device = {device, 0};
    dl_.ndim = static_cast<int>(shape_.size());
    dl_.dtype = dl_dtype(tensor.dtype);
    dl_.shape = shape_.data();
    dl_.strides = strides_.data();
    dl_.byte_offset = 0;
  }
  TensorArgument(const TensorArgument&) = delete;
  TensorArgument& operator=(const TensorArgument&) = delete;

  operator ::tvm::ffi::AnyView() { return ::tvm::ffi::AnyView(&dl_); }

 private:
  Shape shape_;
  Shape strides_;
  DLTensor dl_{};
};

/// Returns the module of op `op` in the reference set.
inline ::tvm::ffi::Module reference_module(const std::string& op) {
  static std::map<std::string, ::tvm::ffi::Module> loaded;
  const auto found = loaded.find(op);
  if (found != loaded.end()) return found->second;
  const auto module = ::tvm::ffi::Module::LoadFromFile(build_folder() + "/sets/reference/" + op + ".so");
  return loaded.emplace(op, module).first->second;
}

/// One argument of a call: a tensor, a scalar, or nullptr for an optional tensor that is absent.
using Given = std::variant<HostTensor*, std::int64_t, double, bool, std::nullptr_t>;

/// Calls a function of a reference. Throws tvm::ffi::Error if the function refuses the call.
inline void call_reference(const std::string& op, const std::string& function, const std::vector<Given>& given) {
  const auto fn = reference_module(op)->GetFunction(function);
  if (!fn.has_value()) throw Error("module " + op + " has no function " + function);
  std::list<TensorArgument> tensors;
  std::vector<::tvm::ffi::AnyView> arguments;
  for (const Given& value : given) {
    if (const auto* tensor = std::get_if<HostTensor*>(&value)) {
      arguments.push_back(tensors.emplace_back(**tensor));
    } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      arguments.emplace_back(*integer);
    } else if (const auto* real = std::get_if<double>(&value)) {
      arguments.emplace_back(*real);
    } else if (const auto* flag = std::get_if<bool>(&value)) {
      arguments.emplace_back(*flag);
    } else {
      arguments.emplace_back(nullptr);
    }
  }
  ::tvm::ffi::Any result;
  fn.value().CallPacked(arguments.data(), static_cast<int>(arguments.size()), &result);
}

/// Returns the error text of a call that must be refused. Fails the test if the function accepts the call.
inline std::string refusal(const std::string& op, const std::string& function, const std::vector<Given>& given) {
  try {
    call_reference(op, function, given);
  } catch (const ::tvm::ffi::Error& error) {
    return error.message();
  }
  ADD_FAILURE() << op << "." << function << " accepted the call";
  return "";
}

}  // namespace dsv4::testing
