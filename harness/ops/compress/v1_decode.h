/// The common part of the V1 decode ops. The op writes the row of each request's newest token to the state. If the
/// token completes a group, the op computes the group's entry from the state.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/ops/compress/v1_op.h"

namespace dsv4 {

class V1Decode : public V1Op {
 public:
  /// `info` without the fields that all V1 decode ops have in common. Its argument `extra` is the last one.
  V1Decode(std::int64_t ratio, OpInfo info, Argument extra);

  [[nodiscard]] Call make(const Case& c) const override;
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
  [[nodiscard]] V1Written written_by(const Call& call) const override;
  [[nodiscard]] std::vector<const float*> window_rows(const Call& call, std::int64_t entry) const override;
};

}  // namespace dsv4
