/// Tells a person which cases of a sweep differ: one case of each kind of failure, and what its cases have in common.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/report/layout.h"
#include "harness/verdict/result.h"

namespace dsv4 {

/// Rows of a terminal that a report should not exceed, if nobody asked for more.
constexpr std::size_t kScreenRows = 40;

struct DifferingOptions {
  /// Number of kinds of failure that are told in full. Without a number, as many as fit into `rows`, at least one.
  std::optional<std::size_t> shown = {};
  std::size_t rows = kScreenRows;
  Layout layout = {};
};

/// Describes the differing cases. For each kind of failure that is told in full: the simplest case, its differences,
/// how many cases differ alike, what they have in common that the passing cases have not, and the command that tries
/// the simplest case again. A few further kinds have one line each, and the rest is counted. Returns "" if no
/// case differs.
std::string differing_cases(const std::vector<CaseResult>& results, const DifferingOptions& options);

}  // namespace dsv4
