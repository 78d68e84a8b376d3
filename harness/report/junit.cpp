#include "harness/report/junit.h"

#include <fmt/format.h>

#include <map>

#include "harness/core/text.h"
#include "harness/report/terminal.h"

namespace dsv4 {
namespace {

std::string test_case(const SetRun& run, const CaseResult& r) {
  const std::string head =
      fmt::format(R"(    <testcase classname="{}" name="{}" time="{:.3f}")",
                  xml_escape("dsv4diff." + run.set_label + "." + r.op()), xml_escape(r.id), r.seconds);
  const std::string message = xml_escape(one_line(r.reason));
  std::string body;
  switch (r.verdict) {
    case Verdict::kPassed:
      return head + "/>\n";
    case Verdict::kFailed:
    case Verdict::kMistrusted:
      body = fmt::format(R"(<failure type="{}" message="{}">{}</failure>)", name_of(r.verdict), message,
                         xml_escape(describe_case(r)));
      break;
    case Verdict::kError:
      body = fmt::format(R"(<error type="error" message="{}">{}</error>)", message, xml_escape(describe_case(r)));
      break;
    case Verdict::kKnown:
      body = fmt::format(R"(<skipped message="known fault {}: {}"/>)", xml_escape(one_line(r.known_fault)), message);
      break;
    case Verdict::kUnsupported:
    case Verdict::kSkipped:
      body = fmt::format(R"(<skipped message="{}: {}"/>)", name_of(r.verdict), message);
      break;
  }
  return head + ">\n      " + body + "\n    </testcase>\n";
}

/// The counts that both a suite and the whole report have.
std::string counts(const Tally& t) {
  return fmt::format(R"(tests="{}" failures="{}" errors="{}" time="{:.3f}")", t.cases(),
                     t.of(Verdict::kFailed) + t.of(Verdict::kMistrusted), t.of(Verdict::kError), t.seconds);
}

/// Only a suite has this attribute. The schema that Jenkins validates with does not allow it for the whole report.
std::string skipped(const Tally& t) {
  return fmt::format(R"(skipped="{}")", t.of(Verdict::kKnown) + t.of(Verdict::kUnsupported) + t.of(Verdict::kSkipped));
}

}  // namespace

std::string xml_escape(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\n':
        out += "&#10;";  // an attribute would lose a plain line end
        break;
      case '\t':
        out += "&#9;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string junit_report(const RunReport& report) {
  std::string suites;
  for (const SetRun& run : report.runs) {
    std::map<std::string, std::string> cases;
    for (const CaseResult& r : run.results) cases[r.op()] += test_case(run, r);
    for (const auto& [op, tally] : run.by_op()) {
      suites += fmt::format("  <testsuite name=\"{}\" {} {}>\n{}  </testsuite>\n",
                            xml_escape(fmt::format("{} {} against {}", op, run.set_label, run.against)), counts(tally),
                            skipped(tally), cases.at(op));
    }
  }
  if (!report.failure.empty() || report.signal != 0) {
    // Otherwise a run that ended early would look like a complete one.
    suites += fmt::format(
        "  <testsuite name=\"dsv4diff\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">\n"
        "    <testcase classname=\"dsv4diff\" name=\"run completed\">\n"
        "      <error type=\"incomplete\" message=\"{}\"/>\n    </testcase>\n  </testsuite>\n",
        xml_escape(one_line(verdict_line(report))));
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"dsv4diff {}\" {}>\n{}</testsuites>\n",
      xml_escape(report.command), counts(report.total()), suites);
}

}  // namespace dsv4
