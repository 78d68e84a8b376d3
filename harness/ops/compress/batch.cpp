#include "harness/ops/compress/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "harness/generate/random.h"

namespace dsv4 {
namespace {

/// Largest pool of token slots that a case may hold: above, maps alone would take a gigabyte.
constexpr std::int64_t kMostSlots = std::int64_t{1} << 24;

std::int64_t extend_of(const Params& p, std::int64_t b, Random& random) {
  if (!p.has("extend")) return 1;
  const std::int64_t extend = p.integer("extend");
  if (p.is("mix", "last_differs")) return extend + (b + 1 == p.integer("batch") ? 1 : 0);
  if (p.is("mix", "mixed")) return random.between(1, extend);
  if (p.is("mix", "some_empty")) return b % 3 == 1 ? 0 : random.between(1, extend);
  return extend;
}

}  // namespace

std::int64_t Batch::tokens() const { return std::reduce(extend_lens.begin(), extend_lens.end()); }

std::int64_t Batch::longest() const { return seq_lens.empty() ? 0 : *std::ranges::max_element(seq_lens); }

Batch Batch::permuted(const std::vector<std::int64_t>& order) const {
  Batch out;
  for (const std::int64_t i : order) {
    const auto b = static_cast<std::size_t>(i);
    out.request_ids.push_back(request_ids[b]);
    out.seq_lens.push_back(seq_lens[b]);
    out.extend_lens.push_back(extend_lens[b]);
  }
  return out;
}

std::vector<BatchToken> tokens_of(const Batch& batch) {
  std::vector<BatchToken> tokens;
  for (std::int64_t b = 0; b < batch.size(); ++b) {
    for (std::int64_t p = batch.prefix(b); p < batch.seq_lens[static_cast<std::size_t>(b)]; ++p) {
      tokens.push_back({b, p});
    }
  }
  return tokens;
}

std::vector<ParamSpec> decode_batch(Columns batch, Columns len) {
  batch.soak.insert(batch.soak.end(), {1, 2, 9, 33, 129, 1024});
  len.soak.insert(len.soak.end(), {1, 3, 4, 5, 8, 127, 128, 129, 130, 131, 255, 256, 257, 260, 4096});
  ParamSpec spread =
      word("spread", {"same", "stagger", "random"}, "every request of that length; one more each; or random up to it");
  spread.usual = "stagger";
  return {number("batch", 1, 4096, "requests", std::move(batch)),
          number("len", 1, 1 << 20, "length of the first request, its new tokens included", std::move(len)),
          std::move(spread)};
}

std::vector<ParamSpec> prefill_batch(Columns batch, Columns len, Columns extend) {
  std::vector<ParamSpec> specs = decode_batch(std::move(batch), std::move(len));
  extend.soak.insert(extend.soak.end(), {1, 2, 4, 5, 7, 8, 9, 32, 33, 127, 128, 129, 300});
  specs.push_back(
      number("extend", 1, 1 << 17, "new tokens of a request (the most, where they differ)", std::move(extend)));
  ParamSpec mix = word("mix", {"uniform", "last_differs", "mixed", "some_empty"},
                       "as many of each request; one more of the last; random; or some none at all");
  mix.usual = "mixed";
  specs.push_back(std::move(mix));
  return specs;
}

Batch make_batch(const Params& p, std::uint64_t seed) {
  Random lengths(seed, "lengths"), extends(seed, "extends");
  const std::int64_t size = p.integer("batch"), len = p.integer("len");
  Batch batch;
  const auto ids = Random(seed, "request ids").permutation(pool_size(size));
  for (std::int64_t b = 0; b < size; ++b) {
    const std::int64_t extend = extend_of(p, b, extends);
    const std::int64_t length = p.is("spread", "same")      ? len
                                : p.is("spread", "stagger") ? len + b
                                                            : lengths.between(1, len);
    batch.request_ids.push_back(ids[static_cast<std::size_t>(b)]);
    batch.extend_lens.push_back(extend);
    batch.seq_lens.push_back(std::max(length, extend));
  }
  return batch;
}

std::optional<std::string> too_many_slots(const Params& p) {
  const std::int64_t size = p.integer("batch");
  const std::int64_t extend = p.has("extend") ? p.integer("extend") + 1 : 1;
  const std::int64_t longest = std::max(p.integer("len"), extend) + (p.is("spread", "stagger") ? size : 0);
  if (pool_size(size) * longest > kMostSlots) {
    return fmt::format("{} requests of up to {} tokens exceed the {} token slots a case may have", size, longest,
                       kMostSlots);
  }
  return std::nullopt;
}

std::int64_t CacheMaps::row(std::int64_t request_id, std::int64_t position) const {
  const std::int64_t slot = full_to_swa.at<std::int64_t>(req_to_token.at<std::int32_t>(request_id, position));
  return slot / page_size * ring_size + slot % ring_size;
}

CacheMaps make_maps(const Batch& batch, const Params& p, std::uint64_t seed) {
  const std::int64_t page = p.has("page") ? p.integer("page") : 256;
  const bool shuffled = !p.has("pages") || p.is("pages", "shuffled");
  return make_maps(batch.request_ids, batch.seq_lens, pool_size(batch.size()), batch.longest(), page, p.integer("ring"),
                   shuffled, seed);
}

CacheMaps make_maps(const std::vector<std::int64_t>& request_ids, const std::vector<std::int64_t>& lengths,
                    std::int64_t pool, std::int64_t positions, std::int64_t page_size, std::int64_t ring_size,
                    bool shuffled, std::uint64_t seed) {
  std::int64_t pages = 0;
  for (const std::int64_t n : lengths) pages += (n + page_size - 1) / page_size;
  // Numbers 1 ... pages, in both caches: page 0 is the padding page.
  const auto order = [&](std::string_view stream) {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(pages));
    std::iota(numbers.begin(), numbers.end(), 0);
    if (shuffled) numbers = Random(seed, stream).permutation(pages);
    for (std::int64_t& n : numbers) ++n;
    return numbers;
  };
  const auto full_page = order("full pages"), swa_page = order("swa pages");

  CacheMaps maps;
  maps.page_size = page_size;
  maps.ring_size = ring_size;
  maps.swa_pages = pages + 1;
  maps.full_to_swa = HostTensor::make(DType::kI64, {(pages + 1) * page_size + 1});
  maps.full_to_swa.at<std::int64_t>((pages + 1) * page_size) = -1;
  maps.req_to_token = HostTensor::make(DType::kI32, {pool, positions});
  std::fill_n(maps.req_to_token.data<std::int32_t>(), pool * positions, std::numeric_limits<std::int32_t>::max());
  std::size_t next = 0;
  for (std::size_t i = 0; i < request_ids.size(); ++i) {
    for (std::int64_t p = 0; p < lengths[i]; ++p) {
      const std::size_t page = next + static_cast<std::size_t>(p / page_size);
      const std::int64_t slot = full_page[page] * page_size + p % page_size;
      maps.req_to_token.at<std::int32_t>(request_ids[i], p) = static_cast<std::int32_t>(slot);
      maps.full_to_swa.at<std::int64_t>(slot) = swa_page[page] * page_size + p % page_size;
    }
    next += static_cast<std::size_t>((lengths[i] + page_size - 1) / page_size);
  }
  return maps;
}

HostTensor numbers(const std::vector<std::int64_t>& values) { return HostTensor::of(DType::kI64, values); }

}  // namespace dsv4
