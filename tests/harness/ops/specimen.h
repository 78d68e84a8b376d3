/// What an op definition is worth: a result of the reference is changed as a wrong kernel would have it, and must be
/// accused.
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

/// A case of the op and the reference's result of it.
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

  /// The first disagreement of `got` with the reference, "" if there is none: a finding's check, or an output's name.
  [[nodiscard]] std::string accusation(const CallResult& got) const {
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

  /// The same after `change`. The specimen itself stays as it is.
  [[nodiscard]] std::string accusation_after(const std::function<void(Specimen&)>& change) const {
    Specimen changed = *this;
    change(changed);
    return accusation(changed.result);
  }
};

/// Ids of a tier parse back to themselves, their calls can be made, and the reference takes them.
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
