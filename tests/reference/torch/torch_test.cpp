/// Compares references with LibTorch on the CPU, which is an independent implementation, on values that the tests
/// choose.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "harness/core/bits.h"
#include "harness/generate/random.h"
#include "reference/common/number.h"
#include "tests/reference/common/module.h"
#include "tests/reference/torch/torch.h"

namespace dsv4::testing {
namespace {

/// Floats around `value`: the value, its neighbours, and the floats around the middle between it and `next`. Rounding
/// to a format changes only at such floats, so the floats of all values of a format try its whole rounding.
std::vector<float> floats_around(float value, float next) {
  std::vector<float> floats;
  for (const double centre : {double{value}, (double{value} + next) / 2}) {
    const auto middle = static_cast<float>(centre);
    floats.insert(floats.end(), {std::nextafter(middle, -HUGE_VALF), middle, std::nextafter(middle, HUGE_VALF)});
  }
  return floats;
}

TEST(AgainstTorch, EveryBfloat16WidensTheSame) {
  HostTensor all = HostTensor::make(DType::kBF16, {1 << 16});
  for (int i = 0; i < 1 << 16; ++i) all.at<std::uint16_t>(i) = static_cast<std::uint16_t>(i);
  const at::Tensor wide = as_torch(all).to(at::kFloat);
  for (int i = 0; i < 1 << 16; ++i) {
    const float mine = reference::to_float(reference::Bf16{static_cast<std::uint16_t>(i)});
    const float theirs = wide.const_data_ptr<float>()[i];
    EXPECT_TRUE(mine == theirs || (std::isnan(mine) && std::isnan(theirs))) << i;
  }
}

TEST(AgainstTorch, Bfloat16RoundsTheSameAroundEveryValue) {
  std::vector<float> floats;
  for (std::uint32_t i = 0; i < 1 << 16; ++i) {
    const auto value = std::bit_cast<float>(i << 16), next = std::bit_cast<float>((i + 1) << 16);
    const std::vector<float> around = floats_around(value, next);
    floats.insert(floats.end(), around.begin(), around.end());
  }
  const HostTensor x = HostTensor::of(DType::kF32, floats);
  const at::Tensor rounded = as_torch(x).to(at::kBFloat16);
  const auto* bits = reinterpret_cast<const std::uint16_t*>(rounded.const_data_ptr());
  for (std::size_t i = 0; i < floats.size(); ++i) {
    const bool nan = reference::to_float(reference::Bf16{bits[i]}) != reference::to_float(reference::Bf16{bits[i]});
    const reference::Bf16 mine = reference::to_bf16(floats[i]);
    // The payload of a NaN is not specified.
    EXPECT_TRUE(nan ? std::isnan(reference::to_float(mine)) : mine.bits == bits[i]) << std::hexfloat << floats[i];
  }
}

TEST(AgainstTorch, EveryE4m3CodeHasTheSameValue) {
  HostTensor all = HostTensor::make(DType::kE4M3, {256});
  for (std::size_t i = 0; i < 256; ++i) all.storage[i] = static_cast<std::uint8_t>(i);
  const at::Tensor values = as_double(all);
  for (int i = 0; i < 256; ++i) {
    const double mine = reference::to_double(reference::E4m3{static_cast<std::uint8_t>(i)});
    const double theirs = values.const_data_ptr<double>()[i];
    EXPECT_TRUE((mine == theirs && std::signbit(mine) == std::signbit(theirs)) || (mine != mine && theirs != theirs))
        << i;
  }
}

TEST(AgainstTorch, E4m3RoundsTheSameAroundEveryValue) {
  std::vector<float> floats;
  for (std::uint32_t i = 0; i < 1 << 16; ++i) floats.push_back(std::bit_cast<float>(i << 16));
  const auto& values = reference::e4m3_magnitudes();
  for (std::size_t i = 0; i + 1 < values.size(); ++i) {
    for (const float f : floats_around(static_cast<float>(values[i]), static_cast<float>(values[i + 1]))) {
      floats.insert(floats.end(), {f, -f});
    }
  }
  const HostTensor x = HostTensor::of(DType::kF32, floats);
  const at::Tensor codes = as_torch(x).to(at::kFloat8_e4m3fn);
  const auto* bits = reinterpret_cast<const std::uint8_t*>(codes.const_data_ptr());
  for (std::size_t i = 0; i < floats.size(); ++i) {
    // LibTorch does not saturate: for magnitudes of 464 and more, it gives NaN.
    if (!(std::fabs(floats[i]) < 464.0f)) continue;
    EXPECT_EQ(reference::to_e4m3(floats[i]).bits, bits[i]) << std::hexfloat << floats[i];
  }
}

TEST(AgainstTorch, TopKSelectsTheSameScores) {
  for (const std::int64_t k : {512, 1024}) {
    constexpr std::int64_t kRows = 4, kColumns = 5000;
    HostTensor scores = HostTensor::make(DType::kF32, {kRows, kColumns});
    Random random(3, "scores");
    fill_floats(scores, [&] { return std::round(64.0f * random.gauss()) / 32.0f; });
    HostTensor lengths = HostTensor::make(DType::kI32, {kRows});
    std::fill_n(lengths.data<std::int32_t>(), kRows, kColumns);
    HostTensor table = HostTensor::make(DType::kI32, {kRows, kColumns / 64 + 1});
    HostTensor slots = HostTensor::make(DType::kI32, {kRows, k}), raw = slots;
    call_reference("topk_v1", "topk_transform", {&scores, &lengths, &table, &slots, std::int64_t{64}, &raw});
    const at::Tensor want = std::get<0>(at::topk(as_torch(scores), k, 1, /*largest=*/true, /*sorted=*/true));
    const at::Tensor got = at::gather(as_torch(scores), 1, as_torch(raw).to(at::kLong));
    EXPECT_TRUE(at::equal(got, want));  // the reference also orders its selection by descending scores
    EXPECT_EQ(std::get<0>(at::_unique(as_torch(raw)[0])).numel(), k);
  }
}

TEST(AgainstTorch, HashTopKWeightsAreNormalisedRootsOfSoftplus) {
  constexpr std::int64_t kTokens = 300, kExperts = 256, kChosen = 6;
  HostTensor logits = HostTensor::make(DType::kF32, {kTokens, kExperts});
  Random random(4, "logits");
  fill_floats(logits, [&] { return random.chance(4) ? -60.0f * random.unit() : 5.0f * random.gauss(); });
  HostTensor ids = HostTensor::make(DType::kI64, {kTokens}), table = HostTensor::make(DType::kI32, {50, kChosen});
  for (std::int64_t t = 0; t < kTokens; ++t) ids.at<std::int64_t>(t) = random.below(50);
  for (std::int64_t i = 0; i < table.numel(); ++i)
    table.data<std::int32_t>()[i] = static_cast<std::int32_t>(random.below(kExperts));
  HostTensor weights = HostTensor::make(DType::kF32, {kTokens, kChosen}),
             chosen = HostTensor::make(DType::kI32, {kTokens, kChosen});
  call_reference("hash_topk", "hash_topk", {&logits, &ids, &table, &weights, &chosen, 1.0});
  const at::Tensor experts = at::index_select(as_torch(table), 0, as_torch(ids));
  EXPECT_TRUE(at::equal(experts, as_torch(chosen)));
  const at::Tensor x = at::gather(as_torch(logits).to(at::kDouble), 1, experts.to(at::kLong));
  // With a threshold of 1000, LibTorch's softplus does not switch to the identity.
  const at::Tensor root = at::sqrt(at::softplus(x, 1, 1000));
  const at::Tensor want = root / root.sum(1, /*keepdim=*/true);
  EXPECT_TRUE(at::allclose(as_torch(weights).to(at::kDouble), want, 1e-7, 0.0));
}

TEST(AgainstTorch, RopeIsAComplexProduct) {
  constexpr std::int64_t kTokens = 40, kHeads = 3;
  HostTensor q = HostTensor::make(DType::kBF16, {kTokens, kHeads, 64});
  HostTensor freqs = HostTensor::make(DType::kF32, {100, 64});
  HostTensor positions = HostTensor::make(DType::kI64, {kTokens});
  Random random(5, "q");
  fill_floats(q, [&] { return random.gauss(); });
  fill_floats(freqs, [&] { return 2.0f * random.unit() - 1.0f; });
  for (std::int64_t t = 0; t < kTokens; ++t) positions.at<std::int64_t>(t) = random.below(100);
  for (const bool inverse : {false, true}) {
    const at::Tensor x = at::view_as_complex(as_torch(q).to(at::kDouble).reshape({kTokens, kHeads, 32, 2}));
    at::Tensor angles = at::view_as_complex(as_torch(freqs).to(at::kDouble).reshape({100, 32, 2}));
    angles = at::index_select(angles, 0, as_torch(positions)).unsqueeze(1);
    if (inverse) angles = at::conj(angles);
    const at::Tensor want = at::view_as_real((x * angles).resolve_conj()).reshape({kTokens, kHeads, 64});
    HostTensor rotated = q;
    call_reference("fused_rope", "forward", {&rotated, nullptr, &freqs, &positions, inverse});
    // The tolerance is half a bfloat16 step of the result, plus the error of float where the products cancel.
    const at::Tensor got = as_torch(rotated).to(at::kDouble);
    EXPECT_TRUE(at::allclose(got, want, 0x1.01p-8, 0x1p-20));
  }
}

TEST(AgainstTorch, StoredRowsHaveTheCodesOfTorch) {
  constexpr std::int64_t kRows = 20;
  HostTensor input = HostTensor::make(DType::kF32, {kRows, 512});
  Random random(6, "input");
  fill_floats(input, [&] { return random.wide(-10, 10); });
  HostTensor cache = HostTensor::make(DType::kU8, {1, 37440}), indices = HostTensor::make(DType::kI32, {kRows});
  for (std::int32_t t = 0; t < kRows; ++t) indices.at<std::int32_t>(t) = 3 * t;
  call_reference("fused_store_cache", "run_flashmla_64", {&input, &cache, &indices});
  const at::Tensor groups = as_torch(input).slice(1, 0, 448).reshape({kRows, 7, 64}).to(at::kDouble);
  const at::Tensor exponents = at::ceil(at::log2(groups.abs().amax(2, /*keepdim=*/true) / 448.0));
  const at::Tensor codes = (groups * at::exp2(-exponents)).to(at::kFloat).to(at::kFloat8_e4m3fn).reshape({kRows, 448});
  const at::Tensor tail = as_torch(input).slice(1, 448, 512).to(at::kBFloat16).contiguous();
  for (std::int64_t t = 0; t < kRows; ++t) {
    const std::uint8_t* data = cache.storage.data() + 3 * t * 576;
    EXPECT_EQ(std::memcmp(data, static_cast<const std::uint8_t*>(codes.const_data_ptr()) + t * 448, 448), 0);
    EXPECT_EQ(std::memcmp(data + 448, static_cast<const std::uint8_t*>(tail.const_data_ptr()) + t * 128, 128), 0);
    for (std::int64_t g = 0; g < 7; ++g) {
      EXPECT_EQ(cache.storage[static_cast<std::size_t>(64 * 576 + 3 * t * 8 + g)],
                127 + exponents[t][g].item<double>());
    }
  }
}

TEST(AgainstTorch, SiluAndMulHasTheCodesOfTorch) {
  constexpr std::int64_t kExperts = 2, kTokens = 8, kDim = 256;
  HostTensor input = HostTensor::make(DType::kBF16, {kExperts, kTokens, 2 * kDim});
  Random random(7, "input");
  fill_floats(input, [&] { return 6.0f * random.gauss(); });
  HostTensor output = HostTensor::make(DType::kE4M3, {kExperts, kTokens, kDim});
  HostTensor scale = HostTensor::make(DType::kF32, {kExperts, kTokens, kDim / 128});
  HostTensor counts = HostTensor::of<std::int32_t>(DType::kI32, {kTokens, kTokens});
  call_reference("silu_and_mul_masked_post_quant", "run_ue8m0_clamp",
                 {&input, &output, &scale, &counts, std::int64_t{8}, false, 10.0});
  const at::Tensor x = as_torch(input).to(at::kDouble);
  const at::Tensor gate = x.slice(2, 0, kDim).clamp_max(10.0), up = x.slice(2, kDim, 2 * kDim).clamp(-10.0, 10.0);
  const at::Tensor groups = (at::silu(gate) * up).reshape({kExperts, kTokens, kDim / 128, 128});
  const at::Tensor powers = at::exp2(at::ceil(at::log2(groups.abs().amax(3, /*keepdim=*/true) / 448.0)));
  EXPECT_TRUE(at::equal(as_torch(scale).to(at::kDouble), powers.squeeze(3)));
  const at::Tensor codes = (groups / powers).to(at::kFloat).to(at::kFloat8_e4m3fn).reshape({kExperts, kTokens, kDim});
  EXPECT_EQ(std::memcmp(codes.contiguous().const_data_ptr(), output.storage.data(), output.storage.size()), 0);
}

}  // namespace
}  // namespace dsv4::testing
