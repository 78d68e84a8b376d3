/// Tensors of the C4 compression: rows of tokens, bias, state; and how what a call wrote is observed and judged. Shared
/// by its two ops, which differ in the plans that say what a call writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/op/contracts.h"
#include "harness/op/op.h"
#include "harness/ops/compress/plan_model.h"

namespace dsv4 {

/// Positions per page of the cache. The state has a ring of rows for each page.
inline constexpr std::int64_t kC4CachePage = 256;

/// Names of the data a case can be filled with:
///   gauss    kv, scores and bias roughly normal, full mantissas
///   equal    equal scores, kv small integers: means are exact
///   steps    scores and bias in steps of 16, kv small integers: one entry takes all, or equal ones share
///   large    scores of some thousands, both signs
///   cleared  some rows reset (kv 0, score minus infinity), as a pool resets them
///   wide     kv of all magnitudes, so that a sum in the wrong precision shows
///   nan      NaN in some columns of kv or scores
const std::vector<std::string>& c4_fills();

/// The tokens of a case: the row of a token follows from the case, the request id and the position alone.
class C4Tokens {
 public:
  C4Tokens(const Params& p, std::uint64_t seed);

  [[nodiscard]] std::int64_t head_dim() const { return head_dim_; }
  /// f32 [8, H].
  [[nodiscard]] HostTensor ape() const;
  /// f32 [tokens, 4H]: rows of a batch, in ragged order. Request b's tokens at and after position `rejected_from[b]`,
  /// if given, are drafts that will be rejected: other tokens than those that come there in the end.
  [[nodiscard]] HostTensor input(const Batch& batch, const std::vector<std::int64_t>& rejected_from = {}) const;
  /// f32 [rows / 4, 4, 4H]: NaN everywhere.
  [[nodiscard]] HostTensor unwritten_state(std::int64_t rows) const;
  /// Puts the live rows of the requests' first `lengths[b]` tokens into a state.
  void put_live(HostTensor& state, const std::vector<std::int64_t>& request_ids,
                const std::vector<std::int64_t>& lengths, const RowOf& row) const;

 private:
  void fill_row(float* row, std::int64_t request_id, std::int64_t position) const;

  std::string fill_;
  std::int64_t head_dim_;
  std::uint64_t seed_;
};

/// A case's batch, the maps of its cache and the data of its tokens.
struct C4Case {
  explicit C4Case(const Case& c);

  Batch batch;
  CacheMaps maps;
  C4Tokens tokens;

  [[nodiscard]] RowOf row() const;
  /// The state in which each request's first `lengths[b]` tokens left their live rows. The rest is NaN.
  [[nodiscard]] HostTensor state_after(const std::vector<std::int64_t>& lengths) const;
};

/// Rows `rows` of f32 [n, ...] flattened to [n, width], as f32 [rows.size(), width].
HostTensor gather_rows(const HostTensor& tensor, const std::vector<std::int64_t>& rows, std::int64_t width);

/// What a call writes, as its plans say.
struct C4Written {
  std::vector<std::int64_t> entries;  ///< rows of kv_output, H wide, in the order in which they are compared
  std::vector<std::int64_t> kept;     ///< rows of kv_buffer, 4H wide, likewise
};

/// Allows the call to write that and nothing else.
void set_c4_footprints(Call& call, const C4Written& written);

/// "kv_output", the entries, and "kept_rows".
Observation observe_c4(const CallResult& result, const C4Written& written);

/// Entries within the error bound that the reference computes beside each value; kept rows to the bit.
Tolerances c4_tolerances(const Call& call, const C4Written& written, Caller& reference);

/// Rows of the state or the input that an entry reads: the halves that concern it, kv and scores, of the window's
/// eight.
inline constexpr double kC4EntryRows = 8 * 0.5;
/// An entry is a quarter as wide as a row.
inline constexpr double kC4EntryWidth = 0.25;
/// For each column of an entry: the window's eight scores are biased, compared, exponentiated and summed, and its eight
/// kv weighted and summed.
inline constexpr double kC4ColumnFlops = 8 * 6;

/// The reference's bound for `call`: its kv_output, replaced by what the auxiliary function "bound" wrote.
HostTensor bound_of(const Call& call, Caller& reference);

/// Why a case of these parameters needs more memory than a sweep should take; nullopt if it does not.
std::optional<std::string> c4_too_large(const Params& p);

/// Why the compression's outputs may differ from the reference by that bound.
extern const char* const kC4BoundReason;

/// Spreads out the pages of the state, kv_buffer. Returns the far page of each; the call's plans are to name these.
std::vector<std::int64_t> spread_state(Call& call);
/// A page, and a row, of the state as a plan names it, among these. What names none (-1) stays.
std::int32_t far_state_page(const std::vector<std::int64_t>& far, std::int32_t page);
std::int32_t far_state_row(const std::vector<std::int64_t>& far, std::int32_t row);

/// The parameters that both ops begin with: head_dim, ring, fill.
Space c4_space();

/// The `compile` parameters that select an entry.
Params c4_compile(const Params& p);

/// "contract:state_page_8": a state of the older kernel's form.
void add_c4_state_contract(Contracts& contracts);

}  // namespace dsv4
