#include "harness/run/known_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "tests/build_folder.h"
#include "tests/harness/ops/specimen.h"
#include "tests/harness/run/known_support.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A temporary file. The destructor removes it.
class File {
 public:
  explicit File(const std::string& text)
      : path_((std::filesystem::temp_directory_path() / ("dsv4-known-" + std::to_string(::getpid()))).string()) {
    std::ofstream(path_) << text;
  }
  ~File() { std::filesystem::remove(path_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string load_error(const std::string& text) {
  const File file(text);
  try {
    (void)KnownFaults::load(file.path());
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

const char* const kGood = R"({"known_faults": [
  {"id": "overflow", "op": "topk_v1", "package": "sglang", "since": "0.5.12", "fixed": "0.5.23",
   "params": {"k": ["512"], "fill": ["tie*", "near"]},
   "facts": {"threshold_bin": [8193, null], "rows": [null, 4]}, "covers": ["scores", "pos*"],
   "summary": "s", "evidence": "e", "fix": "f"},
  {"id": "repeat", "op": ["hash_topk", "topk_v1"], "package": "sglang", "since": "0.5.12", "scenarios": ["relation:*"],
   "elements": {"positions": {"threshold_bin": [8193, null]}}, "summary": "s", "evidence": "e", "fix": "f"}]})";

/// The code of a set that does not tell its sources.
SetCode sglang(const std::string& version) {
  return {.label = "set", .package = "sglang", .version = version, .ops = {}};
}

/// The same for a set with the sources of topk_v1.
SetCode sglang(const std::string& version, std::vector<std::string> releases) {
  SetCode code = sglang(version);
  code.ops["topk_v1"] = {.main = {"csrc/topk.cuh"},
                         .files = {{"csrc/topk.cuh", std::move(releases)}, {"tensor.h", {}}}};
  return code;
}

/// The ids of the faults of a list that apply to a case, with commas between them.
std::string ids(const KnownFaults& known, const Case& c, const SetCode& code, const Facts& facts = {},
                Applies::Answer answer = Applies::Answer::kYes) {
  std::string text;
  for (const KnownFault* fault : known.match(
           c, code, [&] { return facts; }, answer))
    text += (text.empty() ? "" : ",") + fault->id;
  return text;
}

TEST(KnownFaults, EveryConditionMustHold) {
  const File file(kGood);
  const KnownFaults known = KnownFaults::load(file.path());
  ASSERT_EQ(known.all().size(), 2u);
  const Case c{"topk_v1", "", {{"k", "512"}, {"fill", "ties"}}, 1};
  const Facts facts{{"threshold_bin", 8193}, {"rows", 4}};
  EXPECT_EQ(ids(known, c, sglang("0.5.12"), facts), "overflow");
  const auto changed = [&](auto change) {
    Case other = c;
    change(other);
    return ids(known, other, sglang("0.5.12"), facts);
  };
  EXPECT_EQ(changed([](Case& o) { o.params.set("k", "1024"); }), "");
  EXPECT_EQ(changed([](Case& o) { o.params.set("fill", "near"); }), "overflow");
  EXPECT_EQ(changed([](Case& o) { o.params.set("fill", "nearer"); }), "");
  EXPECT_EQ(changed([](Case& o) { o.params = Params{{"k", "512"}}; }), "");
  EXPECT_EQ(changed([](Case& o) { o.op = "hash_topk"; }), "");
  // A fault without scenarios covers none of the op's scenarios. A fault of a scenario covers only that scenario.
  EXPECT_EQ(changed([](Case& o) { o.scenario = "relation:repeat"; }), "repeat");
  EXPECT_EQ(changed([](Case& o) { o.scenario = "contract:scores_dtype"; }), "");
  EXPECT_EQ(changed([](Case& o) { (o.op = "hash_topk", o.scenario = "relation:repeat"); }), "repeat");

  EXPECT_EQ(ids(known, c, sglang("0.5.12"), {{"threshold_bin", 8192}, {"rows", 4}}), "");
  EXPECT_EQ(ids(known, c, sglang("0.5.12"), {{"threshold_bin", 1LL << 60}, {"rows", -5}}), "overflow");
  EXPECT_EQ(ids(known, c, sglang("0.5.12"), {{"threshold_bin", 9000}, {"rows", 5}}), "");
  EXPECT_EQ(ids(known, c, sglang("0.5.12"), {{"threshold_bin", 9000}}), "");
  EXPECT_EQ(ids(known, c, sglang("0.5.12"), {}), "");
}

TEST(KnownFaults, AnEmptyScenarioStandsForCasesWithoutOne) {
  KnownFault fault = testing::known_fault("f", "topk_v1", {"*"});
  const auto applies = [&](std::vector<std::string> scenarios, const std::string& scenario) {
    fault.scenarios = std::move(scenarios);
    return !ids(KnownFaults({fault}), Case{"topk_v1", scenario, {}, 1}, testing::release_1_2()).empty();
  };
  EXPECT_TRUE(applies({"", "relation:*"}, ""));
  EXPECT_TRUE(applies({"", "relation:*"}, "relation:repeat"));
  EXPECT_FALSE(applies({"relation:*"}, ""));
  EXPECT_FALSE(applies({"*"}, "")) << "a pattern means scenarios only";
  EXPECT_FALSE(applies({""}, "relation:repeat"));
}

TEST(KnownFaults, AFaultBelongsToCodeNotToTheNameOfASet) {
  const File file(kGood);
  const KnownFaults known = KnownFaults::load(file.path());
  const Case c{"topk_v1", "", {{"k", "512"}, {"fill", "ties"}}, 1};
  const Facts facts{{"threshold_bin", 8193}, {"rows", 4}};
  const auto known_for = [&](const SetCode& code) { return ids(known, c, code, facts) == "overflow"; };
  const auto edited = [&](const SetCode& code) {
    return ids(known, c, code, facts, Applies::Answer::kEdited) == "overflow";
  };
  // The set tells only its version.
  EXPECT_TRUE(known_for(sglang("0.5.12")));
  EXPECT_TRUE(known_for(sglang("0.5.14")));
  EXPECT_FALSE(known_for(sglang("0.5.23")));
  EXPECT_FALSE(known_for(sglang("0.5.9")));
  EXPECT_FALSE(known_for(sglang("")));
  EXPECT_TRUE(edited(sglang("")));
  // The bytes of the file decide, whatever the version of the package is.
  EXPECT_TRUE(known_for(sglang("0.5.13", {"0.5.12", "0.5.13"})));
  EXPECT_TRUE(known_for(sglang("", {"0.5.12", "0.5.13"}))) << "a copy that does not tell its version";
  EXPECT_TRUE(known_for(sglang("0.9", {"0.5.16"}))) << "a later release with the old file";
  EXPECT_FALSE(known_for(sglang("0.5.13", {"0.5.23"}))) << "an old package with the mended file";
  EXPECT_FALSE(edited(sglang("0.5.13", {"0.5.23"}))) << "that file is known, so nothing may show";
  // An edited file.
  EXPECT_FALSE(known_for(sglang("0.5.13", {})));
  EXPECT_TRUE(edited(sglang("0.5.13", {})));
  EXPECT_FALSE(edited(sglang("0.5.23", {}))) << "the fault was mended there";
  // A release that was made after the table of releases.
  SetCode wheel = sglang("0.5.17", {});
  wheel.released = true;
  EXPECT_TRUE(known_for(wheel));
  wheel.version = "0.5.30";
  EXPECT_FALSE(known_for(wheel));
  // A set of another package.
  SetCode foreign = sglang("0.5.13", {"0.5.13"});
  foreign.package = "in-tree";
  EXPECT_FALSE(known_for(foreign));
  EXPECT_FALSE(edited(foreign));
}

TEST(KnownFaults, TheReasonNamesTheEditedFile) {
  KnownFault fault = testing::known_fault("f", "topk_v1", {"*"});
  const auto why = [&](SetCode code) {
    code.package = fault.package;
    return applies_to(fault, "topk_v1", code).why;
  };
  EXPECT_EQ(why(sglang("1.3", {})), "csrc/topk.cuh differs from upstream 1.3");
  EXPECT_EQ(why(sglang("", {})), "csrc/topk.cuh differs from each known release of upstream");
  fault.sources = {"csrc/topk.cuh", "tensor.h"};
  EXPECT_EQ(why(sglang("1.3", {"1.3"})), "tensor.h differs from upstream 1.3");
  fault.sources = {"csrc/other.cuh"};
  EXPECT_EQ(why(sglang("1.3", {"1.3"})), "csrc/other.cuh is not among the sources of topk_v1");
}

TEST(KnownFaults, AFaultOfOneKindOfDevice) {
  KnownFault fault = testing::known_fault("f", "topk_v1", {"*"});
  fault.devices = {"cuda"};
  SetCode code = testing::release_1_2();
  EXPECT_EQ(applies_to(fault, "topk_v1", code).answer, Applies::Answer::kNo);
  code.device = "simt";
  EXPECT_EQ(applies_to(fault, "topk_v1", code).answer, Applies::Answer::kNo);
  code.device = "cuda";
  EXPECT_EQ(applies_to(fault, "topk_v1", code).answer, Applies::Answer::kYes);
}

TEST(KnownFaults, CoversNamesAndGlobs) {
  KnownFault fault;
  fault.covers = {"scores", "pos*"};
  EXPECT_TRUE(KnownFaults::covers(fault, "scores"));
  EXPECT_TRUE(KnownFaults::covers(fault, "positions"));
  EXPECT_FALSE(KnownFaults::covers(fault, "guard"));
  EXPECT_FALSE(KnownFaults::covers(fault, "scores2"));
  EXPECT_FALSE(KnownFaults::covers(KnownFault{}, "scores"));
  fault.covers.clear();
  fault.kind = KnownFault::Kind::kUndefined;
  for (const char* anything : {"scores", "guard", "crash", "refusal"})
    EXPECT_TRUE(KnownFaults::covers(fault, anything));
}

TEST(KnownFaults, MalformedFilesAreRefusedWithTheEntry) {
  EXPECT_THAT(load_error("{"), HasSubstr("the file is malformed"));
  EXPECT_THAT(load_error(""), HasSubstr("the file is malformed"));
  EXPECT_THAT(load_error("{}"), AllOf(HasSubstr("the file is malformed"), HasSubstr("known_faults")));
  EXPECT_THAT(load_error("[]"), HasSubstr("the file is malformed"));
  EXPECT_THAT(load_error(R"({"known_faults": {"a": 1}})"), HasSubstr("entry 1"));
  EXPECT_THAT(load_error(R"({"known_faults": [1]})"), HasSubstr("entry 1"));
  for (const char* field : {"id", "op", "package", "since", "elements", "summary", "evidence", "fix"}) {
    std::string text = kGood;
    const std::string name = std::string("\"") + field + "\":";
    text.replace(text.rfind(name), name.size(), "\"no_" + std::string(field) + "\":");
    EXPECT_THAT(load_error(text), AllOf(HasSubstr("entry 2"), HasSubstr(field))) << field;
  }
  const auto replaced = [](const std::string& from, const std::string& to) {
    std::string text = kGood;
    text.replace(text.find(from), from.size(), to);
    return load_error(text);
  };
  EXPECT_THAT(replaced(R"("since": "0.5.12")", R"("since": "yesterday")"), HasSubstr("'yesterday' is not a version"));
  EXPECT_THAT(replaced(R"("fixed": "0.5.23")", R"("fixed": "0.5.9")"), HasSubstr("fixed in 0.5.9, which is not after"));
  EXPECT_THAT(replaced(R"("since")", R"("kind": "undefined", "since")"), HasSubstr("leave out covers"));
  EXPECT_THAT(replaced(R"("since")", R"("kind": "odd", "since")"), HasSubstr("kind 'odd'"));
  EXPECT_THAT(replaced(R"("since")", R"("variant": "v", "since")"), HasSubstr("no error"));
  EXPECT_THAT(replaced(R"("since")", R"("kind": "variant", "variant": "v", "since")"), HasSubstr("no error"));
  EXPECT_THAT(replaced(R"("covers": ["scores", "pos*"],)", ""), HasSubstr("neither covers nor elements"));
  EXPECT_THAT(replaced(R"("since")", R"("sets": ["*"], "since")"), HasSubstr("unknown key 'sets'"));
  EXPECT_THAT(replaced(R"({"k": ["512"], "fill": ["tie*", "near"]})", R"({"k": "512"})"), HasSubstr("entry 1"));
  EXPECT_THAT(replaced("[8193, null]", "[8193]"), HasSubstr("entry 1"));
  EXPECT_THAT(replaced("[8193, null]", "8193"), HasSubstr("entry 1"));
  EXPECT_THAT(replaced("[8193, null]", R"(["8193", null])"), HasSubstr("entry 1"));
}

TEST(KnownFaults, TheErrorOfAMissingFileSaysWhatToDo) {
  try {
    (void)KnownFaults::load("/nowhere/known_faults.json");
    FAIL();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), AllOf(HasSubstr("/nowhere/known_faults.json"), HasSubstr("--no-known")));
  }
}

TEST(KnownFaults, TheListOfThisRepositoryNamesWhatExists) {
  const KnownFaults known = KnownFaults::load(testing::source_folder() + "/known_faults.json");
  EXPECT_FALSE(known.all().empty());
  std::ifstream table(testing::source_folder() + "/upstream_sources.json");
  const auto releases = nlohmann::json::parse(table).at("releases");
  std::set<std::string> ids;
  for (const KnownFault& f : known.all()) {
    EXPECT_TRUE(ids.insert(f.id).second) << f.id;
    EXPECT_EQ(f.package, "sglang") << f.id << ": the sets of this repository have no known faults";
    EXPECT_TRUE(releases.contains(f.since)) << f.id << ": no release " << f.since;
    EXPECT_TRUE(f.fixed.empty() || releases.contains(f.fixed)) << f.id << ": no release " << f.fixed;
    for (const std::string& source : f.sources) {
      EXPECT_TRUE(releases.at(f.since).contains(source)) << f.id << ": no source " << source;
    }
    for (const std::string& glob : f.scenarios) {
      const bool exists =
          glob.empty() || std::ranges::any_of(f.ops, [&](const std::string& name) {
            const auto scenarios = all_scenarios(*find_op(name));
            return std::ranges::any_of(scenarios, [&](const Scenario& s) { return glob_match(glob, s.label()); });
          });
      EXPECT_TRUE(exists) << f.id << ": no scenario '" << glob << "'";
    }
    for (const std::string& name : f.ops) {
      const Op* op = find_op(name);
      ASSERT_NE(op, nullptr) << f.id << ": no op '" << name << "'";
      const auto& specs = op->info().space.specs();
      for (const auto& [param, values] : f.params) {
        EXPECT_TRUE(std::ranges::any_of(specs, [&, what = param](const ParamSpec& s) { return s.name == what; }))
            << f.id << ": no parameter '" << param << "'";
      }
      // The facts and the variant that the entry names exist, and the facts fit the outputs that it names.
      const Case c{name, "", op->points(Tier::kSmoke).front(), 1};
      const Call call = op->make(c);
      const Facts facts = op->facts(c, call);
      for (const auto& [fact, range] : f.facts) EXPECT_TRUE(facts.contains(fact)) << f.id << ": no fact " << fact;
      Caller& reference = testing::reference_set();
      const Observation o = op->observe(c, call, reference.call(call));
      const ElementFacts elements = op->element_facts(c, call);
      for (const auto& [output, ranges] : f.elements) {
        const auto at = std::ranges::find(o.outputs, output, &Output::name);
        ASSERT_NE(at, o.outputs.end()) << f.id << ": no output " << output;
        for (const auto& [fact, range] : ranges) {
          ASSERT_TRUE(elements.contains(fact)) << f.id << ": no element fact " << fact;
          const Shape& shape = elements.at(fact).shape;
          const std::size_t first = at->keyed ? 1 : 0;
          ASSERT_LE(shape.size(), at->value.shape.size()) << f.id;
          EXPECT_TRUE(std::equal(shape.begin() + first, shape.end(), at->value.shape.begin() + first)) << f.id;
        }
      }
    }
  }
}

TEST(KnownFaults, EveryVariantOfTheListIsOfferedByItsOps) {
  const KnownFaults known = KnownFaults::load(testing::source_folder() + "/known_faults.json");
  std::size_t variants = 0;
  for (const KnownFault& f : known.all()) {
    if (f.variant.empty()) continue;
    for (const std::string& name : f.ops) {
      const Op& op = *find_op(name);
      bool offered = false;
      for (const Params& point : op.points(Tier::kSmoke)) {
        const Case c{name, "", point, 1};
        const auto other = op.variant(f.variant, c, op.make(c), testing::reference_set());
        offered = offered || other.has_value();
      }
      EXPECT_TRUE(offered) << f.id << ": " << name << " offers no variant " << f.variant;
      ++variants;
    }
  }
  EXPECT_NE(variants, 0u);
}

}  // namespace
}  // namespace dsv4
