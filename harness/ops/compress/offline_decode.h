/// The common part of the decode ops of offline compression. The op writes the row of each request's newest token to
/// the state. If the token completes a group, the op computes the group's entry from the state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/ops/compress/offline_op.h"

namespace dsv4 {

Signature offline_decode_signature(std::int64_t ratio);

/// Points of the op's scenarios.
struct OfflineDecodePoints {
  std::vector<std::string> sequences;
  std::vector<std::string> pairs;
  std::vector<std::string> more_pairs;  ///< from the quick tier on
};

class OfflineDecode : public OfflineOp {
 public:
  OfflineDecode(std::int64_t ratio, OpInfo info, OfflineDecodePoints points);

  [[nodiscard]] Call make(const Case& c) const override;
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  [[nodiscard]] std::vector<Pair> pairs() const override;
  [[nodiscard]] OfflineWritten written(const Call& call) const override;
  [[nodiscard]] std::vector<const float*> window_rows(const Call& call, std::int64_t entry) const override;

 private:
  OfflineDecodePoints points_;
};

}  // namespace dsv4
