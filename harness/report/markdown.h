/// A summary for a pull request's page, in GitHub's Markdown.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace dsv4 {

/// Verdict first, a table per set, and the differing cases folded away. Long lists are cut (job pages take a megabyte).
std::string markdown_report(const RunReport& report);

/// Text that Markdown and HTML show as it is.
std::string markdown_escape(std::string_view text);

}  // namespace dsv4
