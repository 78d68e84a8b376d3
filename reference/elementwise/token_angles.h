/// The angles by which rows are rotated: a table, and the position in it for each token of a call.
#pragma once

#include <cstdint>

#include "reference/common/view.h"
#include "reference/elementwise/rotation.h"

namespace dsv4::reference {

inline constexpr std::int64_t kRotaryDim = 64;  ///< the number of elements that are rotated: 32 pairs

class AngleTable {
 public:
  /// Refuses a table that is not f32 [positions, 64], contiguous.
  AngleTable(const char* op, TensorView freqs_cis) : freqs_(op, "freqs_cis", freqs_cis) {
    freqs_.expect_size(1, kRotaryDim).expect_contiguous();
  }

  [[nodiscard]] bool has(std::int64_t position) const { return position >= 0 && position < freqs_.size(0); }
  [[nodiscard]] Complex angle(std::int64_t position, std::int64_t pair) const {
    return {freqs_(position, 2 * pair), freqs_(position, 2 * pair + 1)};
  }

 private:
  View<const float, 2> freqs_;
};

class TokenAngles {
 public:
  /// Refuses positions that are not i32 or i64 [tokens], contiguous.
  TokenAngles(const char* op, TensorView freqs_cis, TensorView positions, std::int64_t tokens)
      : op_(op), table_(op, freqs_cis), positions_(positions) {
    if (holds<std::int64_t>(positions)) {
      View<const std::int64_t, 1>(op, "positions", positions).expect_size(0, tokens).expect_contiguous();
    } else {
      View<const std::int32_t, 1>(op, "positions", positions).expect_size(0, tokens).expect_contiguous();
    }
  }

  /// False if the token's position is outside the table. Then the token is not rotated.
  [[nodiscard]] bool has(std::int64_t token) const { return table_.has(position(token)); }
  [[nodiscard]] Complex angle(std::int64_t token, std::int64_t pair) const {
    return table_.angle(position(token), pair);
  }
  [[nodiscard]] const AngleTable& table() const { return table_; }
  [[nodiscard]] std::int64_t position(std::int64_t token) const {
    return holds<std::int64_t>(positions_) ? View<const std::int64_t, 1>(op_, "positions", positions_)(token)
                                           : View<const std::int32_t, 1>(op_, "positions", positions_)(token);
  }

 private:
  const char* op_;
  AngleTable table_;
  TensorView positions_;
};

}  // namespace dsv4::reference
