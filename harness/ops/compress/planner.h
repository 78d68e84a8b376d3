/// The common part of planners: parameters, the batch of a call, checks of the plans, contracts and relations.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/op/contracts.h"
#include "harness/op/op.h"
#include "harness/ops/compress/plan_calls.h"
#include "harness/ops/compress/plan_rows.h"

namespace dsv4 {

/// Largest number of tokens in a batch with a V2 plan: a CompressPlan numbers tokens with 16 bits.
inline constexpr std::int64_t kMostPlanTokens = 65535;

// Parameters and points.

ParamSpec ratio_param();
ParamSpec graph_param();
/// prefill_batch() with values near the edges of both ratios.
std::vector<ParamSpec> edge_batch();
/// `slack`: rows of the plan beyond the batch's tokens.
ParamSpec slack_param(std::int64_t most, std::string meaning);

/// All words of the parameter `mix`, and of the parameter `lens`.
inline const std::vector<std::string> kMixes{"uniform", "last_differs", "mixed", "some_empty"};
inline const std::vector<std::string> kLens{"host", "device"};
/// Lengths near 2^16, 2^17 and 2^20. No case may have a request longer than 2^20.
inline const std::vector<std::string> kLongLens{"65535", "65536", "131072", "1048573", "1048576"};

/// The reason why a plan cannot number all tokens and padding rows of a prefill batch; nullopt if it can.
std::optional<std::string> reject_plan_tokens(const Params& p);
/// The reason why lengths on the host cannot have these parameters; nullopt if they can, or are on the device.
std::optional<std::string> reject_host_lens(const Params& p);
/// True for a prefill batch of one token, whose plans may be empty.
bool is_tiny_batch(const Params& p);

// Properties of a planner's call.

/// The batch of a call. In a decode call, each request has one new token. In a V1 call, request ids are 0, 1, 2, ...
Batch batch_of(const Call& call);
inline bool lens_on_device(const Call& call) { return call.arg("seq_lens").place == Place::kDevice; }
/// Whether the plans of a prefill call have a fixed size.
inline bool is_padded(const Call& call) { return lens_on_device(call) || flag_of(call, "use_cuda_graph"); }

/// Name of a variant of the planners: at ratio 128, upstream's planners from 0.5.16 on do not ask the maps where a
/// token is. Each request has a ring of its own (c_plan.cuh of 0.5.16, lines 274-276).
inline constexpr const char* kRequestRing = "c128_request_ring";
/// The state row of a token in that variant.
inline std::int32_t request_ring_row(std::int64_t request_id, std::int64_t position, std::int64_t ring_size) {
  return static_cast<std::int32_t>(request_id * ring_size + position % ring_size);
}

/// The canonical outputs of a V2 prefill planner's call (plan_rows.h).
Observation observe_prefill_plan(const Call& call, const CallResult& result);

/// A V2 planner. Its arguments show where state rows are: in the sliding-window cache, or in a ring of each request.
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
  /// A request uses the map entries of its newest token, and of the token before by the ratio.
  [[nodiscard]] std::vector<std::int64_t> indices_of(const Call& call, const std::string& argument,
                                                     std::int64_t row) const override;
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override;
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
};

class PrefillPlanner : public Planner {
 public:
  using Planner::Planner;
  /// Sets num_q_tokens and the size of the scratch to match the counts of new tokens.
  void fit(Call& call) const override;
  [[nodiscard]] bool trivial_by_design(const Case& c) const override { return is_tiny_batch(c.params); }
  [[nodiscard]] Observation observe(const Case&, const Call& call, const CallResult& result) const override {
    return observe_prefill_plan(call, result);
  }
  [[nodiscard]] Cost cost(const Case&, const Call& call) const override;
  /// The scenarios of Planner, and contracts on the number of rows, the scratch and the counts of new tokens. In the
  /// op's first smoke point, the lengths must be on the host.
  [[nodiscard]] std::vector<Scenario> scenarios() const override;
};

// Scenarios that planners share.

/// Contracts on invalid counts of new tokens. At the contracts' points, the lengths must be on the host.
void add_extend_contracts(Contracts& contracts);

/// Contracts of a prefill planner about indices outside their range: "contract:<argument>_outside" for request ids,
/// maps and lengths (plan_outside.cpp). With lengths on the host, wrong lengths are refused (add_extend_contracts). So
/// here they are on the device, if the op has such calls.
std::vector<Scenario> prefill_plan_outside(const Op& op);

/// The relation of an op with the parameter `lens`: both values give the same plan, except for the order of rows.
Scenario host_equals_device(Points points);

/// Scenarios of plan_prefill (`op`): relations and contracts; sequences of steps whose plans a slot map checks.
std::vector<Scenario> plan_prefill_relations(const Op& op);
std::vector<Scenario> plan_prefill_sequences(const Op& op);

}  // namespace dsv4
