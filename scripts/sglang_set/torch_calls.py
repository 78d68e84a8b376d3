"""Modules of functions that upstream writes in Python, as a call of torch.

The module makes the same call of LibTorch. In a set of the host executor, tensors of the device are in host memory, so the
module calls LibTorch's CPU functions. Where these lack a function of the GPU, it takes the closest one that gives the same
result.
"""

# `x`, `y` and `z` are the arguments of the function. Each text is the body of a C++ function that returns z's new content.
MM_FLOAT = """\
#if defined(DSV4_TORCH_ON_HOST)
  // LibTorch has no product of bfloat16 with a float result for the CPU. The products of floats are the same.
  return at::mm(x.to(at::kFloat), y.t().to(at::kFloat));
#else
  return at::mm(x, y.t(), at::kFloat);
#endif"""
LINEAR_OF_FLOATS = "  return at::linear(x.to(at::kFloat), y.to(at::kFloat));"

WRAPPER = """// Generated: makes the call of torch that {source} makes.
#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/c_env_api.h>
#include <tvm/ffi/function.h>

#include <cstdint>

namespace {{

using ::tvm::ffi::TensorView;

/// A tensor of LibTorch in the memory of `t`. The op takes only this dtype, though upstream's call takes others as well.
at::Tensor as_torch(const TensorView& t, at::ScalarType dtype) {{
  const DLDataType type = t.dtype();
  const bool same = dtype == at::kBFloat16 ? type.code == kDLBfloat && type.bits == 16 : type.code == kDLFloat && type.bits == 32;
  TORCH_CHECK(same && type.lanes == 1, "expected dtype ", dtype);
  TORCH_CHECK(t.device().device_type == kDLCUDA, "expected a tensor on a GPU");
  at::TensorOptions options = at::TensorOptions().dtype(dtype);
#if !defined(DSV4_TORCH_ON_HOST)
  options = options.device(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(t.device().device_id)));
#endif
  char* const data = static_cast<char*>(t.data_ptr()) + t.byte_offset();
  return at::from_blob(data, at::IntArrayRef(t.shape().data(), t.ndim()), at::IntArrayRef(t.strides().data(), t.ndim()),
                       options);
}}

/// Makes the stream of the caller LibTorch's current one while this object exists.
class CurrentStream {{
 public:
#if defined(DSV4_TORCH_ON_HOST)
  explicit CurrentStream(DLDevice) {{}}
#else
  explicit CurrentStream(DLDevice device)
      : guard_(c10::DeviceType::CUDA),
        before_(guard_.exchangeStream(c10::Stream::unpack3(
            reinterpret_cast<std::intptr_t>(TVMFFIEnvGetStream(device.device_type, device.device_id)),
            static_cast<c10::DeviceIndex>(device.device_id), c10::DeviceType::CUDA))) {{}}
  ~CurrentStream() {{ guard_.exchangeStream(before_); }}

 private:
  c10::impl::VirtualGuardImpl guard_;
  c10::Stream before_;
#endif
}};

at::Tensor compute(const at::Tensor& x, const at::Tensor& y) {{
{body}
}}

/// Upstream's function returns a new tensor. It is copied to `z`.
void call_torch(TensorView x, TensorView y, TensorView z) {{
  at::Tensor out = as_torch(z, at::kFloat);
  TORCH_CHECK(x.device().device_id == z.device().device_id, "z must be on the device of x");
  const at::Tensor left = as_torch(x, at::kBFloat16), right = as_torch(y, at::kBFloat16);
  const CurrentStream stream(x.device());
  const at::Tensor result = compute(left, right);
  TORCH_CHECK(out.sizes() == result.sizes() && out.scalar_type() == result.scalar_type(),
              "z must be a float32 tensor of shape ", result.sizes());
  out.copy_(result);
}}

}}  // namespace
{exports}"""
