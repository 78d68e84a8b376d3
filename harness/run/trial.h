/// The trial of one case: its call is made on two sets, the outputs are compared, and the case gets a verdict. Runs in
/// a worker process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/op/op.h"
#include "harness/run/known_faults.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// The sets of a trial, and their names in results.
struct Sides {
  Caller& subject;    ///< the set under test
  Caller& against;    ///< the other side; may be the reference
  Caller& reference;  ///< computes bounds and intervals
  SideNames names{subject.name(), subject.name(), against.name()};
};

/// The response of the set under test to the op's own call.
struct Response {
  CallResult result;
  Observation observation;  ///< empty if the call was refused
  bool readable = true;     ///< false if the op cannot read the result; `observation` then says why
};

/// Runs the trial of one case. The call, the subject's response, the known fault and the tolerances are made once, when
/// they are first needed. Recording and verifying goldens are trials with other steps.
class Trial {
 public:
  /// `sides` and `policy` must outlive the trial.
  Trial(CheckedCase c, const Sides& sides, const Policy& policy);
  virtual ~Trial() = default;
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  /// Runs the trial; call it only once. Whatever the kernels do becomes a verdict. So do a missing op, too little
  /// memory for the call, and a dead GPU context. Throws Error if the harness cannot go on, and std::bad_alloc.
  CaseResult run();

 protected:
  /// The steps of the trial, which fill `result_`. Here: compares the op's own call with the other side, or runs
  /// the scenario.
  virtual void steps();

  [[nodiscard]] const Case& tried_case() const { return case_; }
  [[nodiscard]] const Policy& policy() const { return policy_; }
  [[nodiscard]] CaseResult& result() { return result_; }

  /// The op's own call.
  const Call& call();
  /// The subject's response to the op's own call.
  const Response& response();
  /// The known fault that applies to the case; null if there is none.
  const KnownFault* fault();
  /// Tolerances for the response's outputs. Call this only if the response is readable.
  const Tolerances& tolerances();

  /// Compares the response with the other side's, and sets outputs, findings and verdict. If the other side refuses the
  /// call, or the reference breaks its own checks, the verdict is `error`.
  void judge();
  /// Sets the verdict of the case and its reason.
  void end(Verdict verdict, const std::string& reason);

 private:
  void run_scenario();
  /// Sets the verdict from the comparisons and findings. `own_compared`: elements that a scenario's own
  /// checks compared.
  void conclude(std::int64_t own_compared);
  void excuse(const std::string& check);

  const CheckedCase case_;
  const Op& op_;
  const Sides& sides_;
  const Policy& policy_;
  CaseResult result_;
  std::optional<Call> call_;
  std::optional<Response> response_;
  std::optional<const KnownFault*> fault_;
  std::optional<Tolerances> tolerances_;
};

/// Runs the trial of a case against the other side.
CaseResult try_case(const CheckedCase& c, const Sides& sides, const Policy& policy = {});

}  // namespace dsv4
