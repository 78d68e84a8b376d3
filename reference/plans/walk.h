/// Walks the tokens of the requests of a batch, one by one. The walk finds the groups of the tokens, and so what a
/// compression plan says about each new token (interface/compress_plan.h).
///
/// In-tree planners compute the same facts with formulas, for any token at once. A walk has no such formula, only
/// counters that go up by one. So a mistake in a formula cannot be here as well.
///
/// The rules are those of upstream's planner: sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c_plan.cuh, and
/// jit_kernel/csrc/deepseek_v4/common.cuh for V1 plans.
#pragma once

#include <cstdint>
#include <vector>

namespace dsv4::plans {

/// One request of a batch. Its last `new_tokens` tokens are in the batch.
struct Request {
  std::int64_t id;      ///< row of the request in the pool of requests
  std::int64_t length;  ///< number of tokens, those in the batch included
  std::int64_t new_tokens;
};

/// How tokens are grouped. Each complete group gives one compressed entry.
struct Grouping {
  std::int64_t ratio;       ///< tokens of a group
  bool overlap;             ///< true if an entry is also made from the group before its own
  std::int64_t cache_page;  ///< tokens of a page of the sliding-window cache; 0 if pages do not matter
};

/// The grouping of V2 plans: entries overlap at ratio 4 (c_plan.cuh:151-152).
inline Grouping grouping_of(std::int64_t ratio, std::int64_t cache_page = 0) {
  return {ratio, ratio == 4, ratio == 4 ? cache_page : 0};
}

/// What a walk finds out about one token of the batch.
struct WalkedToken {
  std::int64_t request;   ///< index of the request in the batch
  std::int64_t row;       ///< row of the token in the batch, in which request follows request
  std::int64_t position;  ///< position of the token in its request
  std::int64_t group;     ///< position of the first token of its group
  /// Position of the first token of the group before. The first group has none before it, and names itself.
  std::int64_t group_before;
  bool completes;              ///< true if it is the last token of its group
  std::int64_t window_before;  ///< places of the window that ends at this token which lie before the batch
  std::int64_t followers;      ///< number of the request's tokens after it
  bool live;                   ///< true if an entry after the request's last token will read it
  bool ends_page;              ///< true for the last `ratio` tokens of a cache page
};

/// Calls visit(token) for each token of the batch, request after request. The request's old tokens are walked as well,
/// because they decide where its groups begin.
template <class Visit>
void walk(const std::vector<Request>& batch, const Grouping& grouping, Visit visit) {
  std::int64_t row = 0;
  for (std::int64_t index = 0; index < static_cast<std::int64_t>(batch.size()); ++index) {
    const Request& request = batch[static_cast<std::size_t>(index)];
    std::int64_t open = 0;      // the first token of the group that is being filled
    std::int64_t complete = 0;  // the first token of the newest complete group
    std::int64_t in_group = 0;  // tokens in the open group
    std::int64_t left_in_page = grouping.cache_page;
    // A window consists of the token's group and, with overlap, the group before. At first, all its places lie before
    // the batch. Each new token is one more place inside.
    std::int64_t window_before = grouping.overlap ? 2 * grouping.ratio : grouping.ratio;
    std::vector<WalkedToken> tokens;
    for (std::int64_t position = 0; position < request.length; ++position) {
      ++in_group;
      const bool completes = in_group == grouping.ratio;
      const std::int64_t followers = request.length - position - 1;
      if (followers < request.new_tokens) {
        if (window_before > 0) --window_before;
        const bool ends_page = grouping.cache_page > 0 && left_in_page <= grouping.ratio;
        tokens.push_back(
            {index, row++, position, open, complete, completes, window_before, followers, false, ends_page});
      }
      if (completes) {
        complete = open;
        open = position + 1;
        in_group = 0;
      }
      if (--left_in_page == 0) left_in_page = grouping.cache_page;
    }
    // The request's next entry is made from the open group, which its later tokens will fill. With overlap, it is also
    // made from the newest complete group. Entries after that one read newer tokens only.
    const std::int64_t first_live = grouping.overlap ? complete : open;
    for (WalkedToken& token : tokens) {
      token.live = token.position >= first_live;
      visit(static_cast<const WalkedToken&>(token));
    }
  }
}

}  // namespace dsv4::plans
