/// Compares references of ops without arithmetic with LibTorch on the CPU, on the inputs of every case of the quick
/// tier. LibTorch finds places by at::cumsum, at::searchsorted and at::gather.
#include <gtest/gtest.h>

#include "tests/reference/torch/quick_cases.h"
#include "tests/reference/torch/torch.h"

namespace dsv4::testing {
namespace {

TEST(QuickInputsAgainstTorch, PagedMqaLogitsMetadata) {
  for_each_quick_case("paged_mqa_logits_metadata", [](const Specimen& s) {
    const at::Tensor lengths = as_torch(s.call.tensor("seq_lens")).to(at::kLong);
    const at::Tensor got = as_torch(s.result.tensor("metadata")).to(at::kLong);
    const std::int64_t rows = lengths.size(0), shares = got.size(0) - 1;
    const at::Tensor ends = at::cumsum(at::ceil(lengths.to(at::kDouble) / 256.0).to(at::kLong), 0);
    const auto splits = ends[-1].item<std::int64_t>();
    const at::Tensor share = at::arange(shares + 1);
    const at::Tensor first = share * (splits / shares) + at::clamp_max(share, splits % shares);
    const at::Tensor row = at::searchsorted(ends, first, false, true);
    const at::Tensor before = at::cat({at::zeros({1}, at::kLong), ends}).index_select(0, row);
    expect_equal(got.select(1, 0).to(at::kDouble), row.to(at::kDouble), "rows");
    expect_equal(got.select(1, 1).to(at::kDouble), at::where(row.eq(rows), 0, first - before).to(at::kDouble),
                 "splits");
  });
}

/// The tokens of a cache [rows, bytes] as bytes [rows * tokens of a row, 584]: a view for the data and one for
/// the scales.
std::pair<at::Tensor, at::Tensor> tokens_of(const at::Tensor& cache, bool paged) {
  const std::int64_t tokens = paged ? 64 : 1;
  const at::Tensor data = cache.slice(1, 0, tokens * 576).unflatten(1, {tokens, 576});
  const at::Tensor scales = cache.slice(1, tokens * 576, tokens * 584).unflatten(1, {tokens, 8});
  return {data, scales};
}

TEST(QuickInputsAgainstTorch, HisparseTransfer) {
  for_each_quick_case("hisparse_transfer", [](const Specimen& s) {
    const bool paged = s.c.params.is("destination", "paged");
    const std::int64_t layers = s.c.params.integer("layers"), row_tokens = paged ? 64 : 1;
    const at::Tensor from = as_torch(s.call.tensor("src_indices")), to = as_torch(s.call.tensor("dst_indices"));
    const at::Tensor source = as_torch(s.call.tensor("source")), want = as_torch(s.call.tensor("destination")).clone();
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const auto [data, scales] = tokens_of(source.chunk(layers)[layer], true);
      const auto [to_data, to_scales] = tokens_of(want.chunk(layers)[layer], paged);
      const at::Tensor page = at::floor_divide(from, 64), row = at::floor_divide(to, row_tokens);
      to_data.index_put_({row, to % row_tokens}, data.index({page, from % 64}));
      to_scales.index_put_({row, to % row_tokens}, scales.index({page, from % 64}));
    }
    EXPECT_TRUE(at::equal(as_torch(s.result.tensor("destination")), want));
  });
}

TEST(QuickInputsAgainstTorch, PagedCompressData) {
  for_each_quick_case("paged_compress_data", [](const Specimen& s) {
    const auto longs = [&](const char* name) { return as_torch(s.call.tensor(name)).to(at::kLong); };
    const auto integer = [&](const char* name) { return std::get<std::int64_t>(s.call.arg(name).value); };
    const std::int64_t ratio = integer("compress_ratio"), ring = integer("ring_size"), page = integer("swa_page_size");
    const at::Tensor ids = longs("req_pool_indices"), length = longs("seq_lens"), maps = longs("req_to_token");
    const auto group_of = [&](const at::Tensor& tokens) {
      return at::floor_divide((tokens - 1).clamp_min(0), ratio) * ratio;
    };
    const auto page_of = [&](const at::Tensor& position) {
      const at::Tensor slot = longs("full_to_swa").index({maps.index({ids, position.clamp_min(0)})});
      const at::Tensor row = at::floor_divide(slot, page) * ring + slot % ring;
      return at::floor_divide(row, ring == 1 ? 1 : ratio);
    };
    const at::Tensor write = group_of(length), load = group_of(length - longs("extend_lens"));
    const at::Tensor extra =
        ratio == 4 ? at::stack({page_of(load - 4), page_of(load), page_of(write - 4), write}, 1) : page_of(load);
    EXPECT_TRUE(at::equal(as_torch(std::get<HostTensor>(s.result.returned.at(0))).to(at::kLong), page_of(write)));
    EXPECT_TRUE(at::equal(as_torch(std::get<HostTensor>(s.result.returned.at(1))).to(at::kLong), extra));
  });
}

}  // namespace
}  // namespace dsv4::testing
