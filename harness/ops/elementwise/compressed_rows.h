/// The common part of compress_norm_rope_prefill_v1 and compress_norm_rope_decode_v1. Both normalise and rotate rows of
/// compressed entries in place. They differ in the argument that says which rows have an entry, and at which position.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "harness/op/op.h"
#include "harness/ops/elementwise/angle_scenarios.h"

namespace dsv4 {

/// A row that a call changes: the record that names it (a record of the plan, or a request), and the row of the table
/// of angles. The table may lack that row.
struct ChangedRow {
  std::int64_t record;
  std::int64_t row;
  std::int64_t position;
};

class CompressedRowsOp : public Op {
 public:
  /// `info` lacks what both ops share: the parameters and the signature. `records` is the argument that names the rows,
  /// and `batch` is the symbol of its first dimension.
  CompressedRowsOp(OpInfo info, Argument records, const std::string& batch, std::int64_t mode);

  [[nodiscard]] std::vector<std::string> idle(const Params& p) const override;
  [[nodiscard]] Call make(const Case& c) const override;
  /// The call may write the rows that it changes.
  void fit(Call& call) const override;
  [[nodiscard]] Tolerances tolerances(const Case& c, const Call& call, const CallResult&, const Observation&,
                                      Caller& reference) const override;
  [[nodiscard]] bool trivial_by_design(const Case& c) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// `position_outside`: 1 for a row whose position is outside the table of angles.
  [[nodiscard]] ElementFacts element_facts(const Case&, const Call& call) const override;
  [[nodiscard]] std::vector<Scenario> scenarios() const override;

  /// The rows that a call changes. Each of them is a row of `input`.
  [[nodiscard]] virtual std::vector<ChangedRow> changed(const Call& call) const = 0;

 protected:
  /// Makes the argument that names the rows. The entry of record `i` is at `positions[i]`, a multiple of the ratio.
  [[nodiscard]] virtual HostTensor records(const Case& c, const std::vector<std::int64_t>& positions) const = 0;
  virtual void set_position(HostTensor& records, std::int64_t i, std::int64_t position, std::int64_t ratio) const = 0;
  /// The argument with `count` records. Record i becomes record `places[i]`, and row i of the input is row `places[i]`.
  /// The other records have no entry.
  [[nodiscard]] virtual HostTensor spread(const HostTensor& records, const std::vector<std::int64_t>& places,
                                          std::int64_t count) const = 0;
  /// Removes all rows of the call except `rows`.
  virtual void keep(Call& call, const std::vector<std::int64_t>& rows) const = 0;

  /// Tries the call `bad`. It differs from `good` in one record only, whose row in `good` is `own`. The call may change
  /// this row in any way that does not depend on the memory around the arguments, and no other row.
  void try_record(ScenarioContext& x, const std::string& what, const Call& bad, const Call& good,
                  const std::function<const Observation&()>& usual, std::int64_t own) const;

  /// The positions of the rows that a call changes.
  [[nodiscard]] PositionsOf positions() const;

 private:
  void run_many_rows(ScenarioContext& x) const;

  std::string records_;
  std::int64_t mode_;
};

}  // namespace dsv4
