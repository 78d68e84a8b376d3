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

/// Tries one case.
///
/// An exception may be the kernel's fault or dsv4diff's own. The op's code (make, tolerances, facts, ...) must not
/// throw, whatever a kernel wrote; if it does, that is an InternalError. Code that reads results of the set under test
/// may throw because a kernel returned them in another form than the op promises. It is the kernel's fault if the same
/// code can read the reference's results: then the case gets the finding "unreadable". If it cannot, it is an
/// InternalError.
///
///   the op's own call   Op::observe reads the results of both sides, so the reference's result decides
///   a scenario          its code makes calls and reads results as well; if it throws, the scenario is run once more
///                       with the reference in the place of the set under test, and that run decides
///
/// Everything that this takes is looked up or made once, when it is first needed: the call, the
/// subject's response, the known fault, the tolerances. Recording and verifying goldens are trials with other steps.
class Trial {
 public:
  /// `sides` and `policy` must outlive the trial.
  Trial(CheckedCase c, const Sides& sides, const Policy& policy);
  virtual ~Trial() = default;
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;

  /// Tries the case; to be called once. Whatever the kernels do becomes a verdict: also that the set lacks the op, that
  /// the machine lacks the memory, and that the GPU context is dead. Throws SetError if a set cannot be used,
  /// InternalError if dsv4diff itself is at fault, and std::bad_alloc.
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

  /// Compares the response with the answer of the other side: outputs, findings, verdict. A reference that refuses the
  /// call or breaks its own checks is an error of the case.
  void compare_sides();
  /// The case ends with this verdict.
  void end(Verdict verdict, const std::string& reason);

 private:
  void run_scenario();
  /// True if the scenario throws nothing when the reference takes the place of the set under test.
  bool runs_on_reference(const Scenario& scenario);
  /// Throws InternalError if the op cannot read the reference's result of its own call either.
  void require_readable_reference();
  /// Gives the verdict from what was compared and found. `own_compared`: elements that a scenario's own checks
  /// compared.
  void conclude(std::int64_t own_compared);
  /// Makes the verdict `known` if the case's known fault covers this check.
  void apply_fault(const std::string& check);

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
