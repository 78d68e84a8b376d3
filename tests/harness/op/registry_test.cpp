#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/core/error.h"
#include "harness/op/op.h"
#include "tests/faulty/test_ops.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(const std::string& id) {
  try {
    (void)checked_case(id);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

const char* const kCopy = "test_copy/rows=3,columns=5,gap=2,fill=values,judge=exact,fault=none/seed=1";

TEST(Registry, OpsAreSortedUniqueAndComplete) {
  std::string last;
  for (const Op* op : all_ops()) {
    const OpInfo& info = op->info();
    EXPECT_LT(last, info.name);
    last = info.name;
    EXPECT_EQ(find_op(info.name), op);
    EXPECT_FALSE(info.family.empty() || info.summary.empty()) << info.name;
    ASSERT_FALSE(info.abis.empty()) << info.name;
    for (const std::string& abi : info.abis) EXPECT_TRUE(abi.starts_with(info.name + "/")) << abi;
    std::set<std::string> names;
    for (const ParamSpec& spec : info.space.specs()) {
      EXPECT_TRUE(names.insert(spec.name).second) << info.name << " has two parameters '" << spec.name << "'";
      EXPECT_FALSE(spec.meaning.empty()) << info.name << "." << spec.name;
      EXPECT_TRUE(!spec.choices.empty() || spec.min <= spec.max) << info.name << "." << spec.name;
      for (const auto i : spec.interesting) {
        EXPECT_FALSE(spec.reject(std::to_string(i))) << info.name << "." << spec.name << " " << i;
      }
    }
  }
  EXPECT_EQ(find_op("no_such_op"), nullptr);
}

TEST(Registry, ScenariosAreUniqueAndDescribed) {
  for (const Op* op : all_ops()) {
    const auto scenarios = all_scenarios(*op);
    EXPECT_NE(find_scenario(scenarios, "relation:repeat"), nullptr) << op->info().name;
    EXPECT_EQ(find_scenario(scenarios, "relation:nothing"), nullptr);
    std::set<std::string> labels;
    for (const Scenario& s : scenarios) {
      EXPECT_TRUE(labels.insert(s.label()).second) << op->info().name << " has two scenarios " << s.label();
      EXPECT_FALSE(s.meaning.empty()) << op->info().name << " " << s.label();
      EXPECT_TRUE(s.run) << op->info().name << " " << s.label();
    }
  }
}

TEST(Registry, TiersGrowAndHoldNoCaseTwice) {
  for (const Op* op : all_ops()) {
    std::set<std::string> smaller;
    for (const Tier tier : {Tier::kSmoke, Tier::kQuick, Tier::kFull}) {
      std::set<std::string> ids;
      for (const Case& c : cases_of(*op, tier)) EXPECT_TRUE(ids.insert(c.id()).second) << c.id() << " occurs twice";
      EXPECT_FALSE(ids.empty()) << op->info().name;
      EXPECT_TRUE(std::ranges::includes(ids, smaller)) << op->info().name << " " << name_of(tier);
      smaller = std::move(ids);
    }
  }
}

TEST(Registry, TheSmokeTierOfEveryOpHasPlainCasesAndContracts) {
  for (const Op* op : all_ops()) {
    const auto cases = cases_of(*op, Tier::kSmoke);
    EXPECT_TRUE(std::ranges::any_of(cases, [](const Case& c) { return c.scenario.empty(); })) << op->info().name;
    EXPECT_TRUE(std::ranges::any_of(cases, [](const Case& c) { return c.scenario.starts_with("contract:"); }) ||
                op->info().family == "test")
        << op->info().name << " has no contract";
  }
}

TEST(Registry, RandomCasesAreValidAndSeeded) {
  for (const Op* op : all_ops()) {
    std::set<std::string> distinct;
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const Case c = random_case(*op, seed);
      EXPECT_EQ(error_of(c.id()), "no error");
      EXPECT_EQ(c, random_case(*op, seed));
      EXPECT_EQ(c.seed, seed);
      distinct.insert(c.params.str());
    }
    EXPECT_GT(distinct.size(), 1u) << op->info().name;
  }
}

TEST(Registry, InputsDependOnTheCaseAlone) {
  for (const Op* op : all_ops()) {
    for (const Case& c : cases_of(*op, Tier::kSmoke)) {
      if (!c.scenario.empty()) continue;
      const Call first = op->make(c), second = op->make(c);
      ASSERT_EQ(first.args.size(), second.args.size());
      for (std::size_t i = 0; i < first.args.size(); ++i) {
        if (!first.args[i].is_tensor()) continue;
        EXPECT_EQ(first.args[i].tensor().storage, second.args[i].tensor().storage)
            << c.id() << " " << first.args[i].name;
      }
    }
  }
}

TEST(CheckedCase, PutsParametersIntoOrder) {
  EXPECT_EQ(checked_case("test_store/fault=none,slots=9/seed=1").id(), "test_store/slots=9,fault=none/seed=1");
}

TEST(CheckedCase, ErrorsSayWhatIsWrongAndWhatIsAllowed) {
  EXPECT_EQ(error_of(kCopy), "no error");
  EXPECT_THAT(error_of("test_coppy/x=1/seed=1"),
              AllOf(HasSubstr("unknown op 'test_coppy', did you mean 'test_copy'?"), HasSubstr("'dsv4diff ops'")));
  EXPECT_THAT(error_of("test_store/relation:repeet/slots=9,fault=none/seed=1"),
              AllOf(HasSubstr("op 'test_store' has no relation:repeet, did you mean 'relation:repeat'?"),
                    HasSubstr("it has relation:repeat")));
  EXPECT_THAT(error_of("test_store/slot=9,fault=none/seed=1"),
              AllOf(HasSubstr("has no parameter 'slot', did you mean 'slots'?"), HasSubstr("it has slots, fault")));
  EXPECT_THAT(error_of("test_store/fault=none/seed=1"), HasSubstr("parameter 'slots' is missing (slots of the cache)"));
  EXPECT_THAT(error_of("test_store/slots=1,fault=none/seed=1"), HasSubstr("slots=1 is out of range [2, 4096]"));
  EXPECT_THAT(error_of("test_store/slots=9,fault=nothing/seed=1"), HasSubstr("'nothing' is not a value of 'fault'"));
  EXPECT_THAT(error_of("test_store/slots=9,fault=none/seed=x"), HasSubstr("'x' is not a seed"));
}

/// An op that accepts one value of its parameter, or none if `nothing` is set.
class Sparse : public Op {
 public:
  explicit Sparse(bool nothing)
      : Op({.name = "test_sparse",
            .family = "test",
            .summary = "",
            .upstream = "",
            .abis = {"test_sparse/1"},
            .space = {ParamSpec::integer("a", 0, 1000000, "a", {0, 7})},
            .host_note = ""}),
        nothing_(nothing) {}
  [[nodiscard]] std::vector<Params> points(Tier) const override { return {}; }
  [[nodiscard]] std::optional<std::string> reject(const Params& p) const override {
    if (nothing_ || p.integer("a") != 7) return "only seven is a case";
    return std::nullopt;
  }
  [[nodiscard]] Call make(const Case&) const override { return {}; }
  [[nodiscard]] Observation observe(const Case&, const Call&, const CallResult&) const override { return {}; }

 private:
  bool nothing_;
};

TEST(RandomCase, RejectedPointsAreDrawnAgain) {
  const Sparse op(false);
  for (std::uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(random_case(op, seed).params.str(), "a=7");
  const Sparse nothing(true);
  EXPECT_THROW((void)random_case(nothing, 1), Error);
}

TEST(Call, ArgumentsAreFoundByName) {
  const Call call = find_op("test_copy")->make(parse_case_id(kCopy));
  EXPECT_EQ(call.tensor("input").describe(), "f32[3, 5] strides (7, 1)");
  EXPECT_EQ(call.arg("output").role, Role::kOut);
  EXPECT_THROW((void)call.arg("nothing"), Error);
  EXPECT_THROW((void)CallResult{}.tensor("input"), Error);
  EXPECT_THROW((void)Observation{}.output("x"), Error);
}

}  // namespace
}  // namespace dsv4
