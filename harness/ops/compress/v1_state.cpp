#include "harness/ops/compress/v1_state.h"

#include <algorithm>
#include <array>
#include <utility>

#include "harness/op/define.h"
#include "harness/ops/compress/plan_rows.h"
#include "harness/ops/compress/walked.h"

namespace dsv4 {

ParamSpec v1_state_param() {
  return word("state", kV1States, "state rows: of the cache's pages, or in a ring of each request");
}

std::optional<std::string> reject_v1_state(const Params& p, std::int64_t ratio) {
  if (p.is("state", "rings") && p.integer("ring") != window_of(ratio)) {
    return fmt::format("a ring of a request has {} rows", window_of(ratio));
  }
  return std::nullopt;
}

V1State::V1State(std::int64_t ratio, const Params& p, CacheMaps maps)
    : ratio_(ratio), rings_(p.is("state", "rings")), maps_(std::make_shared<const CacheMaps>(std::move(maps))) {}

std::int64_t V1State::page_rows() const { return rings_ ? window_of(ratio_) : ratio_; }

std::int64_t V1State::rows() const { return rings_ ? page_rows() * maps_->req_to_token.size(0) : maps_->rows(); }

RowOf V1State::row_of() const {
  if (rings_) {
    return [ring = page_rows()](std::int64_t id, std::int64_t position) { return ring * id + position % ring; };
  }
  return [maps = maps_](std::int64_t id, std::int64_t position) { return maps->row(id, position); };
}

std::vector<layout::DecodePlan> V1State::newest(const Batch& batch) const {
  return plans::decode_records(requests_of(batch), ratio_, row_of());
}

V1Pages V1State::rings(const Batch& batch) const { return {numbers(batch.request_ids, kI32), None{}}; }

V1Pages V1State::prefill(const Batch& batch) const {
  if (rings_) return rings(batch);
  Batch before = batch;
  before.seq_lens = batch.prefixes();
  for (std::int64_t& length : before.seq_lens) length = std::max<std::int64_t>(length, 1);
  before.extend_lens.assign(before.seq_lens.size(), 1);
  Batch now = batch;
  now.extend_lens = before.extend_lens;  // a request without new tokens has a page too
  const auto load = newest(before), write = newest(now);
  std::vector<std::int64_t> pages, loaded;
  std::vector<std::array<std::int32_t, 4>> extra;
  for (std::size_t b = 0; b < write.size(); ++b) {
    pages.push_back(write[b].read_page_1);
    loaded.push_back(load[b].read_page_1);
    const auto first = static_cast<std::int32_t>((batch.seq_lens[b] - 1) / ratio_ * ratio_);
    extra.push_back({load[b].read_page_0, load[b].read_page_1, write[b].read_page_0, first});
  }
  return {numbers(pages, kI32), ratio_ == 4 ? tensor_of_rows(kI32, extra) : numbers(loaded, kI32)};
}

V1Pages V1State::decode(const Batch& batch) const {
  if (rings_) return rings(batch);
  std::vector<std::int64_t> pages;
  std::vector<std::array<std::int32_t, 1>> extra;
  for (const layout::DecodePlan& token : newest(batch)) {
    pages.push_back(token.read_page_1);
    extra.push_back({token.read_page_0});
  }
  return {numbers(pages, kI32), ratio_ == 4 ? Value(tensor_of_rows(kI32, extra)) : Value(None{})};
}

}  // namespace dsv4
