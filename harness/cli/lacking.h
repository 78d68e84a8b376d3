/// The ops that a set lacks.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/op/op.h"
#include "harness/report/run_report.h"
#include "harness/run/select.h"
#include "harness/sets/set.h"

namespace dsv4 {

/// The ops that are left out of a sweep because a side has no such op. If the filter names ops or cases, nothing is
/// left out: what the user asked for and the set lacks is `unsupported`.
class LackingOps {
 public:
  /// `against` is the other side; null if that is not a set.
  LackingOps(const CaseFilter& filter, const Manifest& set, const Manifest* against = nullptr);

  /// The cases or ops that are not left out.
  [[nodiscard]] std::vector<std::string> left(std::vector<std::string> ids) const;
  [[nodiscard]] std::vector<const Op*> left(std::vector<const Op*> ops) const;
  /// What is left out, for the report.
  [[nodiscard]] NotCovered not_covered() const { return names_; }
  /// The same for a sweep of goldens, which has only the cases of these ops.
  [[nodiscard]] NotCovered not_covered(const std::map<std::string, std::string>& goldens) const;

 private:
  [[nodiscard]] bool lacks(const std::string& op) const;

  NotCovered names_;
};

}  // namespace dsv4
