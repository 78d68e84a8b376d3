/// Makes plans by the rules of their format. They are inputs of the compressing ops. Planners' costs follow from them.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {

/// Why a prefill keeps a token's row in the state. (A verify step is a prefill of drafts, and may reject some of them.)
struct Keep {
  bool live = false;  ///< later entries read it
  bool pad = false;   ///< one of the last tokens: needed if a verify step rejects tokens
  bool tail = false;  ///< at the end of a cache page: a request that reuses the prefix reads it
  [[nodiscard]] bool any() const { return live || pad || tail; }
};

/// The last `pad` tokens of a request are kept. `tail_page` is the cache page size if page ends are kept, else 0.
Keep keep_of(std::int64_t position, std::int64_t seq_len, std::int64_t ratio, std::int64_t pad, std::int64_t tail_page);

/// Number of last tokens that a prefill always keeps, because of verify steps. A ring has `ring_size` rows.
inline std::int64_t pad_of(std::int64_t ring_size, std::int64_t ratio) {
  return std::min<std::int64_t>(ring_size - ratio, 4);
}

/// First position that an entry may still read if its last token comes after the first `length` tokens.
std::int64_t first_live(std::int64_t length, std::int64_t ratio);

/// Plans of a batch in token order, with all page fields filled.
std::vector<layout::CompressPlan> model_compress_plan(const Batch& batch, std::int64_t ratio, const RowOf& row);
std::vector<layout::WritePlan> model_write_plan(const Batch& batch, std::int64_t ratio, std::int64_t pad,
                                                std::int64_t tail_page, const RowOf& row);
std::vector<layout::DecodePlan> model_decode_plan(const Batch& batch, std::int64_t ratio, const RowOf& row);

/// Numbers of entries in the two plans of a batch, if no row is kept for verify steps.
struct PlanCounts {
  std::int64_t compress = 0;
  std::int64_t write = 0;
};
PlanCounts plan_counts(const Batch& batch, std::int64_t ratio, std::int64_t tail_page);

}  // namespace dsv4
