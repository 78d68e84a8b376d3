#include "harness/ops/attn/fused_store_cache_scenarios.h"

#include <fmt/format.h>

#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"
#include "harness/ops/attn/row_fills.h"

namespace dsv4 {
namespace {

using layout::FlashMlaCache;
using layout::IndexerCache;

/// A quotient and a product with the rounded reciprocal differ in one code of a million, which no random row shows.
Scenario reciprocal(Points points) {
  return relation("reciprocal",
                  "codes are of the value times the rounded reciprocal of the scale, where a quotient has other codes",
                  std::move(points), [](ScenarioContext& x) {
                    Call call = x.op.make(x.c);
                    HostTensor& input = call.arg("input").tensor();
                    Random random(x.c.seed, "reciprocal");
                    std::int64_t found = 0;
                    for (std::int64_t row = 0; row < input.numel(); row += IndexerCache::kDim) {
                      found += fill_around_reciprocal(input, row, IndexerCache::kDim, random);
                    }
                    if (found < input.numel() / 20)
                      throw Error(fmt::format("only {} of {} values tell", found, input.numel()));
                    x.expect_agree("stored", x.observed("stored", call), x.expected(call));
                  });
}

HostTensor& output(Observation& o, const std::string& name) {
  for (Output& candidate : o.outputs) {
    if (candidate.name == name) return candidate.value;
  }
  throw Error(fmt::format("no output is called '{}'", name));
}

void add_relations(const Op& op, std::vector<Scenario>& list) {
  list.push_back(params_relation("page_size", "the page size changes addresses, not what is stored", kFirstSmokePoint,
                                 [](Params& p) { p.set("page", "2"); }));
  list.push_back(call_relation("input_types", "bfloat16 rows and the same numbers as floats store the same",
                               kFirstSmokePoint, [](Case& c, Call& call, Observation&) {
                                 const HostTensor narrow = call.tensor("input");
                                 HostTensor wide = HostTensor::make(DType::kF32, narrow.shape);
                                 for (std::int64_t i = 0; i < narrow.numel(); ++i) {
                                   set_float(wide, i, float_from_bf16(narrow.get<std::uint16_t>(i)));
                                 }
                                 call.arg("input").tensor() = wide;
                                 c.params.set("input", "f32");
                                 call.compile.set("input", "f32");
                               }));
  list.push_back(call_relation("power_of_two", "16 times the input has the same codes and scale exponents 4 higher",
                               kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                                 HostTensor& input = call.arg("input").tensor();
                                 for (std::int64_t i = 0; i < input.numel(); ++i) {
                                   set_float(input, i, 16.0 * value_of(input.dtype, input.element(i)));
                                 }
                                 for (std::uint8_t& byte : output(want, "scales").storage) byte += 4;
                                 HostTensor& tail = output(want, "tail");
                                 for (std::int64_t i = 0; i < tail.numel(); ++i) {
                                   set_float(tail, i, 16.0 * value_of(tail.dtype, tail.element(i)));
                                 }
                               }));
  list.push_back(call_relation("negation",
                               "the negated input has the same codes with the other sign, and the same scales",
                               kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
                                 for (HostTensor* t : {&call.arg("input").tensor(), &output(want, "tail")}) {
                                   for (std::size_t i = 1; i < t->storage.size(); i += 2) t->storage[i] ^= 0x80;
                                 }
                                 for (std::uint8_t& code : output(want, "codes").storage) code ^= 0x80;
                               }));
  // The second and third: so many rows that a kernel may take another path than for its first sixth.
  list.push_back(
      batch_relation("what a row's slot holds depends on no other row: shuffled, and in two calls",
                     op.at({"", "page=256 tokens=1200 fill=scale_edges",
                            "input=f32 index=i64 tokens=1200 fill=scale_edges", "layout=indexer input=f32 tokens=9"}),
                     [&op](Call& call, const std::vector<std::int64_t>& rows) { keep_batch(op, call, rows); }));
  list.push_back(reciprocal(op.at({"layout=indexer input=f32 tokens=9"})));
  list.push_back(call_relation(
      "row_alignment", "rows that start off a multiple of 16 bytes store the same",
      op.at({"", "input=f32 index=i64 tokens=600", "layout=indexer"}), [](Case&, Call& call, Observation&) {
        // The least that vector access of two elements, or of four in a row of 128, asks for.
        Arg& input = call.arg("input");
        input.misalign = size_of(input.tensor().dtype) * (input.tensor().size(1) == 512 ? 2 : 4);
      }));
  list.push_back(far_relation(
      "cache", "pages of the cache beyond 2^32 bytes",
      op.at({"tokens=33 spare=8", "input=f32 index=i64 page=256 tokens=33 spare=8",
             "layout=indexer input=f32 tokens=33 spare=8", "layout=indexer index=i64 page=1 tokens=12 spare=0"}),
      [](Call& call) {
        const CacheGeometry g(call.compile);
        Arg& cache = call.arg("cache");
        cache.placement =
            far_pool(cache.tensor(), far_rows(cache.tensor().size(0), g.page_bytes(), far_edges(DType::kU8)));
        HostTensor& indices = call.arg("indices").tensor();
        std::vector<std::int64_t> slots;
        for (std::int64_t t = 0; t < indices.numel(); ++t) {
          const std::int64_t slot = slot_of(indices, t);
          slots.push_back(cache.placement->rows[static_cast<std::size_t>(slot / g.page_size)] * g.page_size +
                          slot % g.page_size);
        }
        indices = index_tensor(indices.dtype, slots);
      }));
}

void add_contracts(const Op& op, std::vector<Scenario>& list) {
  Contracts contracts(list);  // on the first smoke point: FlashMLA, pages of 64, 5 rows in bfloat16, 2 pages, i32
  contracts.refused("cache_page_short", "a page too short for its slots is refused, also where there is but one",
                    "cache", [](Call& call) {
                      Arg& cache = call.arg("cache");
                      cache.tensor() = HostTensor::make(DType::kU8, {1, FlashMlaCache::scale_offset(64, 64) - 1});
                      call.arg("indices").tensor() = index_tensor(DType::kI32, {0, 62, 63, 1, 2});
                      cache.footprint.clear();
                    });
  contracts.edge("indices_other_width", "64-bit slots are read as such, or refused: never as pairs", [](Call& call) {
    std::vector<std::int64_t> slots;
    for (std::int64_t t = 0; t < 5; ++t) slots.push_back(slot_of(call.tensor("indices"), t));
    call.arg("indices").tensor() = index_tensor(kI64, slots);
  });
  const auto with_slots = [&](const char* name, const char* meaning, std::vector<std::int64_t> slots,
                              DType dtype = kI32) {
    contracts.edge(name, meaning, [&op, slots, dtype](Call& call) {
      call.compile.set("index", name_of(dtype));
      call.arg("indices").tensor() = index_tensor(dtype, slots);
      op.fit(call);
    });
  };
  with_slots("negative_slot", "a row with slot -1 is not stored anywhere", {3, -1, 70, 0, 127});
  with_slots("all_slots_negative", "without a single valid slot nothing is written", {-1, -1, -1, -1, -1});
  with_slots("slot_past_the_cache", "a slot beyond the last page is not stored anywhere", {3, 128, 70, 0, 1});
  with_slots("slot_of_33_bits", "a slot beyond 32 bits is not stored as its lower half",
             {3, (std::int64_t{1} << 32) + 5, 70, 0, 127}, kI64);
}

}  // namespace

std::vector<Scenario> fused_store_cache_scenarios(const Op& op) {
  std::vector<Scenario> list;
  add_relations(op, list);
  add_contracts(op, list);
  return list;
}

}  // namespace dsv4
