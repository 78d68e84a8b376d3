/// The slot map checks over several steps that plans keep what later steps need.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {

/// Records over several steps which token's row each state row holds. Finding "state_row": a plan reads a state row
/// that holds another token's row or nothing, or a row that is still needed was not kept. A row of a plan is ignored if
/// it is a sentinel or names no token of the batch.
class SlotMap {
 public:
  explicit SlotMap(std::int64_t ratio) : ratio_(ratio) {}

  /// Names the next step in findings.
  void begin(std::string step) { step_ = std::move(step); }
  /// Returns the findings since the last call.
  [[nodiscard]] std::vector<Finding> take_findings() { return std::exchange(findings_, {}); }
  /// Number of rows that were checked so far.
  [[nodiscard]] std::int64_t checked() const { return checked_; }

  /// Checks that earlier steps kept every row that the entries read. `batch` is the batch of this step.
  void read(const Batch& batch, const std::vector<layout::CompressPlan>& entries);
  /// Records the rows that the plan keeps. Finding "duplicate": two tokens have one state row.
  void write(const Batch& batch, const std::vector<layout::WritePlan>& entries);
  /// A decode step: records each request's newest token, then checks the rows that the completed entries read.
  void decode(const Batch& batch, const std::vector<layout::DecodePlan>& plan);
  /// After a verify step rejected drafts: removes the request's tokens at and after position `length`.
  void take_back(std::int64_t request_id, std::int64_t length);
  /// Checks that the state holds every position that entries after the first `length` tokens may read.
  void check_live(std::int64_t request_id, std::int64_t length, const RowOf& row);
  /// Checks that the state holds the last four positions of each cache page up to `length`. A request that reuses the
  /// prefix needs these positions. Only for ratio 4.
  void check_page_tails(std::int64_t request_id, std::int64_t length, std::int64_t page_size, const RowOf& row);

 private:
  struct Owner {
    std::int64_t request_id;
    std::int64_t position;
    bool operator==(const Owner&) const = default;
  };
  void expect(std::int64_t row, const Owner& owner, const char* what);
  /// Checks the first `count` tokens in the window of a plan's row.
  template <class Record>
  void read_window(const Record& e, std::int64_t request_id, std::int64_t count);

  std::int64_t ratio_;
  std::string step_;
  std::map<std::int64_t, Owner> rows_;
  std::vector<Finding> findings_;
  std::int64_t checked_ = 0;
};

}  // namespace dsv4
