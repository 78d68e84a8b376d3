/// The angles by which the tokens of a call are rotated: a table, and a position in it for each token.
#pragma once

#include <cstdint>

#include "reference/common/view.h"
#include "reference/elementwise/rotation.h"

namespace dsv4::reference {

inline constexpr std::int64_t kRotaryDim = 64;  ///< the number of elements that are rotated: 32 pairs

class TokenAngles {
 public:
  /// Refuses a table that is not f32 [positions, 64] and positions that are not i32 or i64 [tokens]. Both must be
  /// contiguous.
  TokenAngles(const char* op, TensorView freqs_cis, TensorView positions, std::int64_t tokens)
      : op_(op), freqs_(op, "freqs_cis", freqs_cis), positions_(positions) {
    freqs_.expect_size(1, kRotaryDim).expect_contiguous();
    if (holds<std::int64_t>(positions)) {
      View<const std::int64_t, 1>(op, "positions", positions).expect_size(0, tokens).expect_contiguous();
    } else {
      View<const std::int32_t, 1>(op, "positions", positions).expect_size(0, tokens).expect_contiguous();
    }
  }

  /// False if the token's position is outside the table. Then the token is not rotated.
  [[nodiscard]] bool has(std::int64_t token) const { return position(token) >= 0 && position(token) < freqs_.size(0); }
  [[nodiscard]] Complex angle(std::int64_t token, std::int64_t pair) const {
    return {freqs_(position(token), 2 * pair), freqs_(position(token), 2 * pair + 1)};
  }

 private:
  [[nodiscard]] std::int64_t position(std::int64_t token) const {
    return holds<std::int64_t>(positions_) ? View<const std::int64_t, 1>(op_, "positions", positions_)(token)
                                           : View<const std::int32_t, 1>(op_, "positions", positions_)(token);
  }

  const char* op_;
  View<const float, 2> freqs_;
  TensorView positions_;
};

}  // namespace dsv4::reference
