#include "harness/ops/compress/slot_map.h"

#include <set>

#include "harness/ops/compress/walked.h"

namespace dsv4 {

void SlotMap::expect(std::int64_t row, const Owner& owner, const char* what) {
  ++checked_;
  const auto it = rows_.find(row);
  if (it != rows_.end() && it->second == owner) return;
  const std::string holds = it == rows_.end()
                                ? "nothing"
                                : fmt::format("position {} of request {}", it->second.position, it->second.request_id);
  findings_.push_back({"state_row", fmt::format("{}: {} position {} of request {} in state row {}, which holds {}",
                                                step_, what, owner.position, owner.request_id, row, holds)});
}

template <class Record>
void SlotMap::read_window(const Record& e, std::int64_t request_id, std::int64_t count) {
  const std::int64_t first = std::int64_t{e.seq_len} - window_of(ratio_);
  for (std::int64_t i = std::max<std::int64_t>(-first, 0); i < count; ++i) {
    const std::int64_t page = ratio_ == 4 && i < 4 ? e.read_page_0 : e.read_page_1;
    expect(ratio_ * page + i % ratio_, {request_id, first + i}, "an entry reads");
  }
}

void SlotMap::read(const Batch& batch, const std::vector<layout::CompressPlan>& entries) {
  const auto tokens = tokens_of(batch);
  for (const layout::CompressPlan& e : entries) {
    if (is_sentinel(e) || e.ragged_id >= tokens.size()) continue;
    read_window(e, tokens[e.ragged_id].id, e.buffer_len);
  }
}

void SlotMap::write(const Batch& batch, const std::vector<layout::WritePlan>& entries) {
  const auto tokens = tokens_of(batch);
  std::set<std::int64_t> taken;
  for (const layout::WritePlan& e : entries) {
    if (is_sentinel(e) || e.ragged_id >= tokens.size()) continue;
    if (!taken.insert(e.write_loc).second) {
      findings_.push_back({"duplicate", fmt::format("{}: two tokens are kept in state row {}", step_, e.write_loc)});
    }
    rows_[e.write_loc] = {tokens[e.ragged_id].id, tokens[e.ragged_id].position};
  }
}

void SlotMap::decode(const Batch& batch, const std::vector<layout::DecodePlan>& plan) {
  const std::size_t n = std::min(plan.size(), batch.request_ids.size());
  for (std::size_t b = 0; b < n; ++b) rows_[plan[b].write_loc] = {batch.request_ids[b], batch.seq_lens[b] - 1};
  for (std::size_t b = 0; b < n; ++b) {
    if (plan[b].seq_len % ratio_ == 0) read_window(plan[b], batch.request_ids[b], window_of(ratio_));
  }
}

void SlotMap::take_back(std::int64_t request_id, std::int64_t length) {
  std::erase_if(
      rows_, [&](const auto& item) { return item.second.request_id == request_id && item.second.position >= length; });
}

void SlotMap::check_live(std::int64_t request_id, std::int64_t length, const RowOf& row) {
  for (const std::int64_t p : live_positions(length, ratio_)) {
    expect(row(request_id, p), {request_id, p}, "a later entry needs");
  }
}

void SlotMap::check_page_tails(std::int64_t request_id, std::int64_t length, std::int64_t page_size, const RowOf& row) {
  for (std::int64_t end = page_size; end - 4 < length; end += page_size) {
    for (std::int64_t p = end - 4; p < std::min(end, length); ++p) {
      expect(row(request_id, p), {request_id, p}, "a request that reuses the prefix needs");
    }
  }
}

}  // namespace dsv4
