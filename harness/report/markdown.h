/// A summary for a pull request's page, in GitHub's Markdown.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

/// The verdict, a table for each set, and the differing cases in a folded section. Long lists are cut, because job
/// pages take at most a megabyte.
std::string markdown_report(const RunReport& report);

/// Escapes text so that Markdown and HTML show it unchanged.
std::string markdown_escape(std::string_view text);

}  // namespace dsv4
