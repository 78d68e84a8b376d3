/// Makes a summary for the page of a pull request, in GitHub's Markdown.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

/// Returns the verdict, a table for each set, and the differing cases in a section that is folded at first. Long lists
/// are cut, because the page of a CI job takes at most a megabyte.
std::string markdown_report(const RunReport& report);

/// Escapes text so that Markdown and HTML show it unchanged.
std::string markdown_escape(std::string_view text);

}  // namespace dsv4
