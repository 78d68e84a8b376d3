/// paged_compress_data: finds the state pages that the V1 compressors of a prefill batch read and write.
///
///     paged_compress_data(req_pool_indices, seq_lens, extend_lens, req_to_token, full_to_swa, compress_ratio,
///                         swa_page_size, ring_size) -> (write_page, extra)
///
/// | argument         | shape         | dtype | |
/// |------------------|---------------|-------|-|
/// | req_pool_indices | [B]           | int32 or int64 | row of each request in req_to_token |
/// | seq_lens         | [B]           | int32 or int64 | length of each request, new tokens included |
/// | extend_lens      | [B]           | int32 or int64 | number of new tokens of each request |
/// | req_to_token     | [requests, T] | int32 | cache slot of each position |
/// | full_to_swa      | [slots]       | int64 | for each cache slot, its slot in the sliding-window cache |
/// | write_page       | [B]           | int32 | returned: the state page of w |
/// | extra            | [B, 4]        | int32 | returned, at ratio 4: the pages of l - 4, l, w - 4; the number w |
/// | extra            | [B]           | int32 | returned, at ratio 128: the page of l |
///
/// w is the first position of the group of `compress_ratio` tokens that holds the request's newest token. l is the same
/// without the new tokens. Positions below 0 count as 0. compress_ratio is 4 or 128. ring_size is a multiple of it, or
/// 1 at ratio 128: then each page of the sliding-window cache has one state row, and the state page is this row (online
/// compression). swa_page_size is a multiple of ring_size.
///
/// All tensors are contiguous and on the device, so the host cannot check their contents. If a token is not in the
/// maps, its page is 0. Lengths and counts below 0, or of more than 31 bits, count as 0.

#include <tvm/ffi/container/tuple.h>

#include "interface/entry.h"
#include "kernels/compress/decode_plan.cuh"

namespace dsv4 {
namespace {

constexpr int kThreads = 128;

/// An int32 or int64 vector on the device.
struct Integers {
  const void* values;
  bool wide;

  DSV4_DEVICE std::int64_t at(std::int64_t i) const {
    return wide ? static_cast<const std::int64_t*>(values)[i] : static_cast<const std::int32_t*>(values)[i];
  }
  DSV4_DEVICE std::int64_t count(std::int64_t i) const {
    const std::int64_t value = at(i);
    return value < 0 || value > kLargestRow ? 0 : value;
  }
};

struct PagedCompressParams {
  Integers request_ids;
  Integers seq_lens;
  Integers extend_lens;
  std::int32_t* write_page;
  std::int32_t* extra;
  std::int64_t requests;
  std::int32_t ratio;
  std::int32_t page_rows;  ///< state rows of a state page
  SwaAddress address;

  DSV4_DEVICE std::int32_t page(std::int64_t request_id, std::int32_t position) const {
    const std::int32_t row = address.row(request_id, position < 0 ? 0 : position);
    return row < 0 ? 0 : row / page_rows;
  }
  /// First position of the group of the newest of `tokens` tokens.
  DSV4_DEVICE std::int32_t newest_group(std::int64_t tokens) const {
    return tokens <= 0 ? 0 : static_cast<std::int32_t>((tokens - 1) / ratio * ratio);
  }
};

__global__ void __launch_bounds__(kThreads) paged_compress_data_kernel(const __grid_constant__ PagedCompressParams p) {
  wait_for_previous_kernel();
  const std::int64_t b = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (b >= p.requests) return;
  const std::int64_t id = p.request_ids.at(b), length = p.seq_lens.count(b);
  const std::int32_t write = p.newest_group(length), load = p.newest_group(length - p.extend_lens.count(b));
  p.write_page[b] = p.page(id, write);
  if (p.ratio == 4) {
    Pack<std::int32_t, 4, true> extra;
    extra.v[0] = p.page(id, load - 4);
    extra.v[1] = p.page(id, load);
    extra.v[2] = p.page(id, write - 4);
    extra.v[3] = write;
    extra.store(p.extra + 4 * b);
  } else {
    p.extra[b] = p.page(id, load);
  }
}

Integers integers(ArgumentCheck& check, const char* name, const TensorView& tensor, Size& requests) {
  check.tensor(name, tensor).dtype({kInt64, kInt32}).shape({requests}).on_cuda().contiguous();
  return {data_of<const char>(tensor), same_dtype(tensor.dtype(), kInt64)};
}

Tensor new_tensor(std::initializer_list<std::int64_t> shape, DLDevice device) {
  return Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, ::tvm::ffi::ShapeView(shape.begin(), shape.size()), kInt32, device);
}

::tvm::ffi::Tuple<Tensor, Tensor> paged_compress_data(TensorView req_pool_indices, TensorView seq_lens,
                                                      TensorView extend_lens, TensorView req_to_token,
                                                      TensorView full_to_swa, std::int64_t compress_ratio,
                                                      std::int64_t swa_page_size, std::int64_t ring_size) {
  ArgumentCheck check("paged_compress_data");
  check_ratio(check, compress_ratio);
  Size requests("requests");
  PagedCompressParams params{};
  params.request_ids = integers(check, "req_pool_indices", req_pool_indices, requests);
  params.seq_lens = integers(check, "seq_lens", seq_lens, requests);
  params.extend_lens = integers(check, "extend_lens", extend_lens, requests);
  const std::int64_t page_rows = compress_ratio == 128 && ring_size == 1 ? 1 : compress_ratio;
  params.address = swa_address(check, req_to_token, full_to_swa, page_rows, swa_page_size, ring_size);
  const std::int64_t size = requests.value();
  const Tensor write_page = new_tensor({size}, check.device());
  const Tensor extra = compress_ratio == 4 ? new_tensor({size, 4}, check.device()) : new_tensor({size}, check.device());
  if (size != 0) {
    params.write_page = static_cast<std::int32_t*>(write_page.data_ptr());
    params.extra = static_cast<std::int32_t*>(extra.data_ptr());
    params.requests = size;
    params.ratio = static_cast<std::int32_t>(compress_ratio);
    params.page_rows = static_cast<std::int32_t>(page_rows);
    Launch{.name = "paged_compress_data",
           .device = check.device(),
           .grid = grid_of(ceil_div<std::int64_t>(size, kThreads), "paged_compress_data"),
           .block = dim3(kThreads)}(paged_compress_data_kernel, params);
  }
  return ::tvm::ffi::Tuple<Tensor, Tensor>(write_page, extra);
}

}  // namespace
}  // namespace dsv4

DSV4_ENTRY(paged_compress_data, dsv4::paged_compress_data, "paged_compress_data", "paged_compress_data/1", "");
