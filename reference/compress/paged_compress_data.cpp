/// Reference of paged_compress_data: the state pages that the V1 compressors of a prefill batch read and write.
#include <array>

#include "interface/entry.h"
#include "reference/compress/plan_arguments.h"

namespace dsv4::reference {
namespace {

constexpr const char* kOp = "paged_compress_data";

/// Returns the elements of an i32 or i64 vector of `size` elements; -1: of any size.
std::vector<std::int64_t> integers(const char* name, TensorView tensor, std::int64_t size) {
  std::vector<std::int64_t> values;
  const auto take = [&](const auto& view) {
    view.expect_contiguous();
    if (size >= 0) view.expect_size(0, size);
    for (std::int64_t i = 0; i < view.size(0); ++i) values.push_back(view(i));
  };
  if (holds<std::int32_t>(tensor)) {
    take(View<const std::int32_t, 1>(kOp, name, tensor));
  } else {
    take(View<const std::int64_t, 1>(kOp, name, tensor));
  }
  return values;
}

/// A length or a count of tokens. Numbers below 0, or of more than 31 bits, count as 0.
std::int64_t count_of(std::int64_t value) { return value < 0 || value > 0x7fffffff ? 0 : value; }

/// The position of the first token of a group: the group that holds the newest of `tokens` tokens.
std::int64_t newest_group(std::int64_t tokens, std::int64_t ratio) {
  std::int64_t group = 0;
  while (group + ratio < tokens) group += ratio;
  return group;
}

Tensor new_tensor(const std::vector<std::int32_t>& values, std::initializer_list<std::int64_t> shape) {
  Tensor t = Tensor::FromEnvAlloc(TVMFFIEnvTensorAlloc, tvm::ffi::ShapeView(shape.begin(), shape.size()),
                                  dtype_of<std::int32_t>(), DLDevice{kDLCPU, 0});
  if (!values.empty()) std::memcpy(t.data_ptr(), values.data(), values.size() * sizeof(std::int32_t));
  return t;
}

/// req_pool_indices, seq_lens and extend_lens are i32 or i64 [B]; req_to_token is i32 [requests, positions], and
/// full_to_swa is i64 [slots]. Request b has seq_lens[b] tokens, of which the last extend_lens[b] are new. Let w be the
/// position at which the group of its newest token begins, and l the same without the new tokens. A state page holds
/// the `compress_ratio` state rows of a group. Returns
///
///     write_page, i32 [B]: the state page of position w
///     extra, at ratio 4 i32 [B, 4]: the pages of l - 4, of l and of w - 4, and the number w
///            at ratio 128 i32 [B]: the page of l
///
/// A position below 0 counts as 0 (sglang 0.5.13, jit_kernel/dsv4/attn.py:103-157, which is written in Triton). So a
/// request without earlier tokens has the page of its first token as page of l. The page of a token is 0 if the token
/// is not in the maps.
///
/// With ring_size = 1 and ratio 128, the compressor is the online one. It keeps one state row for each page of the
/// sliding-window cache, and this row is the state page. Upstream divides its number by 128 (attn.py:137), so that
/// requests in neighbouring pages share one row. The planner of its successor does not
/// (csrc/deepseek_v4/c128_online_v2.cuh).
tvm::ffi::Tuple<Tensor, Tensor> paged_compress_data(TensorView req_pool_indices, TensorView seq_lens,
                                                    TensorView extend_lens, TensorView req_to_token,
                                                    TensorView full_to_swa, std::int64_t compress_ratio,
                                                    std::int64_t swa_page_size, std::int64_t ring_size) {
  const std::vector<std::int64_t> ids = integers("req_pool_indices", req_pool_indices, -1);
  const std::vector<std::int64_t> seq = integers("seq_lens", seq_lens, std::ssize(ids));
  const std::vector<std::int64_t> extend = integers("extend_lens", extend_lens, std::ssize(ids));
  const std::int64_t page_rows = compress_ratio == 128 && ring_size == 1 ? 1 : compress_ratio;
  CacheRows rows(kOp, req_to_token, full_to_swa, compress_ratio, swa_page_size, ring_size, page_rows);
  const std::int64_t requests = std::ssize(ids);
  std::vector<std::int32_t> write_pages, extra;
  for (std::size_t b = 0; b < ids.size(); ++b) {
    const auto page_of = [&](std::int64_t position) {
      const std::int64_t row = rows(ids[b], std::max<std::int64_t>(position, 0));
      return static_cast<std::int32_t>(row < 0 ? 0 : row / page_rows);
    };
    const std::int64_t length = count_of(seq[b]);
    if (length > kLongest) refuse(kOp, "seq_lens", "a length must be at most 2^24 in this reference");
    const std::int64_t write = newest_group(length, compress_ratio);
    const std::int64_t load = newest_group(length - count_of(extend[b]), compress_ratio);
    write_pages.push_back(page_of(write));
    if (compress_ratio == 4) extra.insert(extra.end(), {page_of(load - 4), page_of(load), page_of(write - 4)});
    extra.push_back(compress_ratio == 4 ? static_cast<std::int32_t>(write) : page_of(load));
  }
  return tvm::ffi::Tuple<Tensor, Tensor>(new_tensor(write_pages, {requests}), compress_ratio == 4
                                                                                  ? new_tensor(extra, {requests, 4})
                                                                                  : new_tensor(extra, {requests}));
}

}  // namespace
}  // namespace dsv4::reference

DSV4_ENTRY(paged_compress_data, dsv4::reference::paged_compress_data, "paged_compress_data", "paged_compress_data/1",
           "");
