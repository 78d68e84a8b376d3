#include "harness/ops/attn/fused_store_cache_scenarios.h"

#include <fmt/format.h>

#include <cmath>

#include "harness/op/define.h"
#include "harness/ops/attn/cache_scenarios.h"
#include "interface/kv_cache.h"

namespace dsv4 {
namespace {

using layout::IndexerCache;

/// Fills the elements with values for which a product and a quotient differ: value * (1 / scale) and value / scale
/// round to different E4M3 codes. The scale is the group's greatest magnitude divided by 448. Such a value does not
/// exist for every code. Returns the number of elements for which one was found.
std::int64_t fill_around_reciprocal(Elements x, Random& r) {
  const float greatest = 1.0f + r.unit();
  const float scale = greatest / 448.0f;
  const float inverse = 1.0f / scale;
  const auto tells = [&](float value) { return e4m3_from_double(value * inverse) != e4m3_from_double(value / scale); };
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const auto code = static_cast<std::uint8_t>(r.between(8, 0x7d));
    const double middle = (double_from_e4m3(code) + double_from_e4m3(static_cast<std::uint8_t>(code + 1))) / 2;
    const auto nearest = static_cast<float>(middle * scale);
    float value = nearest;
    for (const float towards : {0.0f, greatest}) {
      float candidate = nearest;
      for (int step = 0; step < 4; ++step, candidate = std::nextafter(candidate, towards)) {
        if (tells(candidate)) value = candidate;
      }
    }
    found += tells(value) ? 1 : 0;
    x.set(i, r.chance(2) ? value : -value);
  }
  fills::set_greatest(x, greatest, r);
  return found;
}

/// For random elements, a quotient and a product with the rounded reciprocal differ in only one code of a million. So
/// this relation chooses elements for which they differ.
Scenario reciprocal(Points points) {
  return relation("reciprocal",
                  "a code is computed from the value times the rounded reciprocal of the scale; for these values a "
                  "quotient gives other codes",
                  std::move(points), [](ScenarioContext& x) {
                    Call call = x.op.make(x.c);
                    HostTensor& input = call.arg("input").tensor();
                    Random random(x.c.seed, "reciprocal");
                    std::int64_t found = 0;
                    for (std::int64_t row = 0; row < input.numel(); row += IndexerCache::kDim) {
                      found += fill_around_reciprocal(Elements(input, row, IndexerCache::kDim), random);
                    }
                    if (found < input.numel() / 20)
                      throw Error(fmt::format("only {} of {} values give different codes for a product and a quotient",
                                              found, input.numel()));
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
  list.push_back(params_relation("page_size", "the page size changes the addresses but not the stored values",
                                 kFirstSmokePoint, [](Params& p) { p.set("page", "2"); }));
  list.push_back(call_relation("input_types",
                               "bfloat16 rows and float rows with the same numbers give the same stored values",
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
  list.push_back(call_relation(
      "power_of_two", "if the input is multiplied by 16, the codes stay the same and the scale exponents increase by 4",
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
  list.push_back(call_relation(
      "negation", "if the input is negated, the codes change only their sign, and the scales stay the same",
      kFirstSmokePoint, [](Case&, Call& call, Observation& want) {
        for (HostTensor* t : {&call.arg("input").tensor(), &output(want, "tail")}) {
          for (std::size_t i = 1; i < t->storage.size(); i += 2) t->storage[i] ^= 0x80;
        }
        for (std::uint8_t& code : output(want, "codes").storage) code ^= 0x80;
      }));
  // The second and the third point have many rows. A kernel may take one code path for all rows of such a point, and
  // another path for a sixth of the rows.
  list.push_back(batch_relation(
      "the content of a row's slot does not depend on other rows: the rows are shuffled and stored in two calls",
      op.at({"", "page=256 tokens=1200 fill=scale_edges", "input=f32 index=i64 tokens=1200 fill=scale_edges",
             "layout=indexer input=f32 tokens=9"}),
      [&op](Call& call, const std::vector<std::int64_t>& rows) { keep_batch(op, call, rows); }));
  list.push_back(many_rows_relation(op, {"layout=indexer tokens=65540 fill=integers", "tokens=32770 fill=integers"}));
  list.push_back(reciprocal(op.at({"layout=indexer input=f32 tokens=9"})));
  list.push_back(call_relation(
      "row_alignment", "rows that do not start at a multiple of 16 bytes give the same stored values",
      op.at({"", "input=f32 index=i64 tokens=600", "layout=indexer"}), [](Case&, Call& call, Observation&) {
        // The rows keep only the alignment that a vector access of two elements needs, or of four elements if a row
        // has 128.
        Arg& input = call.arg("input");
        input.misalign = size_of(input.tensor().dtype) * (input.tensor().size(1) == 512 ? 2 : 4);
      }));
  list.push_back(far_relation(
      "cache", "pages of the cache at offsets beyond 2^32 bytes",
      op.at({"tokens=33 spare=8", "input=f32 index=i64 page=256 tokens=33 spare=8",
             "layout=indexer input=f32 tokens=33 spare=8", "layout=indexer index=i64 page=1 tokens=12 spare=0"}),
      move_pages("cache", "indices")));
}

void add_contracts(const Op& op, std::vector<Scenario>& list) {
  Contracts contracts(list);  // the first smoke point: FlashMLA, 2 pages of 64 slots, 5 bfloat16 rows, i32 slots
  add_cache_contracts(contracts, op, "cache", "indices");
  contracts.edge("indices_other_width", "64-bit slots are read as 64 bits or refused, not read as pairs",
                 [](Call& call) { call.arg("indices").tensor() = numbers(numbers_of(call, "indices"), kI64); });
  with_slots(contracts, op, "indices", "slot_of_33_bits",
             "a row with a slot beyond 32 bits is not stored in the slot of the lower 32 bits",
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
