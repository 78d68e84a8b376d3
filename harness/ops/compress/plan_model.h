/// The plans of a batch by the rules of the format. They are inputs of the compressing ops, and give costs of planners.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {

/// Why a prefill keeps a token's row.
struct Keep {
  bool live = false;  ///< later entries read it
  bool pad = false;   ///< one of the last tokens, which a verify step may take back
  bool tail = false;  ///< at the end of a cache page, for a request that reuses the prefix
  [[nodiscard]] bool any() const { return live || pad || tail; }
};

/// `pad` is the number of last tokens that are kept; `tail_page` the cache page size where page tails are kept, else 0.
Keep keep_of(std::int64_t position, std::int64_t seq_len, std::int64_t ratio, std::int64_t pad, std::int64_t tail_page);

/// Number of last tokens that a prefill keeps for verify steps, where a ring has `ring_size` rows.
inline std::int64_t pad_of(std::int64_t ring_size, std::int64_t ratio) {
  return std::min<std::int64_t>(ring_size - ratio, 4);
}

/// First position that an entry behind the first `length` tokens may still read.
std::int64_t first_live(std::int64_t length, std::int64_t ratio);

/// Plans of a batch in token order, all page fields filled.
std::vector<layout::CompressPlan> model_compress_plan(const Batch& batch, std::int64_t ratio, const RowOf& row);
std::vector<layout::WritePlan> model_write_plan(const Batch& batch, std::int64_t ratio, std::int64_t pad,
                                                std::int64_t tail_page, const RowOf& row);
std::vector<layout::DecodePlan> model_decode_plan(const Batch& batch, std::int64_t ratio, const RowOf& row);

/// Number of entries in both plans of a batch, where no row is kept for verify steps.
struct PlanCounts {
  std::int64_t compress = 0;
  std::int64_t write = 0;
};
PlanCounts plan_counts(const Batch& batch, std::int64_t ratio, std::int64_t tail_page);

}  // namespace dsv4
