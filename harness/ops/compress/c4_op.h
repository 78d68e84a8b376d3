/// What the two ops of C4 compression have in common. They differ in the plans that say what a call writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/op/op.h"

namespace dsv4 {

/// Positions per page of the cache. The state has a ring of rows for each page.
inline constexpr std::int64_t kC4CachePage = 256;

/// Why entries may differ from the reference by the bound that it computes beside each value.
extern const char* const kC4BoundReason;

/// The parameters that both ops begin with: head_dim, ring, fill.
Space c4_space();

/// The `compile` parameters that select an entry of a set.
Params c4_compile(const Params& p);

/// What a call writes, as its plans say.
struct C4Written {
  std::vector<std::int64_t> entries;  ///< rows of kv_output, H wide, in the order in which they are compared
  std::vector<std::int64_t> kept;     ///< rows of kv_buffer, 4H wide, likewise
  double plan_bytes = 0;              ///< of the plan rows that say so
  /// State or input rows that an entry reads. Of the window's eight rows it reads the halves that concern it.
  double rows_of_entry = 8 * 0.5;
};

class C4Op : public Op {
 public:
  using Op::Op;

  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override;
  /// Allows the call to write what its plans say and nothing else.
  void fit(Call& call) const override;
  /// "kv_output", the entries, and "kept_rows".
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override;
  /// Entries lie within the error bound that the reference computes beside each value. Kept rows are exact.
  [[nodiscard]] Tolerances tolerances(const Case&, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// State pages of an older kernel, and a state that is spread out.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;

 protected:
  [[nodiscard]] virtual C4Written written(const Call& call) const = 0;
};

/// Sequences of planners' and C4 kernels' calls, compared with one call or with a serial replay (c4_sequences.cpp).
std::vector<Scenario> c4_prefill_sequences(const Op& op);  ///< chunked_prefill, prefill_then_decode
std::vector<Scenario> c4_decode_sequences(const Op& op);   ///< decode_equals_prefill, verify_then_decode

}  // namespace dsv4
