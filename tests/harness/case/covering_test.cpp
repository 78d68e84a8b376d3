#include "harness/case/covering.h"

#include <gtest/gtest.h>

#include <set>

namespace dsv4 {
namespace {

using Valid = std::function<bool(const Params&)>;

std::vector<Axis> axes(int count, int values) {
  std::vector<Axis> list;
  for (int i = 0; i < count; ++i) {
    Axis a{std::string(1, static_cast<char>('a' + i)), {}};
    for (int v = 0; v < values; ++v) a.values.push_back(std::to_string(v));
    list.push_back(std::move(a));
  }
  return list;
}

/// Returns, as text, every pair of values of two different axes (parameters) that occurs in one of these rows.
std::set<std::string> pairs_of(const std::vector<Params>& rows) {
  std::set<std::string> pairs;
  for (const Params& row : rows) {
    const auto& p = row.pairs();
    for (std::size_t i = 0; i < p.size(); ++i) {
      for (std::size_t j = i + 1; j < p.size(); ++j) {
        pairs.insert(p[i].first + "=" + p[i].second + "," + p[j].first + "=" + p[j].second);
      }
    }
  }
  return pairs;
}

void expect_covered(const std::vector<Axis>& list, const Valid& valid) {
  const auto rows = pairwise(list, valid);
  EXPECT_EQ(pairs_of(rows), pairs_of(product(list, valid)));
  for (const Params& row : rows) {
    EXPECT_TRUE(!valid || valid(row)) << row.str();
    ASSERT_EQ(row.pairs().size(), list.size());
    for (std::size_t i = 0; i < list.size(); ++i) EXPECT_EQ(row.pairs()[i].first, list[i].name);
  }
}

TEST(Covering, CoversEveryPairWithFarFewerRowsThanTheProduct) {
  expect_covered(axes(4, 3), {});
  expect_covered(axes(6, 5), {});
  EXPECT_LE(pairwise(axes(6, 5)).size(), 60u);  // the full product has 15625 rows
  EXPECT_GE(pairwise(axes(6, 5)).size(), 25u);
}

TEST(Covering, CoversAxesOfDifferentLengths) {
  expect_covered({axis("k", {512, 1024}), axis("fill", {std::string("x"), "y", "z"}), axis("page", {std::string("1")}),
                  axis("len", {1, 2, 3, 4, 5, 6, 7})},
                 {});
}

TEST(Covering, ConstraintsAreKeptAndEveryPossiblePairIsFound) {
  expect_covered(axes(5, 4), [](const Params& p) { return (p.integer("a") + p.integer("b")) % 2 == 0; });
  expect_covered(axes(4, 5), [](const Params& p) { return p.integer("a") <= p.integer("d"); });
}

TEST(Covering, FindsPairsThatFewValidRowsContain) {
  // Many rows contain a given pair, but only about one in a hundred of these rows is valid. Randomly drawn rows alone
  // would miss many pairs.
  expect_covered(axes(4, 10), [](const Params& p) {
    return p.integer("a") == p.integer("b") && p.integer("b") == p.integer("c") && p.integer("c") == p.integer("d");
  });
  expect_covered(axes(4, 8), [](const Params& p) {
    return (p.integer("a") * 3 + p.integer("b") * 5 + p.integer("c") * 7 + p.integer("d")) % 61 == 0;
  });
}

TEST(Covering, IsEmptyIfNoRowIsValid) {
  EXPECT_TRUE(pairwise(axes(3, 3), [](const Params&) { return false; }).empty());
  EXPECT_TRUE(product(axes(3, 3), [](const Params&) { return false; }).empty());
}

TEST(Covering, CoversOneAxisAndNoAxis) {
  EXPECT_EQ(pairwise(axes(1, 4)).size(), 4u);
  EXPECT_EQ(pairwise(axes(1, 4), [](const Params& p) { return p.integer("a") > 1; }).size(), 2u);
  ASSERT_EQ(pairwise({}).size(), 1u);  // an op without parameters has one point
  EXPECT_TRUE(pairwise({}).front().pairs().empty());
}

TEST(Covering, RowsNeverChange) {
  // The rows decide which cases exist. If the algorithm changes, this test must fail, so that the goldens do not change
  // unnoticed.
  const auto rows = pairwise(axes(3, 3));
  std::string text;
  for (const Params& row : rows) text += row.str() + ";";
  EXPECT_EQ(
      text,
      "a=0,b=0,c=0;a=0,b=1,c=2;a=0,b=2,c=1;a=1,b=0,c=1;a=1,b=1,c=0;a=1,b=2,c=2;a=2,b=0,c=2;a=2,b=1,c=1;a=2,b=2,c=0;");
  EXPECT_EQ(pairwise(axes(3, 3)), rows);
}

TEST(Covering, ProductChangesTheLastAxisFastest) {
  const auto rows = product(axes(2, 2));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].str(), "a=0,b=0");
  EXPECT_EQ(rows[1].str(), "a=0,b=1");
  EXPECT_EQ(rows[3].str(), "a=1,b=1");
}

}  // namespace
}  // namespace dsv4
