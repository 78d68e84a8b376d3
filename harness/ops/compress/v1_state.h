/// Where the V1 compressors find state rows. A V2 plan has an address in each record. A V1 call gets one or more state
/// pages for each request instead, and a token's position says which row of which page is its row.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/call/call.h"
#include "harness/generate/batch.h"
#include "reference/plans/records.h"

namespace dsv4 {

/// The values of the parameter `state`, the mode of a V1 call:
///   pages  state rows belong to the pages of the sliding-window cache, as in V2. A state page has `ratio` rows
///   rings  each request has a ring of state rows for one window. The ring is the state page
inline const std::vector<std::string> kV1States{"pages", "rings"};
/// The parameter `state`.
ParamSpec v1_state_param();
/// The reason why a case with the parameters `state` and `ring` is not valid; nullopt if it is. In a ring of each
/// request, the rings of the cache's pages make no difference.
std::optional<std::string> reject_v1_state(const Params& p, std::int64_t ratio);

/// The arguments of a V1 call that say where state rows are.
struct V1Pages {
  HostTensor indices;  ///< i32 [requests]: the state page of each request's newest group, or its ring
  Value extra;         ///< further pages; None if the call has none
};

class V1State {
 public:
  /// `maps` are the maps of the requests. With state=rings, only the number of requests in their pool matters.
  V1State(std::int64_t ratio, const Params& p, CacheMaps maps);

  [[nodiscard]] std::int64_t ratio() const { return ratio_; }
  [[nodiscard]] bool has_rings() const { return rings_; }
  /// Rows of a state page.
  [[nodiscard]] std::int64_t page_rows() const;
  [[nodiscard]] std::int64_t rows() const;
  /// State row of a token. The function may be used after this object is destroyed.
  [[nodiscard]] RowOf row_of() const;

  /// The pages of a prefill call. At ratio 4, `extra` is i32 [requests, 4]: the pages of the groups before and at the
  /// newest old token, the page of the group before the newest token's group, and the first position of that group. At
  /// ratio 128 it is i32 [requests]: the page of the newest old token's group. A request without old tokens has the
  /// page of its first token there. These are the results of paged_compress_data.
  [[nodiscard]] V1Pages prefill(const Batch& batch) const;
  /// The pages of a decode call. At ratio 4, `extra` is i32 [requests, 1]: the page of the group before the newest
  /// token's group.
  [[nodiscard]] V1Pages decode(const Batch& batch) const;

 private:
  /// The pages of the groups of each request's newest token, as a V2 plan names them.
  [[nodiscard]] std::vector<layout::DecodePlan> newest(const Batch& batch) const;
  [[nodiscard]] V1Pages rings(const Batch& batch) const;

  std::int64_t ratio_;
  bool rings_;
  std::shared_ptr<const CacheMaps> maps_;
};

}  // namespace dsv4
