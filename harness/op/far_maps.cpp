#include "harness/op/far_maps.h"

#include <limits>

#include "harness/op/far.h"
#include "harness/op/records.h"

namespace dsv4 {
namespace {

/// Spreads out the rows of req_to_token.
void spread_requests(Call& call) {
  Arg& map = call.arg("req_to_token");
  const HostTensor& t = map.tensor();
  map.far_layout = far_pool(t, far_rows(t.size(0), t.size(1), far_edges(t.dtype)));
  std::vector<std::int64_t> ids = numbers_of(call, "req_pool_indices");
  for (std::int64_t& id : ids) id = map.far_layout->rows.at(static_cast<std::size_t>(id));
  call.arg("req_pool_indices").tensor() = numbers(ids);
}

/// Spreads out the pages of full_to_swa.
void spread_slots(Call& call) {
  Arg& map = call.arg("full_to_swa");
  const std::int64_t page = integer_of(call, "swa_page_size"), slots = map.tensor().numel();
  // The byte offset passes 2^31 and 2^32. A slot is an i32, so the last pages are just below slot 2^31.
  constexpr std::int64_t kSlots = std::numeric_limits<std::int32_t>::max();
  const std::int64_t last_pages = kSlots - slots - page;
  std::vector<std::int64_t> far;
  for (const std::int64_t first :
       far_rows(slots / page, page, {std::int64_t{1} << 29, std::int64_t{1} << 28, last_pages})) {
    for (std::int64_t i = 0; i < page; ++i) far.push_back(first * page + i);
  }
  far.push_back(kSlots - 1);  // the map's last slot belongs to no page and no token
  HostTensor& tokens = call.arg("req_to_token").tensor();
  for (std::int64_t i = 0; i < tokens.numel(); ++i) {
    auto& slot = tokens.data<std::int32_t>()[i];
    if (slot < slots) slot = static_cast<std::int32_t>(far[static_cast<std::size_t>(slot)]);
  }
  map.far_layout = FarLayout{{kSlots}, {1}, std::move(far)};
}

}  // namespace

std::vector<Scenario> far_map_relations(const Points& points) {
  return {far_relation("req_to_token", "rows of requests beyond 2^32 elements", points, spread_requests),
          far_relation("full_to_swa", "slots up to 2^31 (byte offsets up to 2^34 in the map)", points, spread_slots)};
}

}  // namespace dsv4
