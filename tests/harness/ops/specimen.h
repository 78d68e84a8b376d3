/// Helpers for the tests of op declarations. A test changes the reference's result as a wrong kernel would change it.
/// The checks of the op must find the change.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "harness/compare/compare.h"
#include "harness/op/op.h"
#include "harness/sets/set.h"
#include "tests/build_folder.h"

namespace dsv4::testing {

inline Caller& reference_set() {
  static const std::unique_ptr<Caller> kSet = open_set(find_set(build_folder() + "/sets/reference"));
  return *kSet;
}

/// A case of an op, its call, and the reference's result of this call.
struct Specimen {
  Case c;
  const Op& op;
  Call call;
  CallResult result;

  explicit Specimen(const std::string& id)
      : c(checked_case(id)), op(*find_op(c.op)), call(op.make(c)), result(reference_set().call(call)) {
    if (result.refusal) ADD_FAILURE() << id << ": the reference refused: " << *result.refusal;
  }

  [[nodiscard]] HostTensor& tensor(const std::string& name) {
    for (Arg& arg : result.args) {
      if (arg.name == name) return arg.tensor();
    }
    throw std::out_of_range(name);
  }

  /// Returns the first difference of `got` from the reference: the check of a finding, or the name of an output.
  /// Returns "" if there is no difference.
  [[nodiscard]] std::string failure(const CallResult& got) const {
    const Observation observed = op.observe(c, call, got);
    if (!observed.findings.empty()) return observed.findings.front().check;
    const Observation want = op.observe(c, call, result);
    const Tolerances tolerances = op.tolerances(c, call, got, observed, reference_set());
    for (std::size_t i = 0; i < observed.outputs.size(); ++i) {
      const auto tolerance = tolerances.find(observed.outputs[i].name);
      const OutputReport report = compare_output(observed.outputs[i], want.outputs[i],
                                                 tolerance == tolerances.end() ? Tolerance{} : tolerance->second);
      if (report.violations != 0) return observed.outputs[i].name;
    }
    return "";
  }

  /// Applies `change` to a copy of the specimen, and returns the first difference of the copy's result.
  [[nodiscard]] std::string failure_after(const std::function<void(Specimen&)>& change) const {
    Specimen changed = *this;
    change(changed);
    return failure(changed.result);
  }
};

/// For every case of a tier, expects that its id parses to the same case and that its call can be made. The reference
/// must accept the call without a finding.
inline void expect_tier_is_callable(const std::string& op_name, Tier tier) {
  const Op* op = find_op(op_name);
  ASSERT_NE(op, nullptr);
  for (const Params& p : op->points(tier)) {
    const Case c = checked_case(Case{op_name, "", p, 1}.id());
    EXPECT_EQ(c.params, p) << c.id();
    const Call call = op->make(c);
    const CallResult result = reference_set().call(call);
    EXPECT_FALSE(result.refusal.has_value()) << c.id() << ": " << result.refusal.value_or("");
    EXPECT_TRUE(result.findings.empty()) << c.id() << ": " << result.findings.front().detail;
    EXPECT_TRUE(op->observe(c, call, result).findings.empty()) << c.id();
  }
}

}  // namespace dsv4::testing
