/// hisparse_transfer copies tokens from a paged C4 cache to another cache, in all layers. The function gets the
/// addresses of the caches. Every byte of the destination must be exact, also padding and tokens that no item names.
///
/// In production one of the two caches is in pinned host memory. Here both are in the memory of the set's device,
/// because the function does the same with every address that the device can access.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "harness/op/define.h"
#include "interface/kv_cache.h"

namespace dsv4 {
namespace {

using layout::FlashMlaCache;
using layout::LinearCache;

constexpr std::int64_t kPageSize = 64;
constexpr std::int64_t kPageBytes = FlashMlaCache::page_bytes(kPageSize);

/// Tokens that each cache has besides those that are copied: they must not change.
constexpr std::int64_t kSpare = 70;

/// Rows and bytes of a layer of a cache for `tokens` tokens. A row is a page, or a token of a linear cache.
struct Geometry {
  bool paged;
  std::int64_t tokens;

  [[nodiscard]] std::int64_t row_bytes() const { return paged ? kPageBytes : LinearCache::kItem; }
  [[nodiscard]] std::int64_t row_tokens() const { return paged ? kPageSize : 1; }
  [[nodiscard]] std::int64_t rows() const { return (tokens + row_tokens() - 1) / row_tokens(); }
  /// Byte offset, in a layer, of the data of a token and of its scales.
  [[nodiscard]] std::int64_t data_at(std::int64_t token) const {
    return token / row_tokens() * row_bytes() + token % row_tokens() * FlashMlaCache::kDataRow;
  }
  [[nodiscard]] std::int64_t scale_at(std::int64_t token) const {
    if (!paged) return data_at(token) + FlashMlaCache::kDataRow;
    return token / kPageSize * kPageBytes + FlashMlaCache::scale_offset(kPageSize, token % kPageSize);
  }
};

bool is_paged(const Call& call) { return call.compile.is("destination", "paged"); }

/// The tokens of an index argument.
std::vector<std::int64_t> tokens_of(const Params& p, Random random, bool destination, std::int64_t capacity) {
  const std::int64_t items = p.integer("items");
  std::vector<std::int64_t> tokens = random.permutation(capacity);
  tokens.resize(static_cast<std::size_t>(items));
  if (p.is("spread", "adjacent")) {
    // The destination begins shortly before the end of a page.
    for (std::int64_t i = 0; i < items; ++i) tokens[static_cast<std::size_t>(i)] = destination ? i + 61 : i;
  } else if (p.is("spread", "reverse")) {
    for (std::int64_t i = 0; i < items; ++i) tokens[static_cast<std::size_t>(i)] = destination ? i : capacity - 1 - i;
  } else if (p.is("spread", "repeat") && !destination) {
    std::ranges::fill(tokens, tokens.front());
  }
  return tokens;
}

/// Every byte is random, or every byte of a token is its number.
void fill_cache(HostTensor& cache, const Params& p, const Geometry& g, Random random) {
  if (p.is("fill", "bits")) {
    fill_integers(cache, 0, 255, random);
    return;
  }
  const std::int64_t layer_bytes = g.rows() * g.row_bytes();
  for (std::int64_t layer = 0; layer < p.integer("layers"); ++layer) {
    std::uint8_t* const bytes = cache.storage.data() + layer * layer_bytes;
    for (std::int64_t token = 0; token < g.rows() * g.row_tokens(); ++token) {
      const auto number = static_cast<std::uint8_t>(1 + (token + 100 * layer) % 255);
      std::fill_n(bytes + g.data_at(token), FlashMlaCache::kDataRow, number);
      std::fill_n(bytes + g.scale_at(token), FlashMlaCache::kScaleRow, number);
    }
  }
}

/// Places the rows of cache `name` beyond 2^32 bytes. `indices` must then name the far rows.
void move_far(Call& call, const std::string& name, const std::string& indices, bool paged) {
  Arg& cache = call.arg(name);
  const std::int64_t row_tokens = paged ? kPageSize : 1;
  cache.far_layout = far_pool(cache.tensor(), far_rows(cache.tensor().size(0), cache.tensor().size(1), far_edges(kU8)));
  std::vector<std::int64_t> tokens = numbers_of(call, indices);
  for (std::int64_t& token : tokens) {
    const std::int64_t row = cache.far_layout->rows[static_cast<std::size_t>(token / row_tokens)];
    token = row * row_tokens + token % row_tokens;
  }
  call.arg(indices).value = numbers(tokens);
}

/// Copies every second item in one call, and the others in a second call on the destination of the first.
void two_calls(ScenarioContext& x) {
  const Call whole = x.op.make(x.c);
  const Observation want = x.observed("one call", whole);
  std::vector<std::int64_t> even, odd;
  for (std::int64_t i = 0; i < whole.tensor("src_indices").numel(); ++i) (i % 2 == 0 ? even : odd).push_back(i);
  Call call = whole;
  keep_batch(x.op, call, even);
  const CallResult first = x.call("even items", call);
  call = whole;
  keep_batch(x.op, call, odd);
  call.arg("destination").value = first.tensor("destination");
  x.expect_agree("odd items", x.observed("odd items", call), want);
}

/// Copies the tokens to the destination, and back to an empty cache. They must come back as they were.
void there_and_back(ScenarioContext& x) {
  const Call there = x.op.make(x.c);
  const CallResult result = x.call("there", there);
  Call back = there;
  back.arg("source").value = result.tensor("destination");
  back.arg("destination").value = HostTensor::make(kU8, there.tensor("source").shape);
  std::swap(back.arg("src_indices").value, back.arg("dst_indices").value);
  x.op.fit(back);
  const HostTensor got = x.observed("back", back).output("destination");
  const HostTensor& source = there.tensor("source");
  HostTensor want = HostTensor::make(kU8, source.shape);
  const std::vector<std::uint8_t>& copied = back.arg("destination").footprint;
  for (std::size_t i = 0; i < copied.size(); ++i) want.storage[i] = copied[i] != 0 ? source.storage[i] : 0;
  x.expect_agree("back", Observation().add("destination", got), Observation().add("destination", want));
}

/// An item with a negative index must not be copied, or the call must be refused. The function does not know the sizes
/// of the caches, so it cannot check an index that is too large.
Scenario negative(const std::string& argument, Points points) {
  return {
      Scenario::Kind::kContract, argument + "_outside",
      fmt::format("an item whose '{}' is negative is not copied, or the call is refused; the function does not know "
                  "the sizes of the caches",
                  argument),
      std::move(points), [argument](ScenarioContext& x) {
        const Call good = x.op.make(x.c);
        for (const std::int64_t value : {std::int64_t{-1}, std::int64_t{-64}, std::int64_t{-1} << 31,
                                         std::int64_t{-1} << 32, std::numeric_limits<std::int64_t>::min()}) {
          Call bad = good;
          set_integer(bad.arg(argument).tensor(), 1, value);
          x.op.fit(bad);
          const std::string where = fmt::format("'{}' element 1 is {}", argument, value);
          if (x.subject.shows_edges()) {
            for (const Edge edge : {Edge::kStart, Edge::kEnd}) (void)attempt(x, where, bad, {.edge = edge});
          }
          const CallResult got = attempt(x, where, bad);
          if (!got.refusal) x.expect_agree(where, x.op.observe(x.c, bad, got), x.expected(bad));
        }
      }};
}

class HisparseTransfer final : public Op {
 public:
  HisparseTransfer()
      : Op({
            .name = "hisparse_transfer",
            .family = "hisparse",
            .summary = "tokens of a paged C4 cache copied to another cache, in all layers",
            .upstream = "transfer_cache_dsv4_mla, hisparse_offload_to_host, _jit_hisparse_transfer_module",
            .space =
                {word("destination", {"paged", "linear"}, "layout of the destination"),
                 number("items", 1, 1 << 17, "tokens to copy",
                        {.usual = 5, .quick = {1, 2, 5, 31, 33, 65}, .full = {63, 64, 127, 129, 257}}),
                 number("layers", 1, 128, "caches on each side", {.usual = 2, .both = {1, 2, 3, 7}}),
                 word("spread", {"random", "adjacent", "reverse", "repeat"},
                      "which tokens: random ones, neighbours, the last ones in falling order, or one token many times"),
                 word("fill", {"bits", "number"}, "bytes of the caches: random, or the number of the token")},
            .signature = {{in("src_ptrs", {kU64}, "layers"), in("dst_ptrs", {kU64}, "layers"),
                           in("src_indices", {kI64}, "items"), in("dst_indices", {kI64}, "items"),
                           in("source", {kU8}, "source_rows source_bytes", {.reached_by = "src_ptrs"}),
                           inout("destination", {kU8}, "target_rows target_bytes", {.reached_by = "dst_ptrs"})},
                          "items"},
            .smoke = {"", "destination=linear", "items=130 layers=3 spread=adjacent fill=number",
                      "destination=linear items=33 layers=1 spread=reverse"},
            .quick = {"cover"},
            .full = {"cover", "items=1000 layers=43", "destination=linear items=1000 layers=61"},
            .bench = {"items=64 layers=21", "items=4096 layers=21", "destination=linear items=4096 layers=21"},
            .without = {{"relation:any_batch", "the op writes into one cache; relation:two_calls splits the items"}},
            .host_note = "both caches are in the same memory; in production one of them is in pinned host memory",
        }) {}

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override {
    if (p.integer("items") * p.integer("layers") <= 1 << 17) return std::nullopt;
    return "this case would take too long: items times layers must be at most 2^17";
  }

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    const std::int64_t layers = p.integer("layers"), capacity = p.integer("items") + kSpare;
    const Geometry from{true, capacity}, to{p.is("destination", "paged"), capacity};
    Call call = allocate(c,
                         {{"source_rows", layers * from.rows()},
                          {"source_bytes", from.row_bytes()},
                          {"target_rows", layers * to.rows()},
                          {"target_bytes", to.row_bytes()}},
                         Params().set("destination", p.text("destination")));
    call.arg("src_indices").value = numbers(tokens_of(p, Random(c.seed, "src_indices"), false, capacity));
    call.arg("dst_indices").value = numbers(tokens_of(p, Random(c.seed, "dst_indices"), true, capacity));
    fill_cache(call.arg("source").tensor(), p, from, Random(c.seed, "source"));
    // With numbers, the destination holds zeros, which are no token's number.
    if (p.is("fill", "bits")) fill_integers(call.arg("destination").tensor(), 0, 255, Random(c.seed, "destination"));
    fit(call);
    return call;
  }

  /// A call may write the tokens that its items name, and nothing else.
  void fit(Call& call) const override {
    Arg& cache = call.arg("destination");
    const std::int64_t layers = call.tensor("dst_ptrs").numel();
    const std::int64_t layer_bytes = layers == 0 ? 0 : cache.tensor().numel() / layers;
    const Geometry g{is_paged(call), 0};
    cache.footprint.assign(cache.tensor().storage.size(), 0);
    const std::vector<std::int64_t> from = numbers_of(call, "src_indices"), to = numbers_of(call, "dst_indices");
    for (std::size_t i = 0; i < std::min(from.size(), to.size()); ++i) {
      if (from[i] < 0 || to[i] < 0) continue;
      for (std::int64_t layer = 0; layer < layers; ++layer) {
        const auto begin = cache.footprint.begin() + layer * layer_bytes;
        std::fill_n(begin + g.data_at(to[i]), FlashMlaCache::kDataRow, 1);
        std::fill_n(begin + g.scale_at(to[i]), FlashMlaCache::kScaleRow, 1);
      }
    }
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const std::int64_t copies = c.params.integer("items") * c.params.integer("layers");
    return {.bytes = static_cast<double>(2 * copies * LinearCache::kItem + 16 * c.params.integer("items"))};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    const Points both = at({"", "destination=linear items=33 layers=1"});
    const Points far = at({"layers=1", "destination=linear layers=1"}, {"items=130 layers=1 spread=adjacent"});
    std::vector<Scenario> list{
        relation("two_calls", "the items give the same destination in one call and in two", both, two_calls),
        relation("there_and_back", "tokens that are copied to the destination and back are unchanged",
                 at({"", "items=130 layers=3 spread=reverse"}), there_and_back),
        many_rows_relation(*this,
                           {"items=65540 layers=1 fill=number", "destination=linear items=32770 layers=1 fill=number"}),
        far_relation("source", "pages of the source beyond 2^32 bytes", far,
                     [](Call& call) { move_far(call, "source", "src_indices", true); }),
        far_relation("destination", "pages or tokens of the destination beyond 2^32 bytes", far,
                     [](Call& call) { move_far(call, "destination", "dst_indices", is_paged(call)); }),
        negative("src_indices", both),
        negative("dst_indices", both)};
    return list;
  }
};

DSV4_REGISTER_OP(HisparseTransfer);

}  // namespace
}  // namespace dsv4
