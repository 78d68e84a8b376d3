/// The common part of the V1 prefill ops. The op computes the entries that a prefill batch completes, and keeps rows in
/// the state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/ops/compress/v1_op.h"
#include "interface/compress_plan.h"

namespace dsv4 {

/// The parameters of a V1 prefill op. `batch` has those of its batch.
Space v1_prefill_space(std::int64_t ratio, std::vector<ParamSpec> batch);

/// Points of the op's scenarios.
struct V1PrefillPoints {
  std::vector<std::string> sequences;
  std::vector<std::string> pairs;
  std::vector<std::string> more_pairs;  ///< from the quick tier on
};

class V1Prefill : public V1Op {
 public:
  /// `info` without the fields that all V1 prefill ops have in common.
  V1Prefill(std::int64_t ratio, OpInfo info, V1PrefillPoints points);

  [[nodiscard]] Call make(const Case& c) const override;
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  [[nodiscard]] std::vector<Pair> pairs() const override;
  [[nodiscard]] V1Written written_by(const Call& call) const override;
  [[nodiscard]] std::vector<const float*> window_rows(const Call& call, std::int64_t entry) const override;

 private:
  /// True if the record names an entry, and the call has the rows of its window.
  [[nodiscard]] bool is_complete(const Call& call, const layout::TokenPlan& e) const;

  V1PrefillPoints points_;
};

}  // namespace dsv4
