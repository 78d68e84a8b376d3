/// The V2 decode plan: where one new token of each request is written, and where its window lies.
#pragma once

#include "interface/compress_plan.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {

/// Returns u8[B, 16] of DecodePlan, one row per request, in order. Every field of every row is filled, even if the new
/// token does not complete an entry. Throws ValueError if a length is not in 1 ... 2^31 - 1.
template <class Address>
Tensor decode_plan(const char* op, const Numbers& request_ids, const Numbers& seq_lens, std::int64_t ratio,
                   const Address& address) {
  std::vector<layout::DecodePlan> plan;
  for (std::int64_t b = 0; b < seq_lens.size(0); ++b) {
    const std::int64_t length = seq_lens(b);
    if (length < 1 || length > 0x7fffffff) {
      refuse(op, "seq_lens", "[" + std::to_string(b) + "] = " + std::to_string(length) + " must lie in [1, 2^31 - 1]");
    }
    const std::int64_t newest = length - 1;
    const std::int64_t before = newest >= ratio ? newest - ratio : 0;
    const std::int64_t row = address.row(request_ids(b), newest);
    plan.push_back({static_cast<std::uint32_t>(length), static_cast<std::int32_t>(row),
                    static_cast<std::int32_t>(address.row(request_ids(b), before) / ratio),
                    static_cast<std::int32_t>(row / ratio)});
  }
  return new_plan(plan);
}

}  // namespace dsv4::reference
