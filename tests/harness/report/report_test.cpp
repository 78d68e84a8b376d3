#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "harness/core/error.h"
#include "harness/report/junit.h"
#include "harness/report/markdown.h"
#include "harness/report/merge.h"
#include "harness/report/run_report.h"
#include "harness/report/terminal.h"
#include "harness/report/text.h"
#include "harness/report/write.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kHostile = "]]><b onclick=\"x\">&amp;' \x1b[2J\x07 \xff\xfe \xe2\x80\xae | ` \n# head\t\0end";

CaseResult result(const std::string& id, Verdict verdict, const std::string& reason = "") {
  CaseResult r;
  r.id = id;
  r.set = "host";
  r.against = "reference";
  r.verdict = verdict;
  r.reason = reason;
  r.seconds = 0.5;
  return r;
}

CaseResult failed() {
  CaseResult r = result("topk_v1/k=512/seed=1", Verdict::kFailed, "selected: 2 of 512 elements outside the tolerance");
  OutputReport o;
  o.name = "selected";
  o.tolerance = "bound";
  o.reason = "accumulation";
  o.compared = 512;
  o.violations = o.different = 2;
  o.tightness = std::numeric_limits<double>::infinity();
  o.first = ElementDifference{{0, 3}, "1 (0x3f800000)", "2 (0x40000000)", 1.0, 0.5};
  o.worst = ElementDifference{{1, 7}, "nan (0x7fc00000)", "5 (0x40a00000)", std::nan(""), 0.25};
  r.outputs = {o};
  r.findings = {{"guard", "4 bytes after 'scores' changed"}};
  return r;
}

RunReport report(std::vector<CaseResult> results) {
  RunReport r;
  r.command = "run";
  r.version = "1.2.3";
  r.options = {{"tier", "quick"}, {"seed", "1"}};
  r.shards = {Shard{}};
  r.wall_seconds = 3;
  r.jobs = 2;
  SetRun run;
  run.set = run.name = "host";
  run.against = "reference";
  run.device = "simt";
  run.provenance = {{"package", "dsv4diff"}, {"version", "1"}, {"compiler", "g++"}};
  run.results = std::move(results);
  r.runs = {run};
  return r;
}

TEST(ExitStatus, FollowsTheVerdicts) {
  const auto status = [](std::vector<CaseResult> results) { return exit_status(report(std::move(results))); };
  const CaseResult good = result("a/x=1/seed=1", Verdict::kPassed);
  EXPECT_EQ(status({good}), 0);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kKnown)}), 0);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kUnsupported)}), 0);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kFailed)}), 1);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kError)}), 1);
  EXPECT_EQ(status({good, result("a/x=2/seed=1", Verdict::kMistrusted)}), 1);
  EXPECT_EQ(status({}), 2) << "nothing was tested";
  EXPECT_EQ(status({result("a/x=2/seed=1", Verdict::kSkipped)}), 2) << "nothing was tested";
  RunReport r = report({good});
  r.signal = 2;
  EXPECT_EQ(exit_status(r), 130);
  r.open_ended = true;
  EXPECT_EQ(exit_status(r), 0) << "a soak is ended by its user";
  r.failure = "workers cannot be started";
  EXPECT_EQ(exit_status(r), 2);
}

TEST(Terminal, TellsAFailureInFull) {
  const std::string text = terminal_report(report({failed(), result("a/x=1/seed=1", Verdict::kPassed)}));
  EXPECT_THAT(text, AllOf(HasSubstr("failed topk_v1/k=512/seed=1"), HasSubstr("selected: 2 of 512"),
                          HasSubstr("first at [0, 3]: got 1 (0x3f800000), want 2 (0x40000000), error 1, bound 0.5"),
                          HasSubstr("worst at [1, 7]: got nan (0x7fc00000)"), HasSubstr("finding guard: 4 bytes"),
                          HasSubstr("reproduce: dsv4diff run --set host --case topk_v1/k=512/seed=1"),
                          HasSubstr("differs: 2 cases, 1 failed")));
}

TEST(Terminal, KnownFaultsThatDoNotShowAreSaid) {
  CaseResult shown = result("a/x=1/seed=1", Verdict::kKnown);
  CaseResult hidden = result("a/x=2/seed=1", Verdict::kPassed);
  shown.known_fault = "fault-one";
  hidden.known_fault = "fault-two";
  const std::string text = terminal_report(report({shown, hidden}));
  EXPECT_THAT(text, AllOf(HasSubstr("known fault fault-one showed in 1 of 1 cases"),
                          HasSubstr("known fault fault-two did not show in any of the 1 cases"),
                          HasSubstr("agrees: 2 cases, 1 known")));
}

TEST(Terminal, LongListsAreCutAndSaySo) {
  std::vector<CaseResult> many;
  for (int i = 0; i < 30; ++i) many.push_back(result("a/x=" + std::to_string(i) + "/seed=1", Verdict::kError, "boom"));
  const std::string text = terminal_report(report(many), {.shown = 3});
  EXPECT_THAT(text, HasSubstr("... and 27 more differing cases"));
}

TEST(Terminal, ReasonsForNotRunningAreCounted) {
  const std::string text = terminal_report(report({result("a/x=1/seed=1", Verdict::kUnsupported, "no such variant"),
                                                   result("a/x=2/seed=1", Verdict::kUnsupported, "no such variant"),
                                                   result("a/x=3/seed=1", Verdict::kSkipped, "no GPU")}));
  EXPECT_THAT(text, AllOf(HasSubstr("2 unsupported: no such variant\n"), HasSubstr("1 skipped: no GPU\n")));
}

TEST(Text, ControlCharactersAreShownNotSent) {
  EXPECT_EQ(printable("a\x1b[2Jb\x7f\n"), "a\\x1b[2Jb\\x7f\n");
  EXPECT_EQ(one_line("a\nb\tc\r"), "a b c\\x0d");
  EXPECT_EQ(printable("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "a direction override";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
}

TEST(Text, ColumnsAlign) {
  EXPECT_EQ(align({{"op", "n"}, {"ä", "100"}, {"longer", "1"}}, {false, true}),
            "op        n\nä       100\nlonger    1\n");
}

/// A strict check of the part of XML that the reports use: tags nest, attributes are quoted, only known entities.
void expect_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  std::size_t i = 0;
  const auto check_text = [](const std::string& text) {
    for (std::size_t k = 0; k < text.size(); ++k) {
      const auto c = static_cast<unsigned char>(text[k]);
      EXPECT_TRUE(c >= 0x20 || c == '\n' || c == '\t') << "control character " << static_cast<int>(c);
      EXPECT_NE(text[k], '<');
      if (text[k] != '&') continue;
      const std::string entity = text.substr(k, text.find(';', k) - k + 1);
      EXPECT_THAT(entity, ::testing::AnyOf("&amp;", "&lt;", "&gt;", "&quot;", "&#10;", "&#9;")) << "in: " << text;
    }
  };
  while (i < xml.size()) {
    const std::size_t tag = xml.find('<', i);
    check_text(xml.substr(i, tag == std::string::npos ? std::string::npos : tag - i));
    if (tag == std::string::npos) break;
    // A '>' within quotes does not end the tag; the reports escape it anyway.
    const std::size_t end = xml.find('>', tag);
    ASSERT_NE(end, std::string::npos);
    std::string inside = xml.substr(tag + 1, end - tag - 1);
    i = end + 1;
    if (inside.starts_with("?")) continue;
    if (inside.starts_with("/")) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), inside.substr(1));
      open.pop_back();
      continue;
    }
    EXPECT_EQ(std::count(inside.begin(), inside.end(), '"') % 2, 0) << inside;
    std::string outside;
    bool quoted = false;
    for (const char c : inside) {
      if (c == '"') quoted = !quoted;
      if (!quoted) outside += c;
    }
    const bool empty = inside.ends_with("/");
    if (!empty) open.push_back(inside.substr(0, inside.find(' ')));
    check_text(inside);
  }
  EXPECT_TRUE(open.empty());
}

TEST(JUnit, CountsAndKinds) {
  CaseResult known = result("a/x=3/seed=1", Verdict::kKnown, "upstream is wrong");
  known.known_fault = "fault-one";
  const std::string xml = junit_report(report(
      {result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kError, "SIGSEGV"), known,
       result("a/x=4/seed=1", Verdict::kMistrusted, "all zero"), result("b/x=1/seed=1", Verdict::kSkipped, "no GPU")}));
  expect_well_formed(xml);
  EXPECT_THAT(
      xml,
      AllOf(HasSubstr(R"(<testsuite name="a host against reference" tests="4" failures="1" errors="1" skipped="1")"),
            HasSubstr(R"(<testsuite name="b host against reference" tests="1" failures="0" errors="0" skipped="1")"),
            HasSubstr(R"(<skipped message="known fault fault-one: upstream is wrong"/>)"),
            HasSubstr(R"(<error type="error" message="SIGSEGV">)"),
            HasSubstr(R"(<failure type="mistrusted" message="all zero">)")));
}

TEST(JUnit, WellFormedWhateverTheStrings) {
  CaseResult bad = failed();
  bad.reason = bad.findings[0].detail = bad.set = bad.outputs[0].reason = kHostile;
  RunReport r = report({bad});
  r.runs[0].set = kHostile;
  expect_well_formed(junit_report(r));
  std::mt19937 random(7);
  for (int i = 0; i < 300; ++i) {
    std::string noise;
    for (int k = 0; k < 40; ++k) noise += static_cast<char>(random() % 256);
    bad.reason = noise;
    expect_well_formed(junit_report(report({bad})));
  }
}

TEST(JUnit, AnIncompleteRunIsNoCleanRun) {
  RunReport r = report({result("a/x=1/seed=1", Verdict::kPassed)});
  EXPECT_THAT(junit_report(r), Not(HasSubstr("incomplete")));
  r.signal = 15;
  const std::string xml = junit_report(r);
  expect_well_formed(xml);
  EXPECT_THAT(xml, HasSubstr(R"(<error type="incomplete")"));
}

TEST(Markdown, VerdictTableAndFoldedDetails) {
  const std::string text = markdown_report(report({failed(), result("a/x=1/seed=1", Verdict::kPassed)}));
  EXPECT_THAT(text, AllOf(HasSubstr("**differs: 2 cases, 1 failed"), HasSubstr("| `topk_v1` | 1 | 0 | 1 |"),
                          HasSubstr("<details><summary>1 differing cases</summary>"),
                          HasSubstr("reproduce: dsv4diff run --set host")));
}

TEST(Markdown, HostileStringsStayText) {
  CaseResult bad = failed();
  bad.reason = "``` </details><script>alert(1)</script>";
  RunReport r = report({bad, result("a/x=1/seed=1", Verdict::kSkipped, kHostile)});
  const std::string text = markdown_report(r);
  EXPECT_THAT(text, HasSubstr("\n````text\n")) << "the fence must be longer than any in the text";
  EXPECT_THAT(text, Not(HasSubstr("<b onclick")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(Results, RoundTrip) {
  CaseResult inf = failed();
  RunReport r = report({inf, result("a/x=1/seed=1", Verdict::kPassed)});
  r.failure = "x";
  r.signal = 2;
  const std::string text = results_json(r);
  const auto again = nlohmann::json::parse(text).get<RunReport>();
  EXPECT_EQ(results_json(again), text);
  EXPECT_EQ(again.runs[0].results[0].outputs[0].first, inf.outputs[0].first);
  EXPECT_TRUE(std::isnan(again.runs[0].results[0].outputs[0].worst->error));
}

TEST(Results, AnyBytesGiveValidJson) {
  CaseResult bad = failed();
  bad.reason = kHostile;
  const auto j = nlohmann::json::parse(results_json(report({bad})));
  EXPECT_EQ(j.at("counts").at("failed"), 1);
  EXPECT_EQ(j.at("exit_status"), 1);
}

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) / ("report ä " + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void put(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
  std::string refusal(const std::string& name) const {
    try {
      read_results(path(name));
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(Files, WriteReplacesAsAWhole) {
  write_report(path("a.json"), "one");
  write_report(path("a.json"), "two");
  std::ifstream file(path("a.json"));
  std::string text;
  std::getline(file, text);
  EXPECT_EQ(text, "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "no temporary file is left";
}

TEST_F(Files, UnwritableIsAnError) {
  EXPECT_THROW(write_report("/dev/full", "text"), Error);
  EXPECT_THROW(write_report(path("no/such/folder.json"), "text"), Error);
  EXPECT_THROW(check_report_path("--json", path("no/such/folder.json")), Error);
  EXPECT_THROW(check_report_path("--json", folder_.string()), Error);
  EXPECT_THROW(check_report_path("--json", ""), Error);
  check_report_path("--json", path("new.json"));
  check_report_path("--json", "/dev/full");
}

TEST_F(Files, BadResultsAreRefusedWithTheReason) {
  EXPECT_THAT(refusal("absent.json"), HasSubstr("cannot be read"));
  put("empty.json", "");
  EXPECT_THAT(refusal("empty.json"), HasSubstr("no JSON, or cut off"));
  put("foreign.json", "{\"a\": 1}");
  EXPECT_THAT(refusal("foreign.json"), HasSubstr("no results file of dsv4diff"));
  auto j = nlohmann::json(report({failed()}));
  j["schema"] = 99;
  put("newer.json", j.dump());
  EXPECT_THAT(refusal("newer.json"), HasSubstr("its schema is 99"));
  j["schema"] = kResultsSchema;
  j["runs"][0]["results"][0]["verdict"] = "fine";
  put("verdict.json", j.dump());
  EXPECT_THAT(refusal("verdict.json"), HasSubstr("'fine' is no verdict"));
}

TEST_F(Files, DamagedResultsNeverCrash) {
  const std::string good = results_json(report({failed(), result("a/x=1/seed=1", Verdict::kPassed)}));
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::string text = good;
    if (i % 3 == 0) {
      text.resize(random() % text.size());
    } else {
      text[random() % text.size()] = static_cast<char>(random() % 256);
    }
    put("x.json", text);
    try {
      exit_status(read_results(path("x.json")));
    } catch (const Error&) {
    }
  }
}

/// The part of `all` that a shard runs.
RunReport shard_of(const std::vector<CaseResult>& all, std::uint64_t k, std::uint64_t n) {
  std::vector<CaseResult> own;
  for (const CaseResult& r : all) {
    if (Shard{k, n}.contains(r.id)) own.push_back(r);
  }
  RunReport r = report(own);
  r.shards = {Shard{k, n}};
  return r;
}

std::string merge_refusal(const std::vector<NamedReport>& reports) {
  try {
    merge_reports(reports, false);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Merge, ShardsGiveTheWholeAgain) {
  std::vector<CaseResult> all;
  for (int i = 100; i < 150; ++i) all.push_back(result("a/x=" + std::to_string(i) + "/seed=1", Verdict::kPassed));
  all[7].verdict = Verdict::kFailed;
  std::vector<NamedReport> parts;
  for (const int k : {3, 1, 2}) {
    // Through the file's text, as shards really travel.
    const auto part = nlohmann::json::parse(results_json(shard_of(all, k, 3))).get<RunReport>();
    parts.emplace_back("part" + std::to_string(k), part);
  }
  const RunReport merged = merge_reports(parts, false);
  ASSERT_EQ(merged.runs.size(), 1u);
  EXPECT_EQ(merged.runs[0].results, all);
  EXPECT_EQ(exit_status(merged), 1);
  EXPECT_EQ(exit_status(merge_reports({{"m", merged}}, false)), 1) << "a merge can be merged";

  parts.pop_back();
  EXPECT_THAT(merge_refusal(parts), HasSubstr("shard 2/3 is missing"));
  EXPECT_EQ(merge_reports(parts, true).runs[0].results.size() < all.size(), true);
  parts.push_back(parts.front());
  EXPECT_THAT(merge_refusal(parts), HasSubstr("shard 3/3 is in part3 and in part3"));
}

TEST(Merge, PartsMustFit) {
  const std::vector<CaseResult> all{result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kPassed),
                                    result("a/x=3/seed=1", Verdict::kPassed)};
  const RunReport one = shard_of(all, 1, 2);
  RunReport two = shard_of(all, 2, 2);
  two.options["tier"] = "full";
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}), HasSubstr("option 'tier' is 'quick' in the one and 'full'"));
  two = shard_of(all, 2, 2);
  two.version = "9";
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}), HasSubstr("version"));
  two = shard_of(all, 2, 2);
  two.runs[0].provenance["compiler"] = "clang";
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}), HasSubstr("'compiler'"));
  two = shard_of(all, 2, 3);
  EXPECT_NE(merge_refusal({{"a", one}, {"b", two}}), "");
  two = report(all);
  two.shards = {Shard{2, 2}};
  EXPECT_THAT(merge_refusal({{"a", one}, {"b", two}}), HasSubstr("does not belong to its shard"));
}

TEST(Merge, AnInterruptedShardIsNotForgotten) {
  const std::vector<CaseResult> all{result("a/x=1/seed=1", Verdict::kPassed), result("a/x=2/seed=1", Verdict::kPassed)};
  RunReport one = shard_of(all, 1, 2);
  one.signal = 2;
  EXPECT_EQ(exit_status(merge_reports({{"a", one}, {"b", shard_of(all, 2, 2)}}, false)), 130);
  one.signal = 0;
  one.failure = "workers cannot be started";
  EXPECT_EQ(exit_status(merge_reports({{"a", one}, {"b", shard_of(all, 2, 2)}}, false)), 2);
}

TEST(Merge, SweepsOfDifferentSetsJoin) {
  RunReport a = report({result("a/x=1/seed=1", Verdict::kPassed)});
  RunReport b = report({result("a/x=1/seed=1", Verdict::kFailed)});
  b.runs[0].set = "cuda";
  const RunReport merged = merge_reports({{"a", a}, {"b", b}}, false);
  EXPECT_EQ(merged.runs.size(), 2u);
  EXPECT_EQ(exit_status(merged), 1);
}

}  // namespace
}  // namespace dsv4
