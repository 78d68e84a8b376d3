#include "harness/ops/compress/plan_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace dsv4 {

std::int64_t first_live(std::int64_t length, std::int64_t ratio) {
  const std::int64_t group = length / ratio * ratio;
  return ratio == 4 ? std::max<std::int64_t>(group - 4, 0) : group;
}

Keep keep_of(std::int64_t position, std::int64_t seq_len, std::int64_t ratio, std::int64_t pad,
             std::int64_t tail_page) {
  return {.live = position >= first_live(seq_len, ratio),
          .pad = position >= seq_len - pad,
          .tail = tail_page > 0 && position % tail_page >= tail_page - 4};
}

std::vector<layout::CompressPlan> model_compress_plan(const Batch& batch, std::int64_t ratio, const RowOf& row) {
  std::vector<layout::CompressPlan> plan;
  const auto tokens = tokens_of(batch);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const auto [b, p] = tokens[t];
    if ((p + 1) % ratio != 0) continue;
    const std::int64_t id = batch.request_ids[static_cast<std::size_t>(b)];
    plan.push_back({static_cast<std::uint32_t>(p + 1), static_cast<std::uint16_t>(t),
                    static_cast<std::uint16_t>(window_before_batch(p, batch.prefix(b), window_of(ratio))),
                    static_cast<std::int32_t>(row(id, std::max<std::int64_t>(p - ratio, 0)) / ratio),
                    static_cast<std::int32_t>(row(id, p) / ratio)});
  }
  return plan;
}

std::vector<layout::WritePlan> model_write_plan(const Batch& batch, std::int64_t ratio, std::int64_t pad,
                                                std::int64_t tail_page, const RowOf& row) {
  std::vector<layout::WritePlan> plan;
  const auto tokens = tokens_of(batch);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const auto [b, p] = tokens[t];
    const auto at = static_cast<std::size_t>(b);
    if (!keep_of(p, batch.seq_lens[at], ratio, pad, tail_page).any()) continue;
    plan.push_back({static_cast<std::uint32_t>(t), static_cast<std::int32_t>(row(batch.request_ids[at], p))});
  }
  return plan;
}

double prefill_plan_bytes(const Batch& batch, std::int64_t ratio, std::int64_t tail_page, std::int64_t lookup,
                          std::int64_t rows) {
  const RowOf nowhere = [](std::int64_t, std::int64_t) { return 0; };
  const std::int64_t entries = std::ssize(model_compress_plan(batch, ratio, nowhere));
  const std::int64_t kept = std::ssize(model_write_plan(batch, ratio, 0, tail_page, nowhere));
  const auto records = [rows](std::int64_t used) { return rows < 0 ? used : rows; };
  return static_cast<double>(batch.size() * 24 + (2 * entries + kept) * lookup +
                             records(entries) * std::int64_t{sizeof(layout::CompressPlan)} +
                             records(kept) * std::int64_t{sizeof(layout::WritePlan)});
}

std::vector<layout::DecodePlan> model_decode_plan(const Batch& batch, std::int64_t ratio, const RowOf& row) {
  std::vector<layout::DecodePlan> plan;
  for (std::size_t b = 0; b < batch.seq_lens.size(); ++b) {
    const std::int64_t newest = batch.seq_lens[b] - 1;
    const std::int64_t at = row(batch.request_ids[b], newest);
    const std::int64_t before = row(batch.request_ids[b], std::max<std::int64_t>(newest - ratio, 0));
    plan.push_back({static_cast<std::uint32_t>(newest + 1), static_cast<std::int32_t>(at),
                    static_cast<std::int32_t>(before / ratio), static_cast<std::int32_t>(at / ratio)});
  }
  return plan;
}

void SlotMap::expect(std::int64_t row, const Owner& owner, const std::string& where, const char* what, Observation& o) {
  ++checked_;
  const auto it = rows_.find(row);
  if (it != rows_.end() && it->second == owner) return;
  const std::string holds = it == rows_.end()
                                ? "nothing"
                                : fmt::format("position {} of request {}", it->second.position, it->second.request_id);
  o.find("state_row", fmt::format("{}: {} position {} of request {} in state row {}, which holds {}", where, what,
                                  owner.position, owner.request_id, row, holds));
}

void SlotMap::read(const Batch& batch, const std::vector<layout::CompressPlan>& entries, const std::string& where,
                   Observation& o) {
  const auto tokens = tokens_of(batch);
  for (const layout::CompressPlan& e : entries) {
    if (e.ragged_id >= tokens.size()) continue;  // a finding already
    const std::int64_t id = batch.request_ids[static_cast<std::size_t>(tokens[e.ragged_id].request)];
    for (std::int64_t i = 0; i < e.buffer_len; ++i) {
      const std::int64_t position = std::int64_t{e.seq_len} - window_of(ratio_) + i;
      if (position < 0) continue;
      const std::int64_t row = ratio_ == 4 ? 4 * std::int64_t{i < 4 ? e.read_page_0 : e.read_page_1} + i % 4
                                           : 128 * std::int64_t{e.read_page_1} + i;
      expect(row, {id, position}, where, "an entry reads", o);
    }
  }
}

void SlotMap::write(const Batch& batch, const std::vector<layout::WritePlan>& entries, const std::string& where,
                    Observation& o) {
  const auto tokens = tokens_of(batch);
  std::set<std::int64_t> taken;
  for (const layout::WritePlan& e : entries) {
    if (e.ragged_id >= tokens.size()) continue;
    if (!taken.insert(e.write_loc).second) {
      o.find("duplicate", fmt::format("{}: two tokens are kept in state row {}", where, e.write_loc));
    }
    const BatchToken& t = tokens[e.ragged_id];
    rows_[e.write_loc] = {batch.request_ids[static_cast<std::size_t>(t.request)], t.position};
  }
}

void SlotMap::decode(const Batch& batch, const std::vector<layout::DecodePlan>& plan, const std::string& where,
                     Observation& o) {
  const std::size_t n = std::min(plan.size(), batch.request_ids.size());
  for (std::size_t b = 0; b < n; ++b) rows_[plan[b].write_loc] = {batch.request_ids[b], batch.seq_lens[b] - 1};
  for (std::size_t b = 0; b < n; ++b) {
    if (plan[b].seq_len % ratio_ != 0) continue;
    const std::int64_t window = window_of(ratio_);
    for (std::int64_t i = 0; i < window; ++i) {
      const std::int64_t position = std::int64_t{plan[b].seq_len} - window + i;
      if (position < 0) continue;
      const std::int64_t page = ratio_ == 4 && i < 4 ? plan[b].read_page_0 : plan[b].read_page_1;
      expect(ratio_ * page + i % ratio_, {batch.request_ids[b], position}, where, "an entry reads", o);
    }
  }
}

void SlotMap::take_back(std::int64_t request_id, std::int64_t length) {
  std::erase_if(
      rows_, [&](const auto& item) { return item.second.request_id == request_id && item.second.position >= length; });
}

void SlotMap::check_live(std::int64_t request_id, std::int64_t length, const RowOf& row, const std::string& where,
                         Observation& o) {
  for (std::int64_t p = first_live(length, ratio_); p < length; ++p) {
    expect(row(request_id, p), {request_id, p}, where, "a later entry needs", o);
  }
}

void SlotMap::check_page_tails(std::int64_t request_id, std::int64_t length, std::int64_t page_size, const RowOf& row,
                               const std::string& where, Observation& o) {
  for (std::int64_t end = page_size; end - 4 < length; end += page_size) {
    for (std::int64_t p = end - 4; p < std::min(end, length); ++p) {
      expect(row(request_id, p), {request_id, p}, where, "a request that reuses the prefix needs", o);
    }
  }
}

}  // namespace dsv4
