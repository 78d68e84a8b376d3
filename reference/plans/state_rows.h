/// Finds the state row of a token by dealing out rows, one after another. There are two ways to deal: to the pages of
/// the sliding-window cache, or to the requests.
///
/// Both classes remember how far they have dealt, and go on from there. So a call is cheap if its token is near the one
/// of the call before.
#pragma once

#include <cstdint>

namespace dsv4::plans {

/// A ring of rows, which are dealt out in turn. After the last row comes the first row again.
class Ring {
 public:
  explicit Ring(std::int64_t rows) : rows_(rows) {}

  [[nodiscard]] std::int64_t row() const { return row_; }
  void next() { row_ = row_ + 1 == rows_ ? 0 : row_ + 1; }
  void back() { row_ = row_ == 0 ? rows_ - 1 : row_ - 1; }

 private:
  std::int64_t rows_;
  std::int64_t row_ = 0;
};

/// Each page of the sliding-window cache has its own ring of state rows, so requests that share cached pages share
/// their state. The slots of a page get the rows of its ring in turn. The rings of the pages lie one after another.
/// (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/c_plan.cuh:295-299 and :343-347.)
class CacheRings {
 public:
  CacheRings(std::int64_t page_size, std::int64_t ring_size) : page_size_(page_size), ring_size_(ring_size) {}

  /// Returns the state row of a slot of the cache.
  [[nodiscard]] std::int64_t row_of(std::int64_t slot) {
    for (; slot >= first_slot_ + page_size_; first_slot_ += page_size_) first_row_ += ring_size_;
    for (; slot < first_slot_; first_slot_ -= page_size_) first_row_ -= ring_size_;
    Ring ring(ring_size_);
    for (std::int64_t s = first_slot_; s < slot; ++s) ring.next();
    return first_row_ + ring.row();
  }

 private:
  std::int64_t page_size_;
  std::int64_t ring_size_;
  std::int64_t first_slot_ = 0;  ///< of the page of the call before
  std::int64_t first_row_ = 0;   ///< of that page's ring
};

/// Each request has its own ring of state rows. The ring has room for the window of one entry: 8 rows at ratio 4, and
/// 128 rows at ratio 128. The request's tokens get the rows of its ring in turn. (c_plan.cuh:372-382.)
class RequestRings {
 public:
  explicit RequestRings(std::int64_t ratio) : rows_(ratio == 4 ? 4 + 4 : ratio), ring_(rows_) {}

  /// Returns the state row of the request's token at this position.
  [[nodiscard]] std::int64_t row_of(std::int64_t request_id, std::int64_t position) {
    if (request_id != request_id_) {
      request_id_ = request_id;
      position_ = 0;
      ring_ = Ring(rows_);
    }
    for (; position_ < position; ++position_) ring_.next();
    for (; position_ > position; --position_) ring_.back();
    return rows_ * request_id + ring_.row();
  }

 private:
  std::int64_t rows_;  ///< of the ring of one request
  std::int64_t request_id_ = 0;
  std::int64_t position_ = 0;
  Ring ring_;  ///< stands at the row of the token at `position_`
};

}  // namespace dsv4::plans
