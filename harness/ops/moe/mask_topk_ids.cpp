/// mask_topk_ids sets the expert ids of padding tokens to -1, in place. The result is exact, and nothing else
/// may change.
#include <fmt/format.h>

#include <array>
#include <limits>

#include "harness/op/define.h"

namespace dsv4 {
namespace {

/// Counts of real tokens around every edge. Kernels read a negative count as a huge unsigned number.
std::vector<std::string> coverings(const std::vector<std::int64_t>& rows) {
  std::vector<std::string> lines;
  for (const auto n : rows) lines.push_back(fmt::format("cover real=-1|0|1|{}|{}|{} at rows={}", n - 1, n, n + 1, n));
  return lines;
}

class MaskTopkIds final : public Op {
 public:
  MaskTopkIds()
      : Op({
            .name = "mask_topk_ids",
            .family = "moe",
            .summary = "set the expert ids of padding tokens to -1, in place",
            .upstream = "mask_topk_ids, _jit_mask_topk_module",
            .space = {number("rows", 1, 1 << 20, "tokens", {.usual = 5, .soak = {1, 2, 3, 4, 5, 127, 128, 129, 1024}}),
                      number("k", 1, 32, "expert ids of a token", {.usual = 6, .both = {1, 6, 8, 32}}),
                      number("gap", 0, 64, "unused columns between rows", {.both = {0, 3}}),
                      number("real", -(1LL << 31), (1LL << 31) - 1, "real tokens; later rows are padding",
                             {.soak = {-1, 0, 1, 2}}),
                      word("count", {"device_i32", "host_i32", "host_i64"}, "memory and type of the count")},
            .signature =
                {{inout("topk_ids", {kI32}, "rows k", {.called = "ids", .gap_of = "gap", .far = "rows=3 real=1"}),
                  in("num_token_non_padded", {kI32, kI64}, "1:size", {.called = "count", .place = std::nullopt})},
                 "rows"},
            .smoke = {"real=3", "rows=4 k=8 gap=2 real=1 count=host_i64"},
            .quick = coverings({1, 2, 3, 4, 5, 31, 128, 129}),
            .full = coverings({1, 4, 255, 256, 257, 1024, 4097, 32768}),
            .bench = {"rows=512 k=8 real=384", "rows=8192 k=8 real=6144"},
            .without = {{"contract:count_rank", "the count is one element; its rank does not matter"},
                        {"relation:any_batch", "the place of a row in the batch decides whether it is padding"}},
        }) {}

  [[nodiscard]] Call make(const Case& c) const override {
    const Params& p = c.params;
    Call call = allocate(c);
    fill_integers(call.arg("topk_ids").tensor(), 0, 255, Random(c.seed, "topk_ids"));
    Arg& count = call.arg("num_token_non_padded");
    if (p.is("count", "host_i64")) count.value = HostTensor::make(kI64, {1});
    if (!p.is("count", "device_i32")) count.place = Place::kHost;
    set_integer(count.tensor(), 0, p.integer("real"));
    return call;
  }

  [[nodiscard]] bool trivial_by_design(const Case& c) const override {
    // Trivial if every row is padding. Also trivial if no row is padding and the few random ids happen to be equal.
    if (c.params.integer("real") == 0) return true;
    if (c.params.integer("rows") * c.params.integer("k") > 16) return false;
    const std::vector<std::uint8_t> ids = make(c).tensor("topk_ids").packed().storage;
    return std::equal(ids.begin() + 4, ids.end(), ids.begin());
  }

  [[nodiscard]] Cost cost(const Case& c, const Call&) const override {
    const std::int64_t padding = c.params.integer("rows") - static_cast<std::uint32_t>(c.params.integer("real"));
    return {.bytes = 4.0 * static_cast<double>(std::max<std::int64_t>(0, padding) * c.params.integer("k"))};
  }

  [[nodiscard]] std::vector<Scenario> scenarios() const override {
    std::vector<Scenario> list{
        any_word_relation("count_forms", "the memory and type of the count do not matter", kFirstSmokePoint, "count"),
        call_relation("count_cut", "only the low 32 bits of a 64-bit count are used", kFirstSmokePoint,
                      [this](Case& c, Call& call, Observation&) {
                        c.params.set("count", "host_i64");
                        call = make(c);
                        call.arg("num_token_non_padded").value = numbers({c.params.integer("real") + (1LL << 32)});
                      })};
    list.push_back(call_relation("any_ids", "ids of real tokens stay as they are, whatever their values",
                                 kFirstSmokePoint, [](Case& c, Call& call, Observation& want) {
                                   constexpr std::array<std::int64_t, 5> kIds{-2, -100, std::numeric_limits<int>::min(),
                                                                              std::numeric_limits<int>::max(), 1 << 20};
                                   HostTensor& ids = call.arg("topk_ids").tensor();
                                   const std::int64_t real = c.params.integer("real") * ids.size(1);
                                   for (std::int64_t i = 0; i < ids.numel(); ++i) {
                                     const std::int64_t id = kIds[static_cast<std::size_t>(i) % kIds.size()];
                                     set_integer(ids, i, id);
                                     if (i < real) set_integer(want.outputs.front().value, i, id);
                                   }
                                 }));
    // Rows of both kinds beyond 15 and 16 bits: nearly all padding, and nearly all real.
    list.push_back(many_rows_relation(*this, {"rows=32769 k=1 real=5", "rows=65540 k=1 real=65537"}));
    Contracts contracts(list);
    contracts.edge("ids_wide", "33 ids per token, more than a warp holds, are masked right, or the call is refused",
                   [](Call& call) {
                     Arg& ids = call.arg("topk_ids");
                     ids.value = HostTensor::make(kI32, {ids.tensor().size(0), 33});
                     fill_integers(ids.tensor(), 0, 255, Random(1, "wide ids"));
                   });
    contracts
        .edge("count_device_i64", "a 64-bit count on the device is read right, or the call is refused",
              [](Call& call) {
                call.arg("num_token_non_padded").value = numbers(numbers_of(call, "num_token_non_padded"));
              })
        .needs_device = true;
    for (const auto& [name, count] : {std::pair{"count_outside", std::numeric_limits<std::int32_t>::min()},
                                      {"count_far_outside", std::numeric_limits<std::int32_t>::max()}}) {
      contracts.edge(name, "a count far outside the rows changes no row, or the call is refused",
                     [count = count](Call& call) { set_integer(call.arg("num_token_non_padded").tensor(), 0, count); });
    }
    return list;
  }
};

DSV4_REGISTER_OP(MaskTopkIds);

}  // namespace
}  // namespace dsv4
