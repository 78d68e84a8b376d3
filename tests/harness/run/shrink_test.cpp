#include "harness/run/shrink.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace dsv4 {
namespace {

CaseList numbered(int n) {
  CaseList list;
  for (int i = 1; i <= n; ++i) list.push_back(std::to_string(i));
  return list;
}

bool has(const CaseList& list, const std::string& id) { return std::ranges::find(list, id) != list.end(); }

struct Search {
  Shrunk found;
  int tries = 0;
};

Search search(const CaseList& earlier, const std::function<bool(const CaseList&)>& fails, int most_tries = 1000) {
  Search s;
  s.found = shrink(
      earlier,
      [&](const CaseList& list) {
        EXPECT_FALSE(list.empty());
        ++s.tries;
        return fails(list);
      },
      [&] { return s.tries < most_tries; });
  return s;
}

TEST(Shrink, FindsOneCause) {
  for (const std::string cause : {"1", "37", "99", "100"}) {
    const Search s = search(numbered(100), [&](const CaseList& list) { return has(list, cause); });
    EXPECT_EQ(s.found.cases, CaseList{cause});
    EXPECT_TRUE(s.found.complete);
    EXPECT_LE(s.tries, 30);
  }
}

TEST(Shrink, FindsTwoCausesInTheirOrder) {
  const Search s = search(numbered(100), [](const CaseList& list) { return has(list, "20") && has(list, "71"); });
  EXPECT_EQ(s.found.cases, (CaseList{"20", "71"}));
  EXPECT_TRUE(s.found.complete);
}

TEST(Shrink, FindsANumberOfCalls) {
  const Search s = search(numbered(100), [](const CaseList& list) { return list.size() >= 10; });
  EXPECT_EQ(s.found.cases.size(), 10u);
  EXPECT_TRUE(std::ranges::is_sorted(s.found.cases, {}, [](const std::string& n) { return std::stoi(n); }));
}

TEST(Shrink, NothingIsFoundIfNothingFails) {
  const Search s = search(numbered(100), [](const CaseList&) { return false; });
  EXPECT_TRUE(s.found.cases.empty());
  EXPECT_TRUE(s.found.complete);
  EXPECT_EQ(s.tries, 8) << "1, 2, 4, ..., 64 and 100 cases";
  EXPECT_TRUE(search({}, [](const CaseList&) { return true; }).found.cases.empty());
}

TEST(Shrink, TheLimitEndsTheSearchWithWhatWasFound) {
  const auto fails = [](const CaseList& list) { return list.size() >= 10; };
  const Search late = search(numbered(100), fails, 6);
  EXPECT_FALSE(late.found.complete);
  EXPECT_TRUE(fails(late.found.cases));
  const Search early = search(numbered(100), fails, 2);
  EXPECT_FALSE(early.found.complete);
  EXPECT_TRUE(early.found.cases.empty());
}

}  // namespace
}  // namespace dsv4
