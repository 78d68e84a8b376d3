/// Plans as inputs of the compressing ops, and the slot map that says whether a plan keeps what later steps need.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/ops/compress/batch.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {

/// State row of (request id, position).
using RowOf = std::function<std::int64_t(std::int64_t, std::int64_t)>;

/// Why a prefill keeps a token's row.
struct Keep {
  bool live = false;  ///< later entries look at it
  bool pad = false;   ///< among the trailing tokens that a verify step may take back
  bool tail = false;  ///< at the end of a cache page, for a request that reuses the prefix
  [[nodiscard]] bool any() const { return live || pad || tail; }
};

/// `pad` trailing tokens are kept; `tail_page` is the cache page size where page tails are kept, else 0.
Keep keep_of(std::int64_t position, std::int64_t seq_len, std::int64_t ratio, std::int64_t pad, std::int64_t tail_page);

/// First position that an event after `length` tokens may still look at.
std::int64_t first_live(std::int64_t length, std::int64_t ratio);

/// Plans of a batch in token order, all page fields filled.
std::vector<layout::CompressPlan> model_compress_plan(const Batch& batch, std::int64_t ratio, const RowOf& row);
std::vector<layout::WritePlan> model_write_plan(const Batch& batch, std::int64_t ratio, std::int64_t pad,
                                                std::int64_t tail_page, const RowOf& row);
std::vector<layout::DecodePlan> model_decode_plan(const Batch& batch, std::int64_t ratio, const RowOf& row);

/// Bytes that a prefill planner must move: an id and two lengths of each request, `lookup` bytes for each state row
/// that is addressed, and the plans: `rows` records of each (-1: as many as there are entries and kept rows).
double prefill_plan_bytes(const Batch& batch, std::int64_t ratio, std::int64_t tail_page, std::int64_t lookup,
                          std::int64_t rows);

/// A plan tensor u8[n, sizeof(Record)] of these records.
template <class Record>
HostTensor plan_tensor(const std::vector<Record>& records) {
  HostTensor t = HostTensor::make(DType::kU8, {std::ssize(records), static_cast<std::int64_t>(sizeof(Record))});
  if (!records.empty()) std::memcpy(t.data<std::uint8_t>(), records.data(), records.size() * sizeof(Record));
  return t;
}

/// Which token's row lies where, over several steps. Finds a plan that reads a row which is not there, or keeps too
/// little.
class SlotMap {
 public:
  explicit SlotMap(std::int64_t ratio) : ratio_(ratio) {}

  /// Checks every read of the entries against what earlier steps kept. `batch` is the step's batch.
  void read(const Batch& batch, const std::vector<layout::CompressPlan>& entries, const std::string& where,
            Observation& o);
  /// Puts the kept rows in place; two tokens in one row are a finding.
  void write(const Batch& batch, const std::vector<layout::WritePlan>& entries, const std::string& where,
             Observation& o);
  /// A decode step: each request's newest token is kept, then the entries that it completes are read.
  void decode(const Batch& batch, const std::vector<layout::DecodePlan>& plan, const std::string& where,
              Observation& o);
  /// A verify step was taken back: tokens of the request at and after `length` are gone.
  void take_back(std::int64_t request_id, std::int64_t length);
  /// Every position that an event after `length` tokens may look at must be in its place.
  void check_live(std::int64_t request_id, std::int64_t length, const RowOf& row, const std::string& where,
                  Observation& o);
  /// The last four positions of each cache page up to `length` must be in their places: a request that reuses the
  /// prefix begins there. Ratio 4.
  void check_page_tails(std::int64_t request_id, std::int64_t length, std::int64_t page_size, const RowOf& row,
                        const std::string& where, Observation& o);
  /// Rows looked at so far.
  [[nodiscard]] std::int64_t checked() const { return checked_; }

 private:
  struct Owner {
    std::int64_t request_id;
    std::int64_t position;
    bool operator==(const Owner&) const = default;
  };
  void expect(std::int64_t row, const Owner& owner, const std::string& where, const char* what, Observation& o);

  std::int64_t ratio_;
  std::map<std::int64_t, Owner> rows_;
  std::int64_t checked_ = 0;
};

}  // namespace dsv4
