#include "harness/report/junit.h"

#include <fmt/format.h>

#include <map>
#include <pugixml.hpp>
#include <sstream>
#include <string_view>
#include <utility>

#include "harness/core/text.h"
#include "harness/report/terminal.h"

namespace dsv4 {
namespace {

/// Sets an attribute. printable() writes the characters that XML 1.0 cannot hold as \xNN. pugixml escapes all other
/// characters that need it.
void set(pugi::xml_node node, const char* attribute, std::string_view value) {
  node.append_attribute(attribute).set_value(printable(value).c_str());
}
void set(pugi::xml_node node, const char* attribute, std::size_t value) {
  node.append_attribute(attribute).set_value(static_cast<unsigned long long>(value));
}
void set_time(pugi::xml_node node, double seconds) { set(node, "time", fmt::format("{:.3f}", seconds)); }

/// Adds the outcome of a case that did not pass: a failure, an error or a skip.
void add_outcome(pugi::xml_node node, const CaseResult& r) {
  const auto add = [&](const char* kind, std::string_view type, const std::string& message) {
    pugi::xml_node outcome = node.append_child(kind);
    if (!type.empty()) set(outcome, "type", type);
    set(outcome, "message", message);
    return outcome;
  };
  const auto describe = [&](pugi::xml_node outcome) { outcome.text().set(printable(describe_case(r)).c_str()); };
  const std::string reason = one_line(r.reason);
  switch (r.verdict) {
    case Verdict::kPassed:
      break;
    case Verdict::kFailed:
    case Verdict::kMistrusted:
      describe(add("failure", name_of(r.verdict), reason));
      break;
    case Verdict::kError:
      describe(add("error", "error", reason));
      break;
    case Verdict::kKnown:
      add("skipped", "", fmt::format("known fault {}: {}", one_line(r.known_fault), reason));
      break;
    case Verdict::kUnsupported:
    case Verdict::kSkipped:
      add("skipped", "", fmt::format("{}: {}", name_of(r.verdict), reason));
      break;
  }
}

void add_case(pugi::xml_node suite, const SetRun& run, const CaseResult& r) {
  pugi::xml_node node = suite.append_child("testcase");
  set(node, "classname", "dsv4diff." + run.set_label + "." + r.op());
  set(node, "name", r.id);
  set_time(node, r.seconds);
  add_outcome(node, r);
}

/// The counts that both a suite and the whole report have.
void set_counts(pugi::xml_node node, const Tally& t) {
  set(node, "tests", t.cases());
  set(node, "failures", t.of(Verdict::kFailed) + t.of(Verdict::kMistrusted));
  set(node, "errors", t.of(Verdict::kError));
  set_time(node, t.seconds);
}

/// Adds one suite for each op of a set.
void add_suites(pugi::xml_node suites, const SetRun& run) {
  std::map<std::string, pugi::xml_node> suite_of;
  for (const auto& [op, tally] : run.by_op()) {
    pugi::xml_node suite = suites.append_child("testsuite");
    set(suite, "name", fmt::format("{} {} against {}", op, run.set_label, run.against));
    set_counts(suite, tally);
    // Only a suite has this attribute. The schema that Jenkins validates with does not allow it for the whole report.
    set(suite, "skipped", tally.of(Verdict::kKnown) + tally.of(Verdict::kUnsupported) + tally.of(Verdict::kSkipped));
    suite_of[op] = suite;
  }
  for (const CaseResult& r : run.results) add_case(suite_of.at(r.op()), run, r);
}

/// Adds a suite with one error. Without this suite, a run that ended early would look like a complete run.
void add_incomplete(pugi::xml_node suites, const RunReport& report) {
  pugi::xml_node suite = suites.append_child("testsuite");
  set(suite, "name", "dsv4diff");
  for (const auto& [name, count] : {std::pair{"tests", 1}, {"failures", 0}, {"errors", 1}, {"skipped", 0}}) {
    set(suite, name, static_cast<std::size_t>(count));
  }
  pugi::xml_node node = suite.append_child("testcase");
  set(node, "classname", "dsv4diff");
  set(node, "name", "run completed");
  pugi::xml_node error = node.append_child("error");
  set(error, "type", "incomplete");
  set(error, "message", one_line(verdict_line(report)));
}

}  // namespace

std::string junit_report(const RunReport& report) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  set(declaration, "version", "1.0");
  set(declaration, "encoding", "UTF-8");
  pugi::xml_node suites = document.append_child("testsuites");
  set(suites, "name", "dsv4diff " + report.command);
  set_counts(suites, report.total());
  for (const SetRun& run : report.runs) add_suites(suites, run);
  if (!report.failure.empty() || report.signal != 0) add_incomplete(suites, report);
  std::ostringstream text;
  document.save(text, "  ", pugi::format_indent, pugi::encoding_utf8);
  return text.str();
}

}  // namespace dsv4
