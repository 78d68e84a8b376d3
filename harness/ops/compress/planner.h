/// What planners have in common: parameters, the batch of a call, checks of the plans, contracts and relations.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/op/contracts.h"
#include "harness/op/op.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {

/// A CompressPlan numbers tokens by 16 bits.
inline constexpr std::int64_t kMostPlanTokens = 65535;

// Parameters and points.

ParamSpec ratio_param();
ParamSpec graph_param();
/// prefill_batch() with columns that meet the edges of both ratios.
std::vector<ParamSpec> edge_batch();
/// `slack`: rows of the plan beyond the batch's tokens.
ParamSpec slack_param(std::int64_t most, std::string meaning);

/// Every word of the parameter `mix`, and both values of `lens`.
inline const std::vector<std::string> kMixes{"uniform", "last_differs", "mixed", "some_empty"};
inline const std::vector<std::string> kLens{"host", "device"};
/// Lengths around 2^16, around 2^17 and up to 2^20, the longest that a case may have.
inline const std::vector<std::string> kLongLens{"65535", "65536", "131072", "1048573", "1048576"};

/// Why a plan cannot number the tokens of a prefill batch, and the rows beyond them; nullopt if it can.
std::optional<std::string> reject_plan_tokens(const Params& p);
/// Why lengths on the host cannot be those of a prefill batch; nullopt if they can, or lie on the device.
std::optional<std::string> reject_host_lens(const Params& p);
/// True for a prefill batch of one token, whose plans may be empty.
bool is_tiny_batch(const Params& p);

// What a planner's call says.

/// The batch. Requests of a decode call bring one token each; those of a V1 call are numbered 0, 1, 2, ...
Batch batch_of(const Call& call);
inline bool lens_on_device(const Call& call) { return call.arg("seq_lens").place == Place::kDevice; }
/// Whether the plans of a prefill call have a fixed size.
inline bool is_padded(const Call& call) { return lens_on_device(call) || flag_of(call, "use_cuda_graph"); }

/// The canonical outputs of a V2 prefill planner's call (plan_rows.h).
Observation observe_prefill_plan(const Call& call, const CallResult& result);

/// A V2 planner. Its arguments say whether it addresses the sliding-window cache, or a ring of rows of each request.
class Planner : public Op {
 public:
  using Op::Op;
  [[nodiscard]] std::optional<std::string> too_large(const Params& p) const override { return too_many_slots(p); }
  /// A relation about memory that the function allocates, and contracts on ratios, rings and pages.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

class DecodePlanner : public Planner {
 public:
  using Planner::Planner;
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
};

class PrefillPlanner : public Planner {
 public:
  using Planner::Planner;
  /// Makes the number of rows and the scratch fit the counts of new tokens.
  void fit(Call& call) const override;
  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return is_tiny_batch(c.params); }
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_prefill_plan(call, result);
  }
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// Those of Planner, and contracts on the number of rows, the scratch and the counts of new tokens. The op's first
  /// smoke point has its lengths on the host.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

// Scenarios that planners share.

/// Contracts on counts of new tokens that make no batch. The points have lengths on the host.
void add_extend_contracts(Contracts& contracts);

/// The relation of an op whose parameter `lens` says where its lengths lie: both values give the same plan, as sets.
Scenario host_equals_device(Points points);

/// Relations and contracts of plan_prefill, which is `op`, and sequences of steps whose plans a slot map checks.
std::vector<Scenario> plan_prefill_relations(const Op& op);
std::vector<Scenario> plan_prefill_sequences(const Op& op);

}  // namespace dsv4
