/// The common part of the prefill ops of offline compression. The op computes the entries that a prefill batch
/// completes, and keeps rows in the state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/ops/compress/offline_op.h"

namespace dsv4 {

/// The parameters of a prefill op, except those of its batch.
Space offline_prefill_space(std::int64_t ratio, std::vector<ParamSpec> batch);

/// Points of the op's scenarios.
struct OfflinePrefillPoints {
  std::vector<std::string> sequences;
  std::vector<std::string> pairs;
  std::vector<std::string> more_pairs;  ///< from the quick tier on
};

class OfflinePrefill : public OfflineOp {
 public:
  OfflinePrefill(std::int64_t ratio, OpInfo info, OfflinePrefillPoints points);

  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override;
  [[nodiscard]] Call make(const Case& c) const override;
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  [[nodiscard]] std::vector<Pair> pairs() const override;
  [[nodiscard]] OfflineWritten written(const Call& call) const override;
  [[nodiscard]] std::vector<const float*> window_rows(const Call& call, std::int64_t entry) const override;

 private:
  OfflinePrefillPoints points_;
};

}  // namespace dsv4
