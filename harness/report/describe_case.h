/// Describes one case for a person.
#pragma once

#include <set>
#include <string>

#include "harness/report/layout.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Describes cases of one report. What several cases say alike is said with the first of them: the reason of an error,
/// and why an output has its tolerance.
class CaseTeller {
 public:
  /// Without a layout, lines are not broken and have no colours.
  CaseTeller() = default;
  explicit CaseTeller(const Layout& layout) : layout_(layout) {}

  /// "failed topk_v1/k=512,...".
  [[nodiscard]] std::string heading(const CaseResult& r) const;
  /// The reason, the outputs outside their tolerance, and the findings. Findings that differ only in numbers are told
  /// once and counted. The reason is left out if an output or a finding says the same.
  std::string differences(const CaseResult& r);
  /// The command that tries the case again, after what its second try showed.
  [[nodiscard]] std::string command(const CaseResult& r) const;

 private:
  [[nodiscard]] std::string line(const std::string& text, std::size_t indent) const;
  std::string output(const OutputReport& o);
  [[nodiscard]] std::string findings(const CaseResult& r) const;

  Layout layout_{.width = static_cast<std::size_t>(-1)};
  std::set<std::string> said_;
};

/// Describes one case in several lines: verdict and id, reason, outputs outside their tolerance, findings, known fault,
/// and the command that reproduces it.
std::string describe_case(const CaseResult& result);

}  // namespace dsv4
