#include "harness/case/case.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "harness/op/op.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

std::string parse_error(const std::string& id) {
  return error_of([&] { (void)parse_case_id(id); });
}

TEST(CaseId, PartsAreSplit) {
  const Case c = parse_case_id("topk_v1/relation:repeat/k=512,fill=ties/seed=7");
  EXPECT_EQ(c.op, "topk_v1");
  EXPECT_EQ(c.scenario, "relation:repeat");
  EXPECT_EQ(c.params.str(), "k=512,fill=ties");
  EXPECT_EQ(c.seed, 7u);
  EXPECT_EQ(parse_case_id("a/x=1/seed=18446744073709551615").seed, std::numeric_limits<std::uint64_t>::max());
}

TEST(CaseId, OpWithoutParametersHasAnEmptyPart) {
  const Case c{"op", "", {}, 1};
  EXPECT_EQ(c.id(), "op//seed=1");
  EXPECT_EQ(parse_case_id("op//seed=1"), c);
  const Case scenario{"op", "contract:x", {}, 1};
  EXPECT_EQ(scenario.id(), "op/contract:x//seed=1");
  EXPECT_EQ(parse_case_id(scenario.id()), scenario);
}

TEST(CaseId, CasesOfEveryOpSurviveARoundTrip) {
  ASSERT_FALSE(all_ops().empty());
  for (const Op* op : all_ops()) {
    for (const Tier tier : {Tier::kSmoke, Tier::kQuick}) {
      for (const Case& c : cases_of(*op, tier, 5)) {
        ASSERT_EQ(parse_case_id(c.id()), c);
        ASSERT_EQ(checked_case(c.id()), c) << c.id();
      }
    }
  }
}

TEST(CaseId, RandomCasesOfEveryOpSurviveARoundTrip) {
  for (const Op* op : all_ops()) {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
      const Case c = random_case(*op, seed);
      ASSERT_EQ(parse_case_id(c.id()), c) << c.id();
      ASSERT_EQ(checked_case(c.id()), c) << c.id();
    }
  }
}

TEST(CaseId, MalformedIdsAreRefusedWithTheReason) {
  const std::map<std::string, const char*> wrong{
      {"", "1 parts, 3 or 4 are expected"},
      {"topk_v1", "1 parts"},
      {"topk_v1/k=1", "2 parts"},
      {"a/relation:b/x=1/seed=1/more", "5 parts"},
      {"/x=1/seed=1", "'' is not an op name"},
      {"to pk/x=1/seed=1", "'to pk' is not an op name"},
      {"a/x/seed=1", "'x' is not name=value"},
      {"a/x=/seed=1", "'' is not a value of 'x'"},
      {"a/=1/seed=1", "'' is not a parameter name"},
      {"a/x=1=2/seed=1", "'1=2' is not a value of 'x'"},
      {"a/x=1,/seed=1", "a comma is followed by nothing"},
      {"a/,x=1/seed=1", "'' is not name=value"},
      {"a/x=1,x=2/seed=1", "parameter 'x' is given twice"},
      {"a/x=$(reboot)/seed=1", "is not a value of 'x'"},
      {"a/x=1\n/seed=1", "is not a value of 'x'"},
      {"a/x=1/1", "the last part is not seed=N"},
      {"a/x=1/seed=", "'' is not a seed"},
      {"a/x=1/seed=-1", "'-1' is not a seed"},
      {"a/x=1/seed=01", "'01' is not a seed"},
      {"a/x=1/seed=1 ", "'1 ' is not a seed"},
      {"a/x=1/seed=18446744073709551616", "is not a seed"},
      {"a/repeat/x=1/seed=1", "'repeat' is not contract:NAME, relation:NAME or sequence:NAME"},
      {"a/relation:/x=1/seed=1", "'relation:' is not"},
      {"a/relations:b/x=1/seed=1", "'relations:b' is not"},
  };
  for (const auto& [id, text] : wrong) {
    EXPECT_THAT(parse_error(id), AllOf(HasSubstr(text), HasSubstr("'dsv4diff cases' lists"))) << id;
  }
}

TEST(CaseId, ExtremelyLongIdsAreRefusedInAShortMessage) {
  const std::string longest = "a/x=" + std::string(4096 - 11, '1') + "/seed=1";
  ASSERT_EQ(longest.size(), 4096u);
  EXPECT_EQ(parse_case_id(longest).id(), longest);
  EXPECT_THAT(parse_error(longest + "2"),
              AllOf(HasSubstr("4097 characters, at most 4096"), SizeIs(::testing::Lt(500u))));
  EXPECT_THAT(parse_error(std::string(10u << 20, '/')), SizeIs(::testing::Lt(500u)));
  EXPECT_THAT(parse_error(std::string(4000, '/')), HasSubstr("4001 parts"));
  EXPECT_THAT(parse_error(std::string(4000, 'x')), SizeIs(::testing::Lt(500u)));
}

TEST(CaseId, EveryPrefixOfAnIdIsAnErrorOrACase) {
  const std::string id = "topk_v1/relation:repeat/k=512,batch=4,fill=ties/seed=12";
  for (std::size_t n = 0; n <= id.size(); ++n) {
    try {
      EXPECT_EQ(parse_case_id(id.substr(0, n)).id(), id.substr(0, n));
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("case id '"));
    }
  }
}

TEST(Glob, StarsAndQuestionMarks) {
  for (const auto& [glob, text] : std::map<std::string, std::string>{{"*", ""},
                                                                     {"*", "x"},
                                                                     {"topk_*", "topk_v1"},
                                                                     {"*_v?", "topk_v1"},
                                                                     {"a*b*c", "aXbYbZc"},
                                                                     {"", ""},
                                                                     {"**a**", "a"},
                                                                     {"*ab", "aab"},
                                                                     {"?", "x"}}) {
    EXPECT_TRUE(glob_match(glob, text)) << glob << " " << text;
  }
  for (const auto& [glob, text] : std::map<std::string, std::string>{
           {"", "x"}, {"?", ""}, {"topk", "topk_v1"}, {"opk_v1", "topk_v1"}, {"a*b", "ab "}, {"*_v?", "topk_v12"}}) {
    EXPECT_FALSE(glob_match(glob, text)) << glob << " " << text;
  }
  // If glob_match() were plainly recursive, this pattern would take exponential time.
  EXPECT_FALSE(glob_match("*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST(Shard, EveryCaseIsInExactlyOneShard) {
  for (const std::uint64_t count : {1u, 2u, 3u, 7u, 64u}) {
    std::map<std::uint64_t, int> sizes;
    for (int i = 0; i < 2000; ++i) {
      const std::string id = "op/x=" + std::to_string(i) + "/seed=1";
      int owners = 0;
      for (std::uint64_t k = 1; k <= count; ++k) {
        if (Shard{k, count}.contains(id)) ++owners, ++sizes[k];
      }
      ASSERT_EQ(owners, 1) << id;
    }
    EXPECT_EQ(sizes.size(), count);
    for (const auto& [k, n] : sizes) EXPECT_GT(n, 2000 / static_cast<int>(count) / 3);
  }
  // The shard of a case must be the same on every machine and in every version, because the shards of one sweep may run
  // on several machines.
  EXPECT_TRUE((Shard{3, 8}).contains("topk_v1/k=512/seed=1"));
}

TEST(Shard, ParsesShardsAndRefusesMalformedOnes) {
  EXPECT_EQ(parse_shard("2/8").index, 2u);
  EXPECT_EQ(parse_shard("2/8").count, 8u);
  for (const char* bad : {"", "2", "/8", "2/", "0/8", "9/8", "2/8x", "-1/8", "2 /8", "a/b", "1/0", "2//8"}) {
    EXPECT_THAT(error_of([&] { (void)parse_shard(bad); }), HasSubstr("expected K/N with 1 <= K <= N")) << bad;
  }
}

TEST(Suggestion, OnlyNearWordsAreSuggested) {
  const std::vector<std::string> names{"topk_v1", "hash_topk", "mask_topk_ids"};
  EXPECT_EQ(nearest("topk_v2", names), "topk_v1");
  EXPECT_EQ(nearest("mask_topkids", names), "mask_topk_ids");
  EXPECT_EQ(nearest("zzz", names), "");
  EXPECT_EQ(nearest("", {}), "");
  EXPECT_EQ(nearest(std::string(100000, 'x'), names), "");
  EXPECT_EQ(did_you_mean("topkv1", names), ", did you mean 'topk_v1'?");
  EXPECT_EQ(did_you_mean("entirely_else", names), "");
}

TEST(Tier, NamesAreParsedAndOthersAreRefused) {
  for (const Tier t : {Tier::kSmoke, Tier::kQuick, Tier::kFull}) EXPECT_EQ(tier_from_name(name_of(t)), t);
  EXPECT_THAT(error_of([] { (void)tier_from_name("quik"); }), HasSubstr("unknown tier 'quik', did you mean 'quick'?"));
  EXPECT_THAT(error_of([] { (void)tier_from_name("soak"); }), HasSubstr("tiers are smoke, quick and full"));
}

}  // namespace
}  // namespace dsv4
