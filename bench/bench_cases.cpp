#include "bench/bench_cases.h"

#include <dlpack/dlpack.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "interface/compress_plan.h"

namespace dsv4::bench {
namespace {

constexpr DLDataType kF32{kDLFloat, 32, 1};
constexpr DLDataType kBf16{kDLBfloat, 16, 1};
constexpr DLDataType kE4m3{kDLFloat8_e4m3fn, 8, 1};
constexpr DLDataType kI32{kDLInt, 32, 1};
constexpr DLDataType kI64{kDLInt, 64, 1};
constexpr DLDataType kU8{kDLUInt, 8, 1};
using Shape = std::vector<std::int64_t>;

/// splitmix64 (Steele, Lea, Flood 2014): fast, and the same everywhere.
class Random {
 public:
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(n)); }
  /// Close to normal, from four 16-bit uniforms: the shape is what matters for a time, not the tails.
  float normal() {
    const std::uint64_t u = next();
    const auto sum = static_cast<float>((u & 0xFFFF) + (u >> 16 & 0xFFFF) + (u >> 32 & 0xFFFF) + (u >> 48));
    return (sum - 131070.0f) * (1.0f / 37837.0f);
  }

 private:
  std::uint64_t state_ = 1;
};

template <typename T, typename Make>
TensorSpec filled(DLDataType dtype, Shape shape, std::size_t elements, Make&& make) {
  TensorSpec spec{.dtype = dtype, .shape = std::move(shape), .strides = {}, .bytes = {}};
  spec.bytes.resize(elements * sizeof(T));
  for (std::size_t i = 0; i < elements; ++i) {
    const T value = make(i);
    std::memcpy(spec.bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return spec;
}

std::size_t count(const Shape& shape) {
  return static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()));
}

TensorSpec floats(Random& random, const Shape& shape, float scale = 1.0f) {
  return filled<float>(kF32, shape, count(shape), [&](std::size_t) { return random.normal() * scale; });
}
/// Truncated to bfloat16: the rounding of an input does not matter here.
TensorSpec halves(Random& random, const Shape& shape, float scale = 1.0f) {
  return filled<std::uint16_t>(kBf16, shape, count(shape), [&](std::size_t) {
    return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(random.normal() * scale) >> 16);
  });
}
template <typename Make>
TensorSpec ints(const Shape& shape, Make&& make) {
  return filled<std::int32_t>(kI32, shape, count(shape),
                              [&](std::size_t i) { return static_cast<std::int32_t>(make(i)); });
}
template <typename Make>
TensorSpec longs(const Shape& shape, Make&& make, bool on_host = false) {
  TensorSpec spec = filled<std::int64_t>(kI64, shape, count(shape),
                                         [&](std::size_t i) { return static_cast<std::int64_t>(make(i)); });
  spec.on_host = on_host;
  return spec;
}
TensorSpec zeros(DLDataType dtype, const Shape& shape, bool on_host = false) {
  TensorSpec spec{.dtype = dtype, .shape = shape, .strides = {}, .bytes = {}, .on_host = on_host};
  spec.bytes.resize(count(shape) * dtype.bits / 8);
  return spec;
}
template <typename Record>
TensorSpec records(const std::vector<Record>& rows) {
  TensorSpec spec{
      .dtype = kU8, .shape = {static_cast<std::int64_t>(rows.size()), sizeof(Record)}, .strides = {}, .bytes = {}};
  spec.bytes.resize(rows.size() * sizeof(Record));
  std::memcpy(spec.bytes.data(), rows.data(), spec.bytes.size());
  return spec;
}

BenchCase topk(std::int64_t rows, std::int64_t columns, std::int64_t k, std::int64_t length, const char* note = "") {
  constexpr std::int64_t kPage = 64;
  return {.op = "topk_v1",
          .abi = "topk_v1/1",
          .params = {{"k", std::to_string(k)}},
          .shape = fmt::format("{} x {} k={}{}", rows, columns, k, note),
          .bytes = 4.0 * static_cast<double>(rows * (length + k)),
          .clock = Clock::kGraph,
          .make = [=] {
            Random random;
            return Arguments{floats(random, {rows, columns}),
                             ints({rows}, [&](std::size_t) { return length; }),
                             ints({rows, columns / kPage}, [](std::size_t i) { return i; }),
                             zeros(kI32, {rows, k}),
                             kPage,
                             None{}};
          }};
}

BenchCase hash_topk(std::int64_t tokens) {
  constexpr std::int64_t kExperts = 256, kPerToken = 6, kVocabulary = 129280;
  return {.op = "hash_topk",
          .abi = "hash_topk/1",
          .params = {},
          .shape = fmt::format("N={} K=6 E=256", tokens),
          .bytes = static_cast<double>(tokens * (8 + 16 * kPerToken)),
          .clock = Clock::kGraph,
          .make = [=] {
            Random random;
            return Arguments{floats(random, {tokens, kExperts}, 3.0f),
                             longs({tokens}, [&](std::size_t) { return random.below(kVocabulary); }),
                             ints({kVocabulary, kPerToken}, [&](std::size_t) { return random.below(kExperts); }),
                             zeros(kF32, {tokens, kPerToken}),
                             zeros(kI32, {tokens, kPerToken}),
                             1.5};
          }};
}

BenchCase mask(std::int64_t tokens) {
  return {.op = "mask_topk_ids",
          .abi = "mask_topk_ids/1",
          .params = {},
          .shape = fmt::format("N={} K=8, a quarter padded", tokens),
          .bytes = static_cast<double>(tokens / 4 * 32),
          .clock = Clock::kGraph,
          .make = [=] {
            return Arguments{ints({tokens, 8}, [](std::size_t i) { return i; }),
                             ints({1}, [&](std::size_t) { return tokens - tokens / 4; })};
          }};
}

BenchCase rope(std::int64_t tokens) {
  // As on the attention output: the last 64 of 512 columns of a head.
  constexpr std::int64_t kHeads = 64, kHeadDim = 512, kTable = 65536;
  return {
      .op = "fused_rope",
      .abi = "fused_rope/1",
      .params = {},
      .shape = fmt::format("T={} H=64 inverse, strided", tokens),
      .bytes = static_cast<double>(tokens * (kHeads * 256 + 256)),
      .clock = Clock::kGraph,
      .make = [=] {
        Random random;
        TensorSpec q = halves(random, {tokens, kHeads, kHeadDim});
        q.shape = {tokens, kHeads, 64};
        q.strides = {kHeads * kHeadDim, kHeadDim, 1};
        // Unit length, so that values stay as they are however often they are rotated.
        const TensorSpec freqs = filled<float>(kF32, {kTable, 64}, kTable * 64, [](std::size_t i) {
          const double angle = static_cast<double>(i / 64) * std::pow(10000.0, -static_cast<double>(i % 64 / 2) / 32.0);
          return static_cast<float>(i % 2 == 0 ? std::cos(angle) : std::sin(angle));
        });
        return Arguments{q, None{}, freqs, longs({tokens}, [&](std::size_t) { return random.below(kTable); }), true};
      }};
}

BenchCase store(const char* layout, bool bf16, std::int64_t page, std::int64_t rows) {
  const bool flashmla = std::string(layout) == "flashmla";
  const std::int64_t width = flashmla ? 512 : 128;
  const std::int64_t page_bytes = flashmla ? (584 * page + 575) / 576 * 576 : 132 * page;
  const std::int64_t pages = std::max<std::int64_t>(2 * rows / page, 4);
  return {.op = "fused_store_cache",
          .abi = "fused_store_cache/1",
          .params = {{"layout", layout},
                     {"input", bf16 ? "bf16" : "f32"},
                     {"index", "i32"},
                     {"page", std::to_string(page)}},
          .shape = fmt::format("{} {} page={} T={}", layout, bf16 ? "bf16" : "f32", page, rows),
          .bytes = static_cast<double>(rows * (width * (bf16 ? 2 : 4) + 4 + (flashmla ? 583 : 132))),
          .clock = Clock::kGraph,
          .make = [=] {
            Random random;
            std::vector<std::int64_t> slots(static_cast<std::size_t>(pages * page));
            std::iota(slots.begin(), slots.end(), 0);
            for (std::size_t i = slots.size(); i-- > 1;)
              std::swap(slots[i], slots[static_cast<std::size_t>(random.below(i + 1))]);
            return Arguments{bf16 ? halves(random, {rows, width}) : floats(random, {rows, width}),
                             zeros(kU8, {pages, page_bytes}), ints({rows}, [&](std::size_t i) { return slots[i]; })};
          }};
}

BenchCase silu(std::int64_t padded_rows, std::int64_t live, bool ue8m0) {
  constexpr std::int64_t kExperts = 32, kColumns = 2048;
  return {
      .op = "silu_and_mul_masked_post_quant",
      .abi = "silu_and_mul_masked_post_quant/1",
      .params = {{"group", "128"}, {"ue8m0", ue8m0 ? "1" : "0"}, {"swizzle", "0"}, {"clamp", "1"}},
      .shape = fmt::format("E=32 T={} D=2048, {} rows each{}", padded_rows, live, ue8m0 ? ", ue8m0 transposed" : ""),
      .bytes = static_cast<double>(kExperts * live * (5 * kColumns + kColumns / 128 * (ue8m0 ? 1 : 4))),
      .clock = Clock::kGraph,
      .make = [=] {
        Random random;
        return Arguments{halves(random, {kExperts, padded_rows, 2 * kColumns}, 3.0f),
                         zeros(kE4m3, {kExperts, padded_rows, kColumns}),
                         ue8m0 ? zeros(kI32, {kExperts, kColumns / 512, padded_rows})
                               : zeros(kF32, {kExperts, padded_rows, kColumns / 128}),
                         ints({kExperts}, [&](std::size_t) { return live; }),
                         std::int64_t{8},
                         ue8m0,
                         10.0};
      }};
}

BenchCase compress_prefill(std::int64_t head_dim, std::int64_t tokens) {
  constexpr std::int64_t kRequests = 16;
  return {.op = "compress_c4_prefill",
          .abi = "compress_c4_prefill/1",
          .params = {{"head_dim", std::to_string(head_dim)}, {"dtype", "f32"}},
          .shape = fmt::format("H={} N={} in 16 requests", head_dim, tokens),
          .bytes = static_cast<double>(tokens * head_dim * 17),  // a row of 4 H floats, a quarter of H floats out
          .clock = Clock::kGraph,
          .make = [=] {
            Random random;
            // Requests that go on from a prefix of 4096: entries of a chunk's first group look back into the state.
            const std::int64_t extend = tokens / kRequests, pages = 2 * kRequests;
            std::vector<layout::CompressPlan> entries;
            std::vector<layout::WritePlan> writes;
            for (std::int64_t r = 0; r < kRequests; ++r) {
              for (std::int64_t i = 3; i < extend; i += 4) {
                entries.push_back({.seq_len = static_cast<std::uint32_t>(4096 + i + 1),
                                   .ragged_id = static_cast<std::uint16_t>(r * extend + i),
                                   .buffer_len = static_cast<std::uint16_t>(std::max<std::int64_t>(7 - i, 0)),
                                   .read_page_0 = static_cast<std::int32_t>(2 * r),
                                   .read_page_1 = static_cast<std::int32_t>(2 * r + 1)});
              }
              for (std::int64_t i = 0; i < 4; ++i) {
                writes.push_back({.ragged_id = static_cast<std::uint32_t>((r + 1) * extend - 4 + i),
                                  .write_loc = static_cast<std::int32_t>((2 * r + 1) * 4 + i)});
              }
            }
            return Arguments{floats(random, {pages, 4, 4 * head_dim}),
                             floats(random, {tokens, 4 * head_dim}),
                             zeros(kF32, {static_cast<std::int64_t>(entries.size()), head_dim}),
                             floats(random, {8, head_dim}),
                             records(entries),
                             records(writes)};
          }};
}

BenchCase compress_decode(std::int64_t head_dim, std::int64_t requests) {
  return {.op = "compress_c4_decode",
          .abi = "compress_c4_decode/1",
          .params = {{"head_dim", std::to_string(head_dim)}, {"dtype", "f32"}},
          .shape = fmt::format("H={} B={}, every fourth completes", head_dim, requests),
          // 4 H floats in and out for each, seven more rows half read and an entry for a quarter of them.
          .bytes = static_cast<double>(requests * head_dim) * (32 + (7 * 8 + 4) / 4.0),
          .clock = Clock::kGraph,
          .make = [=] {
            Random random;
            std::vector<layout::DecodePlan> plan;
            for (std::int64_t b = 0; b < requests; ++b) {
              plan.push_back({.seq_len = static_cast<std::uint32_t>(4096 + b % 4 + 1),
                              .write_loc = static_cast<std::int32_t>((2 * b + 1) * 4 + b % 4),
                              .read_page_0 = static_cast<std::int32_t>(2 * b),
                              .read_page_1 = static_cast<std::int32_t>(2 * b + 1)});
            }
            return Arguments{floats(random, {2 * requests, 4, 4 * head_dim}), floats(random, {requests, 4 * head_dim}),
                             zeros(kF32, {requests, head_dim}), floats(random, {8, head_dim}), records(plan)};
          }};
}

// --- planners: latency is all there is; `bytes` counts the plans -----------------------------------------------------

constexpr std::int64_t kPositions = 8192;  // columns of req_to_token
constexpr std::int64_t kPlanRatio = 4, kSwaPage = 256, kRing = 8;

/// Slots given out in order, and a sliding-window cache of the same slots.
TensorSpec token_table(std::int64_t requests) {
  return ints({requests, kPositions}, [](std::size_t i) { return i; });
}
TensorSpec window_table(std::int64_t requests) {
  return longs({requests * kPositions + 1}, [](std::size_t i) { return i; });
}
auto ordinal() {
  return [](std::size_t i) { return i; };
}
auto constant(std::int64_t value) {
  return [value](std::size_t) { return value; };
}

BenchCase plan_decode(std::int64_t requests, bool legacy) {
  const std::string op = legacy ? "plan_decode_legacy" : "plan_decode";
  return {.op = op,
          .abi = op + "/1",
          .params = {},
          .shape = fmt::format("B={}", requests),
          .bytes = static_cast<double>(32 * requests),
          .clock = Clock::kGraph,
          .make = [=] {
            const TensorSpec ids = longs({requests}, ordinal());
            const TensorSpec lengths = longs({requests}, [](std::size_t i) { return 4000 + i % 64; });
            if (legacy) return Arguments{ids, lengths, kPlanRatio};
            return Arguments{ids, token_table(requests), window_table(requests), lengths, kPlanRatio, kSwaPage, kRing};
          }};
}

BenchCase plan_prefill(std::int64_t requests, std::int64_t tokens, bool on_host, bool legacy) {
  const std::string op = legacy ? "plan_prefill_legacy" : "plan_prefill";
  return {.op = op,
          .abi = op + "/1",
          .params = {},
          .shape = fmt::format("B={} N={}, lengths on the {}", requests, tokens, on_host ? "host" : "device"),
          .bytes = static_cast<double>(24 * tokens),
          .clock = on_host ? Clock::kHost : Clock::kGraph,
          .make = [=] {
            const TensorSpec ids = longs({requests}, ordinal());
            const TensorSpec extends = longs({requests}, constant(tokens / requests), on_host);
            const TensorSpec lengths = longs({requests}, constant(4096 + tokens / requests), on_host);
            const TensorSpec scratch = zeros(kU8, {on_host ? 24 * tokens : 0}, true);
            if (legacy) return Arguments{ids, lengths, extends, scratch, tokens, kPlanRatio, false};
            return Arguments{ids,
                             token_table(requests),
                             window_table(requests),
                             lengths,
                             extends,
                             scratch,
                             tokens,
                             kPlanRatio,
                             kSwaPage,
                             kRing,
                             !on_host};
          }};
}

BenchCase plan_v1(std::int64_t requests, std::int64_t tokens) {
  return {.op = "plan_compress_prefill",
          .abi = "plan_compress_prefill/1",
          .params = {},
          .shape = fmt::format("B={} N={}, lengths on the device", requests, tokens),
          .bytes = static_cast<double>(32 * tokens),
          .clock = Clock::kGraph,
          .make = [=] {
            return Arguments{longs({requests}, constant(tokens / requests)),
                             longs({requests}, constant(4096 + tokens / requests)),
                             zeros(kU8, {tokens, 16}),
                             zeros(kU8, {tokens, 16}),
                             kPlanRatio,
                             true,
                             true};
          }};
}

}  // namespace

std::vector<BenchCase> all_cases() {
  return {
      topk(64, 131072, 512, 131072),
      topk(64, 131072, 1024, 131072),
      topk(64, 32768, 512, 32768),
      topk(64, 131072, 512, 8192, ", rows of 8192"),
      topk(1, 262144, 512, 262144),
      topk(1024, 8192, 512, 8192),
      topk(4096, 16384, 512, 16384),
      hash_topk(64),
      hash_topk(4096),
      mask(512),
      mask(8192),
      rope(64),
      rope(512),
      rope(4096),
      store("flashmla", true, 256, 64),
      store("flashmla", true, 256, 4096),
      store("flashmla", true, 256, 16384),
      store("flashmla", false, 64, 4096),
      store("indexer", true, 64, 4096),
      store("indexer", false, 64, 4096),
      silu(128, 32, true),
      silu(1024, 256, true),
      silu(1024, 256, false),
      compress_prefill(512, 8192),
      compress_prefill(128, 8192),
      compress_decode(512, 256),
      compress_decode(128, 256),
      plan_v1(16, 8192),
      plan_prefill(16, 8192, false, false),
      plan_prefill(16, 8192, true, false),
      plan_prefill(16, 8192, true, true),
      plan_decode(256, false),
      plan_decode(256, true),
  };
}

}  // namespace dsv4::bench
