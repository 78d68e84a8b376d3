#include "harness/generate/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <limits>
#include <numeric>

namespace dsv4 {
namespace {

/// Largest number of token slots in the pool of a case. With more slots, the maps alone would take a gigabyte.
constexpr std::int64_t kMostSlots = std::int64_t{1} << 24;

constexpr std::int64_t kShortExtend = 9;  ///< most new tokens of the later requests with mix=long_first

std::int64_t extend_of(const Params& p, std::int64_t b, Random& random) {
  if (!p.has("extend")) return 1;
  const std::int64_t extend = p.integer("extend");
  if (p.is("mix", "last_differs")) return extend + (b + 1 == p.integer("batch") ? 1 : 0);
  if (p.is("mix", "mixed")) return random.between(1, extend);
  if (p.is("mix", "long_first")) return b == 0 ? extend : random.between(1, std::min(extend, kShortExtend));
  if (p.is("mix", "some_empty")) return b % 3 == 1 ? 0 : random.between(1, extend);
  return extend;
}

}  // namespace

std::int64_t Batch::tokens() const { return std::reduce(extend_lens.begin(), extend_lens.end()); }

std::int64_t Batch::longest() const { return seq_lens.empty() ? 0 : *std::ranges::max_element(seq_lens); }

std::vector<std::int64_t> Batch::prefixes() const {
  std::vector<std::int64_t> prefixes;
  std::ranges::transform(seq_lens, extend_lens, std::back_inserter(prefixes), std::minus{});
  return prefixes;
}

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
  for (std::size_t b = 0; b < batch.seq_lens.size(); ++b) {
    const std::int64_t prefix = batch.seq_lens[b] - batch.extend_lens[b];
    for (std::int64_t p = prefix; p < batch.seq_lens[b]; ++p) {
      tokens.push_back(
          {std::ssize(tokens), static_cast<std::int64_t>(b), batch.request_ids[b], p, prefix, batch.seq_lens[b]});
    }
  }
  return tokens;
}

std::vector<ParamSpec> decode_batch(Columns batch, Columns len) {
  batch.soak.insert(batch.soak.end(), {1, 2, 9, 33, 129, 1024});
  len.soak.insert(len.soak.end(), {1, 3, 4, 5, 8, 127, 128, 129, 130, 131, 255, 256, 257, 260, 4096});
  ParamSpec spread = word("spread", {"same", "stagger", "random"},
                          "lengths: all len; len, len + 1, len + 2, ...; or random, 1 to len");
  spread.usual = "stagger";
  return {number("batch", 1, 1 << 17, "requests", std::move(batch)),
          number("len", 1, 1 << 20, "length of the first request, its new tokens included", std::move(len)),
          std::move(spread)};
}

std::vector<ParamSpec> prefill_batch(Columns batch, Columns len, Columns extend) {
  std::vector<ParamSpec> specs = decode_batch(std::move(batch), std::move(len));
  extend.soak.insert(extend.soak.end(), {1, 2, 4, 5, 7, 8, 9, 32, 33, 127, 128, 129, 300});
  specs.push_back(
      number("extend", 1, 1 << 17, "new tokens of a request; mix can change it for some requests", std::move(extend)));
  ParamSpec mix =
      word("mix", {"uniform", "last_differs", "mixed", "some_empty"},
           "new tokens: extend; one more in the last request; random up to extend; or some requests have none. With "
           "long_first only the first request has extend, and the others have few",
           {"long_first"});
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

std::int64_t most_tokens(const Params& p) {
  const std::int64_t batch = p.integer("batch"), extend = p.integer("extend");
  if (p.is("mix", "long_first")) return extend + (batch - 1) * std::min(extend, kShortExtend);
  return batch * extend + (p.is("mix", "last_differs") ? 1 : 0);
}

std::int64_t longest_extend(const Params& p) { return p.has("extend") ? p.integer("extend") + 1 : 1; }

std::int64_t longest_request(const Params& p) {
  return std::max(p.integer("len") + (p.is("spread", "stagger") ? p.integer("batch") : 0), longest_extend(p));
}

std::optional<std::string> too_many_slots(const Params& p) {
  const std::int64_t size = p.integer("batch"), longest = longest_request(p);
  if (pool_size(size) * longest <= kMostSlots) return std::nullopt;
  return fmt::format("{} requests of up to {} tokens exceed the limit of {} token slots", size, longest, kMostSlots);
}

std::int64_t CacheMaps::row(std::int64_t request_id, std::int64_t position) const {
  const std::int64_t slot = full_to_swa.at<std::int64_t>(req_to_token.at<std::int32_t>(request_id, position));
  return slot / page_size * ring_size + slot % ring_size;
}

std::vector<ParamSpec> cache_params() {
  ParamSpec page = word("page", {"16", "64", "128", "256"}, "tokens per page of the sliding-window cache");
  page.usual = "256";
  return {word("ring", {"8", "16", "128", "256"}, "state rows per cache page"), std::move(page),
          word("pages", {"shuffled", "in_order"}, "order of the cache pages")};
}

std::optional<std::string> reject_cache(const Params& p, std::int64_t ratio) {
  if (p.integer("ring") % ratio != 0) return "the ring must be a multiple of the ratio";
  if (p.integer("page") % p.integer("ring") != 0) return "the cache page must be a multiple of the ring";
  return std::nullopt;
}

CacheMaps make_maps(const Batch& batch, const Params& p, std::uint64_t seed) {
  return make_maps(batch,
                   {.pool = pool_size(batch.size()),
                    .page_size = p.has("page") ? p.integer("page") : 256,
                    .ring_size = p.integer("ring"),
                    .shuffled = !p.has("pages") || p.is("pages", "shuffled")},
                   seed);
}

CacheMaps make_maps(const Batch& batch, const CacheForm& form, std::uint64_t seed) {
  const std::int64_t size = form.page_size, positions = batch.longest();
  const auto pages_of = [size](std::int64_t length) { return (length + size - 1) / size; };
  std::int64_t pages = 0;
  for (const std::int64_t n : batch.seq_lens) pages += pages_of(n);
  // Both caches use the pages 1 ... `pages`. Page 0 is the padding page.
  const auto order = [&](std::string_view stream) {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(pages));
    std::iota(numbers.begin(), numbers.end(), 0);
    if (form.shuffled) numbers = Random(seed, stream).permutation(pages);
    for (std::int64_t& n : numbers) ++n;
    return numbers;
  };
  const auto full_page = order("full pages"), swa_page = order("swa pages");

  CacheMaps maps;
  maps.page_size = size;
  maps.ring_size = form.ring_size;
  maps.swa_pages = pages + 1;
  maps.full_to_swa = HostTensor::make(DType::kI64, {(pages + 1) * size + 1});
  maps.full_to_swa.at<std::int64_t>((pages + 1) * size) = -1;
  maps.req_to_token = HostTensor::make(DType::kI32, {form.pool, positions});
  std::fill_n(maps.req_to_token.data<std::int32_t>(), form.pool * positions, std::numeric_limits<std::int32_t>::max());
  std::int64_t next = 0;
  for (std::size_t b = 0; b < batch.seq_lens.size(); ++b) {
    for (std::int64_t p = 0; p < batch.seq_lens[b]; ++p) {
      const auto page = static_cast<std::size_t>(next + p / size);
      const std::int64_t slot = full_page[page] * size + p % size;
      maps.req_to_token.at<std::int32_t>(batch.request_ids[b], p) = static_cast<std::int32_t>(slot);
      maps.full_to_swa.at<std::int64_t>(slot) = swa_page[page] * size + p % size;
    }
    next += pages_of(batch.seq_lens[b]);
  }
  return maps;
}

GrowingBatch::GrowingBatch(Batch batch, std::int64_t longest, const Params& p, std::uint64_t seed)
    : ids_(batch.request_ids), lengths_(ids_.size(), 0) {
  batch.seq_lens.assign(ids_.size(), longest);
  maps_ = make_maps(batch, p, seed);
}

Batch GrowingBatch::grow(const std::vector<std::int64_t>& extend) {
  Batch step;
  for (std::size_t b = 0; b < extend.size(); ++b) {
    lengths_[b] += extend[b];
    if (extend[b] == 0) continue;
    step.request_ids.push_back(ids_[b]);
    step.seq_lens.push_back(lengths_[b]);
    step.extend_lens.push_back(extend[b]);
  }
  return step;
}

void GrowingBatch::share(std::size_t from, std::size_t to, std::int64_t tokens) {
  for (std::int64_t position = 0; position < tokens; ++position) {
    maps_.req_to_token.at<std::int32_t>(ids_[to], position) = maps_.req_to_token.at<std::int32_t>(ids_[from], position);
  }
  lengths_[to] = tokens;
}

std::vector<std::int64_t> GrowingBatch::next_chunk(const std::vector<std::int64_t>& goal, std::int64_t most,
                                                   Random& random) const {
  std::vector<std::int64_t> extend;
  if (lengths_ == goal) return extend;
  for (std::size_t b = 0; b < goal.size(); ++b) {
    extend.push_back(std::min(goal[b] - lengths_[b], random.between(1, most)));
  }
  return extend;
}

}  // namespace dsv4
