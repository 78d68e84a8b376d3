#include "harness/ops/attn/cache_scenarios.h"

#include <algorithm>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/attn/cache_geometry.h"

namespace dsv4 {

std::function<void(Call& call)> move_pages(std::string cache, std::string indices) {
  return [cache = std::move(cache), indices = std::move(indices)](Call& call) {
    const CacheGeometry g(call.compile);
    Arg& pages = call.arg(cache);
    pages.far_layout =
        far_pool(pages.tensor(), far_rows(pages.tensor().size(0), g.page_bytes(), far_edges(DType::kU8)));
    std::vector<std::int64_t> slots = numbers_of(call, indices);
    for (std::int64_t& slot : slots) {
      const std::int64_t page = pages.far_layout->rows[static_cast<std::size_t>(slot / g.page_size)];
      slot = page * g.page_size + slot % g.page_size;
    }
    call.arg(indices).tensor() = numbers(slots, call.tensor(indices).dtype);
  };
}

Call with_near_pages(Call call, const std::string& cache, const std::string& indices) {
  Arg& pages = call.arg(cache);
  if (!pages.far_layout) return call;
  const std::int64_t page_size = CacheGeometry(call.compile).page_size;
  const std::vector<std::int64_t> far = pages.far_layout->rows;
  std::vector<std::int64_t> slots = numbers_of(call, indices);
  for (std::int64_t& slot : slots) {
    const auto near = std::ranges::find(far, slot / page_size) - far.begin();
    slot = near * page_size + slot % page_size;
  }
  call.arg(indices).tensor() = numbers(slots, call.tensor(indices).dtype);
  pages.far_layout.reset();
  return call;
}

void with_slots(Contracts& contracts, const Op& op, const std::string& indices, const std::string& name,
                const std::string& meaning, std::vector<std::int64_t> slots, DType dtype) {
  contracts.edge(name, meaning, [&op, indices, slots = std::move(slots), dtype](Call& call) {
    if (call.compile.has("index")) call.compile.set("index", name_of(dtype));
    call.arg(indices).tensor() = numbers(slots, dtype);
    op.fit(call);
  });
}

void add_cache_contracts(Contracts& contracts, const Op& op, const std::string& cache, const std::string& indices) {
  contracts.refused(
      cache + "_page_short", "a page too short for its slots is refused, even if it is the only page", cache,
      [cache, indices](Call& call) {
        Arg& pages = call.arg(cache);
        pages.tensor() = HostTensor::make(DType::kU8, {1, layout::FlashMlaCache::scale_offset(64, 64) - 1});
        call.arg(indices).tensor() = numbers({0, 62, 63, 1, 2}, DType::kI32);
        pages.footprint.clear();
      });
  // The scale rows of the last slots end before the padding of a page. So a page with one byte less still has room.
  for (const auto& [name, more] : {std::pair{"_page_bytes", -1}, {"_page_odd", 1}, {"_page_wide", 512}}) {
    contracts.edge(cache + name, "pages with more or less padding than usual are written right, or the call is refused",
                   [&op, cache, more = more](Call& call) {
                     HostTensor& pages = call.arg(cache).tensor();
                     pages = HostTensor::make(DType::kU8, {pages.size(0), pages.size(1) + more});
                     poison(pages);
                     op.fit(call);
                   });
  }
  with_slots(contracts, op, indices, "negative_slot", "a row with slot -1 is not stored anywhere", {3, -1, 70, 0, 127});
  with_slots(contracts, op, indices, "all_slots_negative", "if no slot is valid, nothing is written",
             {-1, -1, -1, -1, -1});
  with_slots(contracts, op, indices, "slot_past_the_cache",
             "a row with a slot beyond the last page is not stored anywhere", {3, 128, 70, 0, 1});
}

}  // namespace dsv4
