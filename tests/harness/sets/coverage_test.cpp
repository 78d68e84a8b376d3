#include "harness/sets/coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dsv4 {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

UncoveredSource uncovered(const std::string& path, bool changed) {
  UncoveredSource source{{path, std::string(64, '0'), {}}};
  source.changed = changed;
  return source;
}

Manifest some_set() {
  Manifest m;
  m.name = "mine";
  m.provenance = {{"package", "sglang"}, {"release", "0.5.13"}};
  return m;
}

TEST(Coverage, ASetWithoutUncoveredSourcesSaysNothing) {
  EXPECT_EQ(coverage_summary(some_set()), "");
  EXPECT_THAT(coverage_warnings(some_set()), IsEmpty());
}

TEST(Coverage, TheSummaryNamesAllFilesAndTheWarningsThoseThatChanged) {
  Manifest m = some_set();
  m.uncovered = {uncovered("csrc/a.cuh", false), uncovered("csrc/b.cuh", true), uncovered("csrc/c.cuh", true)};
  EXPECT_EQ(coverage_summary(m),
            "mine: no module includes 3 of upstream's source files: csrc/a.cuh, csrc/b.cuh, csrc/c.cuh");
  EXPECT_THAT(coverage_warnings(m),
              ElementsAre("WARNING: csrc/b.cuh differs from sglang 0.5.13 and NO MODULE COVERS IT",
                          "WARNING: csrc/c.cuh differs from sglang 0.5.13 and NO MODULE COVERS IT"));
}

TEST(Coverage, SourcesWithoutARuleAreListedWithTheirFunctions) {
  Manifest m = some_set();
  m.uncovered = {uncovered("csrc/a.cuh", false), uncovered("csrc/b.cuh", true), uncovered("include/c.cuh", false)};
  EXPECT_THAT(unmapped_functions(m), IsEmpty());
  m.uncovered[0].unmapped = m.uncovered[2].unmapped = true;
  m.uncovered[0].functions = {"AKernel::run", "plan_a"};
  m.uncalled = {{"csrc/d.cuh", {"DKernel::run", "DKernel::plan"}}};
  EXPECT_THAT(unmapped_functions(m),
              ElementsAre("unmapped: csrc/a.cuh: AKernel::run, plan_a", "unmapped: include/c.cuh: exports no function",
                          "unmapped: csrc/d.cuh: DKernel::run, DKernel::plan"));
}

TEST(Coverage, SourcesOfNoReleaseAreNamedAsSuch) {
  Manifest m = some_set();
  m.provenance["release"] = "";
  m.uncovered = {uncovered("csrc/a.cuh", true)};
  EXPECT_THAT(coverage_warnings(m),
              ElementsAre("WARNING: csrc/a.cuh is of no known release of sglang and NO MODULE COVERS IT"));
}

TEST(Coverage, NamesFromAManifestStayOnTheirLine) {
  Manifest m = some_set();
  m.name = "two\nlines";
  m.uncovered = {uncovered("a\nb.cuh", true)};
  m.uncovered[0].unmapped = true;
  m.uncovered[0].functions = {"f\ng"};
  EXPECT_EQ(coverage_summary(m).find('\n'), std::string::npos);
  EXPECT_EQ(coverage_warnings(m).at(0).find('\n'), std::string::npos);
  EXPECT_EQ(unmapped_functions(m).at(0).find('\n'), std::string::npos);
}

}  // namespace
}  // namespace dsv4
