#include "harness/ops/compress/plan_model.h"

namespace dsv4 {
namespace {

std::int32_t i32(std::int64_t value) { return static_cast<std::int32_t>(value); }

}  // namespace

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
  for (const BatchToken& t : tokens_of(batch)) {
    if ((t.position + 1) % ratio != 0) continue;
    const std::int64_t before = std::max<std::int64_t>(t.position - ratio, 0);
    plan.push_back({static_cast<std::uint32_t>(t.position + 1), static_cast<std::uint16_t>(t.row),
                    static_cast<std::uint16_t>(window_before_batch(t, ratio)), i32(row(t.id, before) / ratio),
                    i32(row(t.id, t.position) / ratio)});
  }
  return plan;
}

std::vector<layout::WritePlan> model_write_plan(const Batch& batch, std::int64_t ratio, std::int64_t pad,
                                                std::int64_t tail_page, const RowOf& row) {
  std::vector<layout::WritePlan> plan;
  for (const BatchToken& t : tokens_of(batch)) {
    if (!keep_of(t.position, t.seq_len, ratio, pad, tail_page).any()) continue;
    plan.push_back({static_cast<std::uint32_t>(t.row), i32(row(t.id, t.position))});
  }
  return plan;
}

std::vector<layout::DecodePlan> model_decode_plan(const Batch& batch, std::int64_t ratio, const RowOf& row) {
  std::vector<layout::DecodePlan> plan;
  for (std::size_t b = 0; b < batch.seq_lens.size(); ++b) {
    const std::int64_t id = batch.request_ids[b], newest = batch.seq_lens[b] - 1;
    const std::int64_t before = std::max<std::int64_t>(newest - ratio, 0);
    plan.push_back({static_cast<std::uint32_t>(newest + 1), i32(row(id, newest)), i32(row(id, before) / ratio),
                    i32(row(id, newest) / ratio)});
  }
  return plan;
}

PlanCounts plan_counts(const Batch& batch, std::int64_t ratio, std::int64_t tail_page) {
  const RowOf nowhere = [](std::int64_t, std::int64_t) { return 0; };
  return {std::ssize(model_compress_plan(batch, ratio, nowhere)),
          std::ssize(model_write_plan(batch, ratio, 0, tail_page, nowhere))};
}

}  // namespace dsv4
