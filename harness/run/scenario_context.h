/// The context of a scenario in a trial. It calls the set under test. It collects findings, and reports on outputs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/compare/excuse.h"
#include "harness/op/op.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Gets the two sides' outputs of a comparison, and the tolerances. `where` names the step of a scenario; "" for the
/// op's own call.
using CompareHook = std::function<void(const std::string& where, const Observation& got, const Observation& want,
                                       const Tolerances& tolerances)>;

/// Adds findings, and reports on outputs, to a result. Does not set the verdict. If several steps have an output of the
/// same name, the reports on this output are joined.
class TrialContext final : public ScenarioContext {
 public:
  /// The elements of the outputs of a call that known faults excuse.
  using ExcusesOf = std::function<std::vector<Excuse>(const Call&)>;

  /// `excuses_of` may be empty: then no element is excused.
  TrialContext(const Op& op, const Case& c, Caller& subject, Caller& reference, CaseResult& result,
               ExcusesOf excuses_of = {})
      : ScenarioContext(op, c, subject, reference), result_(result), excuses_of_(std::move(excuses_of)) {}

  CompareHook on_compare;  ///< if set, called before each comparison

  void expect_agree(const std::string& where, const Observation& got, const Observation& want,
                    const Tolerances& tolerances) override;
  void expect_refused(const std::string& where, const Call& call, const std::string& argument,
                      const std::string& why) override;
  void expect_clean(const std::string& where, const Call& call) override;
  void about(const Call& call) override;
  void fail(const std::string& check, const std::string& detail) override;
  void compared(std::int64_t elements) override { compared_ += elements; }
  void tell(const std::string& sentence) override { result_.told.push_back(sentence); }
  /// Throws Refused if the call is refused.
  CallResult call(const std::string& where, const Call& call, const CallOptions& options) override;

  /// Number of elements that the scenario's own checks compared.
  [[nodiscard]] std::int64_t own_compared() const { return compared_; }

 private:
  void add_findings(const std::string& where, const std::vector<Finding>& findings);
  void add_report(const std::string& where, OutputReport report);

  CaseResult& result_;
  ExcusesOf excuses_of_;
  /// What the next comparison is about. Kept only if elements may be excused, because a call may be large.
  std::optional<Call> call_;
  std::int64_t compared_ = 0;
};

}  // namespace dsv4
