/// Compares references with LibTorch on the CPU, on the inputs of every case of the quick tier. The inputs include NaN,
/// infinities and the other edges of each op. LibTorch computes in double precision, by other functions than the
/// references: at::softplus, at::silu, at::softmax, at::topk, a product of complex numbers and its own E4M3 and
/// bfloat16.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "interface/compress_plan.h"
#include "interface/kv_cache.h"
#include "tests/reference/torch/quick_cases.h"
#include "tests/reference/torch/quick_entries.h"

namespace dsv4::testing {
namespace {

TEST(QuickInputsAgainstTorch, TopK) {
  for_each_quick_case("topk_v1", [](const Specimen& s) {
    if (!s.call.arg("raw_indices").is_tensor()) return;  // the positions cannot be read from the slots
    const at::Tensor scores = as_torch(s.call.tensor("scores")), raw = as_torch(s.result.tensor("raw_indices"));
    const at::Tensor slots = as_torch(s.result.tensor("page_indices")), table = as_torch(s.call.tensor("page_table"));
    const std::int64_t k = slots.size(1), page = std::get<std::int64_t>(s.call.arg("page_size").value);
    for (std::int64_t row = 0; row < scores.size(0); ++row) {
      const std::int64_t length = as_torch(s.call.tensor("seq_lens"))[row].item<std::int32_t>();
      const std::int64_t n = std::min(length, k);
      const at::Tensor chosen = raw[row].slice(0, 0, n).to(at::kLong);
      EXPECT_TRUE(raw[row].slice(0, n).eq(-1).all().item<bool>());
      EXPECT_TRUE(slots[row].slice(0, n).eq(-1).all().item<bool>());
      if (n == 0) continue;
      EXPECT_EQ(std::get<0>(at::_unique(chosen)).numel(), n);
      const at::Tensor slot = at::index_select(table[row], 0, at::floor_divide(chosen, page)) * page + chosen % page;
      EXPECT_TRUE(at::equal(slot.to(at::kInt), slots[row].slice(0, 0, n)));
      if (length <= k) {
        EXPECT_TRUE(at::equal(chosen, at::arange(n)));
        continue;
      }
      const at::Tensor valid = scores[row].slice(0, 0, length);
      const at::Tensor want = std::get<0>(at::topk(valid, k));
      const at::Tensor got = std::get<0>(at::sort(at::index_select(valid, 0, chosen), -1, true));
      expect_equal(got.to(at::kDouble), want.to(at::kDouble), "scores");
    }
  });
}

TEST(QuickInputsAgainstTorch, HashTopK) {
  for_each_quick_case("hash_topk", [](const Specimen& s) {
    const at::Tensor logits = as_double(s.call.tensor("router_logits"));
    const at::Tensor table = as_torch(s.call.tensor("tid2eid"));
    const at::Tensor experts = at::index_select(table, 0, as_torch(s.call.tensor("input_id")));
    const at::Tensor got = as_double(s.result.tensor("topk_weights")), ids = as_torch(s.result.tensor("topk_ids"));
    const std::int64_t k = table.size(1);
    EXPECT_TRUE(at::equal(ids.slice(1, 0, k), experts));
    const at::Tensor x = at::gather(logits, 1, experts.to(at::kLong));
    // Beyond 500, softplus(x) is x in double precision. Below -150 ln 2, the exponential is less than half of the
    // smallest float, and the weight is zero.
    const at::Tensor soft = at::where(x.lt(-150.0 * std::log(2.0)), 0.0, at::softplus(x, 1, 500));
    const at::Tensor root = at::sqrt(soft), sum = root.sum(1, true);
    const at::Tensor want = at::where(sum.eq(0.0), 0.0, root / sum);
    expect_near(got.slice(1, 0, k), want, half_float_step(want) * 1.001, "weights");
  });
}

TEST(QuickInputsAgainstTorch, Rope) {
  for_each_quick_case("fused_rope", [](const Specimen& s) {
    if (s.call.tensor("positions").numel() == 0) return;
    const bool inverse = std::get<bool>(s.call.arg("inverse").value);
    for (const std::string name : {"q", "k"}) {
      if (!s.call.arg(name).is_tensor() || s.call.tensor(name).numel() == 0) continue;
      expect_rotated(s, as_double(s.call.tensor(name)), as_double(s.result.tensor(name)), inverse, name);
    }
  });
}

TEST(QuickInputsAgainstTorch, StoreCache) {
  for_each_quick_case("fused_store_cache", [](const Specimen& s) {
    const bool flashmla = s.c.params.is("layout", "flashmla");
    const std::int64_t page = s.c.params.integer("page");
    const std::int64_t quantised = flashmla ? layout::FlashMlaCache::kQuantized : layout::IndexerCache::kDim;
    const std::int64_t group = flashmla ? layout::FlashMlaCache::kGroup : layout::IndexerCache::kDim;
    const at::Tensor input = as_torch(s.call.tensor("input"));
    const std::int64_t tokens = input.size(0);
    if (tokens == 0) return;
    // Maximum, scale and product are single float operations, so they are done in float.
    const at::Tensor groups = input.slice(1, 0, quantised).to(at::kFloat).reshape({tokens, quantised / group, group});
    const at::Tensor scale = at::fmax(greatest(groups.to(at::kDouble)).to(at::kFloat), at::full({}, 1e-4f)) / 448.0f;
    const at::Tensor exponent = at::where(at::isinf(scale), 255.0, at::ceil(at::log2(scale.to(at::kDouble))) + 127);
    // For byte 255 upstream's exponent field wraps around to minus infinity.
    const at::Tensor power = at::where(exponent.eq(255), -kInfinity, at::exp2(127 - exponent)).to(at::kFloat);
    const at::Tensor codes = codes_of((groups * (flashmla ? power : at::reciprocal(scale))).to(at::kDouble));
    const at::Tensor tail = input.slice(1, quantised).to(at::kBFloat16).contiguous();

    std::map<std::int64_t, std::int64_t> last;  // slot -> the last token that is stored in it
    const at::Tensor indices = as_torch(s.call.tensor("indices")).to(at::kLong);
    for (std::int64_t t = 0; t < tokens; ++t) last[indices[t].item<std::int64_t>()] = t;
    const at::Tensor cache = as_torch(s.result.tensor("cache"));
    const auto bytes = [&](std::int64_t at_page, std::int64_t from, std::int64_t n) {
      return cache[at_page].slice(0, from, from + n).contiguous();
    };
    for (const auto& [slot, t] : last) {
      if (slot < 0 || slot >= cache.size(0) * page) continue;
      const std::int64_t at_page = slot / page, row = slot % page;
      const std::int64_t data = row * (flashmla ? layout::FlashMlaCache::kDataRow : layout::IndexerCache::kDim);
      EXPECT_TRUE(at::equal(bytes(at_page, data, quantised), codes[t].reshape({quantised}))) << "token " << t;
      if (!flashmla) {
        const at::Tensor stored = bytes(at_page, layout::IndexerCache::scale_offset(page, row), 4).view(at::kFloat);
        EXPECT_TRUE(at::equal(stored, scale[t].reshape({1}))) << "token " << t;
        continue;
      }
      const at::Tensor scales = bytes(at_page, layout::FlashMlaCache::scale_offset(page, row), 7);
      EXPECT_TRUE(at::equal(scales.to(at::kDouble), exponent[t].reshape({7}))) << "token " << t;
      const at::Tensor stored = bytes(at_page, data + quantised, 128).view(at::kBFloat16);
      expect_equal(stored.to(at::kDouble), tail[t].to(at::kDouble), "tail");
    }
  });
}

void expect_prefill(const Specimen& s, std::int64_t ratio) {
  const at::Tensor state = as_double(s.call.tensor("kv_buffer")), input = as_double(s.call.tensor("kv_input"));
  const std::int64_t state_rows = ratio * state.size(0), before = (windows_of(ratio) - 1) * ratio;
  const std::int64_t window = before + ratio;
  std::vector<std::int64_t> places, entries;
  const auto plans = records_of<layout::CompressPlan>(s.call.tensor("plan_c"));
  for (std::size_t n = 0; n < plans.size(); ++n) {
    const layout::CompressPlan& plan = plans[n];
    if (plan.seq_len == layout::kNoEntry) continue;
    entries.push_back(static_cast<std::int64_t>(n));
    for (std::int64_t i = 0; i < window; ++i) {
      const std::int64_t page = i < before ? plan.read_page_0 : plan.read_page_1;
      places.push_back(i < before && plan.seq_len <= ratio ? kAbsent
                       : i < plan.buffer_len               ? ratio * page + i % ratio
                                                           : state_rows + plan.ragged_id - (window - 1) + i);
    }
  }
  expect_entries_of(s, entries, rows_of(state, input), places, kAbsentScore, ratio);
}

void expect_decode(const Specimen& s, std::int64_t ratio) {
  const at::Tensor input = as_double(s.call.tensor("kv_input")), state = as_double(s.call.tensor("kv_buffer"));
  const std::int64_t before = (windows_of(ratio) - 1) * ratio;
  const auto plans = records_of<layout::DecodePlan>(s.call.tensor("plan_d"));
  std::vector<std::int64_t> places, entries;
  for (std::size_t b = 0; b < plans.size(); ++b) {
    state[plans[b].write_loc / ratio][plans[b].write_loc % ratio] = input[static_cast<std::int64_t>(b)];
    if (plans[b].seq_len % ratio != 0) continue;
    entries.push_back(static_cast<std::int64_t>(b));
    for (std::int64_t i = 0; i < before + ratio; ++i) {
      const std::int64_t page = i < before ? plans[b].read_page_0 : plans[b].read_page_1;
      places.push_back(i < before && plans[b].seq_len <= ratio ? kAbsent : ratio * page + i % ratio);
    }
  }
  expect_equal(as_double(s.result.tensor("kv_buffer")), state, "kv_buffer");
  expect_entries_of(s, entries, rows_of(state, input), places, kAbsentScore, ratio);
}

TEST(QuickInputsAgainstTorch, CompressC4Prefill) {
  for_each_quick_case("compress_c4_prefill", [](const Specimen& s) { expect_prefill(s, 4); });
}

TEST(QuickInputsAgainstTorch, CompressC4Decode) {
  for_each_quick_case("compress_c4_decode", [](const Specimen& s) { expect_decode(s, 4); });
}

TEST(QuickInputsAgainstTorch, CompressC128Prefill) {
  for_each_quick_case("compress_c128_prefill", [](const Specimen& s) { expect_prefill(s, 128); });
}

TEST(QuickInputsAgainstTorch, CompressC128Decode) {
  for_each_quick_case("compress_c128_decode", [](const Specimen& s) { expect_decode(s, 128); });
}

}  // namespace
}  // namespace dsv4::testing
