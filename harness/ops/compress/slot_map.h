/// The slot map says over several steps whether plans keep what later steps need.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/ops/compress/plan_model.h"

namespace dsv4 {

/// Which token's row lies where, over several steps. Finding "state_row": a plan reads a row that is not there, or a
/// row that is still needed was not kept. Rows of plans that are sentinels, or name no token of the batch, are left
/// out.
class SlotMap {
 public:
  explicit SlotMap(std::int64_t ratio) : ratio_(ratio) {}

  /// Names the next step in findings.
  void begin(std::string step) { step_ = std::move(step); }
  /// What was found since the last call.
  [[nodiscard]] std::vector<Finding> take_findings() { return std::exchange(findings_, {}); }
  /// Rows looked at so far.
  [[nodiscard]] std::int64_t checked() const { return checked_; }

  /// Checks every read of the entries against what earlier steps kept. `batch` is the step's batch.
  void read(const Batch& batch, const std::vector<layout::CompressPlan>& entries);
  /// Puts the kept rows in place. Finding "duplicate": two tokens in one row.
  void write(const Batch& batch, const std::vector<layout::WritePlan>& entries);
  /// A decode step: each request's newest token is kept, then the entries that it completes are read.
  void decode(const Batch& batch, const std::vector<layout::DecodePlan>& plan);
  /// A verify step was taken back: the request loses its tokens at and after `length`.
  void take_back(std::int64_t request_id, std::int64_t length);
  /// Checks that every position that an entry behind `length` tokens may read is in its place.
  void check_live(std::int64_t request_id, std::int64_t length, const RowOf& row);
  /// Checks that the last four positions of each cache page up to `length` are in their places: a request that reuses
  /// the prefix begins there. Ratio 4.
  void check_page_tails(std::int64_t request_id, std::int64_t length, std::int64_t page_size, const RowOf& row);

 private:
  struct Owner {
    std::int64_t request_id;
    std::int64_t position;
    bool operator==(const Owner&) const = default;
  };
  void expect(std::int64_t row, const Owner& owner, const char* what);
  /// Checks the first `count` entries of the window of a plan's row.
  template <class Record>
  void read_window(const Record& e, std::int64_t request_id, std::int64_t count);

  std::int64_t ratio_;
  std::string step_;
  std::map<std::int64_t, Owner> rows_;
  std::vector<Finding> findings_;
  std::int64_t checked_ = 0;
};

}  // namespace dsv4
