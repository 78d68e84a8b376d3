/// The trial of one case. The call of the case is made on two sets, the outputs are compared, and the case gets a
/// verdict. A trial runs in a worker process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/op/op.h"
#include "harness/run/known_faults.h"
#include "harness/run/scenario_context.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// The sets of a trial, and their names in results.
struct Sides {
  Caller& subject;    ///< the set under test
  Caller& against;    ///< the other side; may be the reference
  Caller& reference;  ///< computes bounds and intervals
  SideNames names{subject.name(), subject.name(), against.name()};
  /// True (--exact): an output whose bits differ from those of the other kernel set or of the golden is wrong, even if
  /// its tolerance allows the difference. A comparison with the reference is never exact.
  bool exact = false;
  /// True (--errors): the outputs of the op's own call get statistics of their errors, if `against` is the reference.
  bool errors = false;
  CompareHook on_compare = {};  ///< if set, called with what is compared
};

/// The response of the set under test to the op's own call.
struct Response {
  CallResult result;
  Observation observation;  ///< empty if the call was refused
  bool readable = true;     ///< false if the op cannot read the result; `observation` then says why
};

/// Tries one case.
///
/// If code throws an exception, either a kernel or dsv4diff is the cause:
///   - The op's code (make, tolerances, facts, ...) must not throw, whatever a kernel wrote. If it throws, the trial
///     throws InternalError.
///   - The code that reads results of the set under test may throw, because a kernel may return another form than the
///     op promises. Then the trial checks whether the same code can read the reference's results. If it can, the kernel
///     is the cause, and the case gets the finding "unreadable". If it cannot, the trial throws InternalError.
///
/// There are two kinds of code that reads results:
///   - Op::observe reads the results of both sides for the op's own call. The check reads the reference's result of
///     this call.
///   - The code of a scenario makes calls and reads their results. The check runs the scenario once more, with the
///     reference in the place of the set under test.
///
/// The call, the subject's response, the known faults and the tolerances are made once, when they are first needed.
/// Recording and verifying goldens are trials with other steps.
class Trial {
 public:
  /// `sides` and `policy` must outlive the trial.
  Trial(CheckedCase c, const Sides& sides, const Policy& policy);
  virtual ~Trial() = default;
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  /// Tries the case; call it only once. Whatever the kernels do becomes a verdict. A missing op, too little memory for
  /// the call and a dead GPU context also become verdicts. Throws SetError if a set cannot be used, InternalError if
  /// dsv4diff itself is wrong, and std::bad_alloc if memory runs out.
  CaseResult run();

 protected:
  /// The steps of the trial. They fill `result_`. This version compares the op's own call with the other side, or runs
  /// the scenario.
  virtual void steps();

  [[nodiscard]] const Case& tried_case() const { return case_; }
  [[nodiscard]] const Op& op() const { return op_; }
  [[nodiscard]] const Sides& sides() const { return sides_; }
  [[nodiscard]] const Policy& policy() const { return policy_; }
  [[nodiscard]] bool exact() const { return sides_.exact; }
  [[nodiscard]] CaseResult& result() { return result_; }

  /// The op's own call.
  const Call& call();
  /// The subject's response to the op's own call.
  const Response& response();
  /// The known faults of both sides that apply to the case.
  const KnownMatches& faults();
  /// The elements of the op's own call that known faults excuse.
  std::vector<Excuse> excuses();
  /// Tolerances for the response's outputs. Call this only if the response is readable.
  const Tolerances& tolerances();

  /// Compares the response with the response of the other side. Sets the outputs, the findings and the verdict of the
  /// result. The verdict is `error` if the other side refuses the call or if the op cannot read its result. It is also
  /// `error` if the reference is the other side and its own result has a finding.
  void compare_sides();
  /// Sets the verdict of the case and its reason.
  void end(Verdict verdict, const std::string& reason);
  /// Names the case's known fault in the result. If a known fault covers this check, makes the verdict `known`.
  void apply_faults(const std::string& check);

 private:
  void run_scenario();
  /// Runs the scenario with the reference in the place of the set under test. Returns false if the scenario's code
  /// throws. SetError and std::bad_alloc are not caught.
  bool runs_on_reference(const Scenario& scenario);
  /// Throws InternalError if the op cannot read the reference's result of the op's own call.
  void require_readable_reference();
  /// Sets the verdict from the comparisons and the findings. `own_compared`: number of elements that the scenario's own
  /// checks compared.
  void conclude(std::int64_t own_compared);
  /// The facts of the op's own call, to which known faults refer.
  Facts facts();

  const CheckedCase case_;
  const Op& op_;
  const Sides& sides_;
  const Policy& policy_;
  CaseResult result_;
  std::optional<Call> call_;
  std::optional<Response> response_;
  std::optional<KnownMatches> faults_;
  std::optional<Tolerances> tolerances_;
};

/// Makes the trial of a case and runs it.
CaseResult try_case(const CheckedCase& c, const Sides& sides, const Policy& policy = {});

}  // namespace dsv4
