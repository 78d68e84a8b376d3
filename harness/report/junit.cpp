#include "harness/report/junit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <pugixml.hpp>
#include <sstream>
#include <string_view>
#include <vector>

#include "harness/core/text.h"
#include "harness/report/describe_case.h"
#include "harness/report/summary.h"

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
struct Counts {
  std::size_t tests = 0;
  std::size_t failures = 0;
  std::size_t errors = 0;
  std::size_t skipped = 0;
  double seconds = 0;

  Counts() = default;
  explicit Counts(const Tally& t)
      : tests(t.cases()),
        failures(t.of(Verdict::kFailed) + t.of(Verdict::kMistrusted)),
        errors(t.of(Verdict::kError)),
        skipped(t.of(Verdict::kKnown) + t.of(Verdict::kUnsupported) + t.of(Verdict::kSkipped)),
        seconds(t.seconds) {}

  void add(const Counts& other) {
    tests += other.tests;
    failures += other.failures;
    errors += other.errors;
    skipped += other.skipped;
    seconds += other.seconds;
  }
};

void set_counts(pugi::xml_node node, const Counts& c) {
  set(node, "tests", c.tests);
  set(node, "failures", c.failures);
  set(node, "errors", c.errors);
  set_time(node, c.seconds);
}

pugi::xml_node add_suite(pugi::xml_node suites, const std::string& name, const Counts& counts) {
  pugi::xml_node suite = suites.append_child("testsuite");
  set(suite, "name", name);
  set_counts(suite, counts);
  // Only a suite has this attribute. The schema that Jenkins validates with does not allow it for the whole report.
  set(suite, "skipped", counts.skipped);
  return suite;
}

/// Adds one suite for each op of a set.
void add_suites(pugi::xml_node suites, const SetRun& run) {
  std::map<std::string, pugi::xml_node> suite_of;
  for (const auto& [op, tally] : run.by_op()) {
    suite_of[op] = add_suite(suites, fmt::format("{} {} against {}", op, run.set_label, run.against), Counts(tally));
  }
  for (const CaseResult& r : run.results) add_case(suite_of.at(r.op()), run, r);
}

/// A test that is not a case: it says something about the whole run.
struct RunTest {
  std::string name;
  const char* outcome;  ///< "error", "failure" or "skipped"
  std::string message;
};

/// Without these tests, a run that ended early would look like a complete run, and a run that could not try something
/// would look as if it had tried it.
std::vector<RunTest> run_tests(const RunReport& report) {
  std::vector<RunTest> tests;
  if (report.unfinished || !report.failure.empty() || (report.signal != 0 && !report.open_ended))
    tests.push_back({"run completed", "error", verdict_line(report)});
  for (const SetRun& run : report.runs) {
    for (const auto& [kind, names] : run.not_covered) {
      const bool required = report.require_all && is_without_golden(kind);
      tests.push_back({fmt::format("{} against {}: {}", run.set_label, run.against, kind),
                       required ? "failure" : "skipped", fmt::format("not covered: {}", fmt::join(names, ", "))});
    }
  }
  return tests;
}

/// Returns what the tests count as.
Counts counts_of(const std::vector<RunTest>& tests) {
  Counts counts;
  for (const RunTest& test : tests) {
    const std::string_view outcome = test.outcome;
    ++counts.tests;
    ++(outcome == "error" ? counts.errors : outcome == "failure" ? counts.failures : counts.skipped);
  }
  return counts;
}

void add_run_tests(pugi::xml_node suites, const std::vector<RunTest>& tests) {
  if (tests.empty()) return;
  pugi::xml_node suite = add_suite(suites, "dsv4diff", counts_of(tests));
  for (const RunTest& test : tests) {
    pugi::xml_node node = suite.append_child("testcase");
    set(node, "classname", "dsv4diff");
    set(node, "name", test.name);
    pugi::xml_node outcome = node.append_child(test.outcome);
    set(outcome, "type", "incomplete");
    set(outcome, "message", one_line(test.message));
  }
}

}  // namespace

std::string junit_report(const RunReport& report) {
  pugi::xml_document document;
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  set(declaration, "version", "1.0");
  set(declaration, "encoding", "UTF-8");
  pugi::xml_node suites = document.append_child("testsuites");
  set(suites, "name", "dsv4diff " + report.command);
  const std::vector<RunTest> more = run_tests(report);
  Counts all(report.total());
  all.add(counts_of(more));
  set_counts(suites, all);
  for (const SetRun& run : report.runs) add_suites(suites, run);
  add_run_tests(suites, more);
  std::ostringstream text;
  document.save(text, "  ", pugi::format_indent, pugi::encoding_utf8);
  return text.str();
}

}  // namespace dsv4
