/// Makes the V2 decode plan (interface/compress_plan.h). For each request, it names the state row of the new token, and
/// the state pages of the token's window.
#pragma once

#include "interface/compress_plan.h"
#include "reference/compress/plan_tensors.h"

namespace dsv4::reference {

/// Returns the plan, u8[B, 16], with one DecodePlan for each request in the order of the requests. All fields are
/// filled, even if the new token does not complete an entry. Throws a ValueError if a length is not from 1 to 2^31 - 1.
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
