#include "harness/run/known_faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "harness/core/error.h"
#include "harness/core/text.h"
#include "tests/build_folder.h"

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
  {"id": "overflow", "op": "topk_v1", "sets": ["sglang-0.5.1?*"], "params": {"k": ["512"], "fill": ["tie*", "near"]},
   "facts": {"threshold_bin": [8193, null], "rows": [null, 4]}, "covers": ["scores", "pos*"],
   "summary": "s", "evidence": "e", "fix": "f"},
  {"id": "repeat", "op": "topk_v1", "scenarios": ["relation:*"], "sets": ["*"], "covers": ["positions"],
   "summary": "s", "evidence": "e", "fix": "f"}]})";

TEST(KnownFaults, EveryConditionMustHold) {
  const File file(kGood);
  const KnownFaults known = KnownFaults::load(file.path());
  ASSERT_EQ(known.all().size(), 2u);
  const Case c{"topk_v1", "", {{"k", "512"}, {"fill", "ties"}}, 1};
  const Facts facts{{"threshold_bin", 8193}, {"rows", 4}};
  const auto id = [&](const Case& which, const std::string& set, const Facts& f) -> std::string {
    const KnownFault* fault = known.match(which, set, [&] { return f; });
    return fault == nullptr ? "none" : fault->id;
  };
  EXPECT_EQ(id(c, "sglang-0.5.12", facts), "overflow");
  EXPECT_EQ(id(c, "sglang-0.5.13-host", facts), "overflow");
  EXPECT_EQ(id(c, "sglang-0.5.2", facts), "none");
  EXPECT_EQ(id(c, "host", facts), "none");

  const auto changed = [&](auto change) {
    Case other = c;
    change(other);
    return id(other, "sglang-0.5.12", facts);
  };
  EXPECT_EQ(changed([](Case& o) { o.params.set("k", "1024"); }), "none");
  EXPECT_EQ(changed([](Case& o) { o.params.set("fill", "near"); }), "overflow");
  EXPECT_EQ(changed([](Case& o) { o.params.set("fill", "nearer"); }), "none");
  EXPECT_EQ(changed([](Case& o) { o.params = Params{{"k", "512"}}; }), "none");
  EXPECT_EQ(changed([](Case& o) { o.op = "hash_topk"; }), "none");
  // A fault without scenarios covers none of the op's scenarios. A fault of a scenario covers only that scenario.
  EXPECT_EQ(changed([](Case& o) { o.scenario = "relation:repeat"; }), "repeat");
  EXPECT_EQ(changed([](Case& o) { o.scenario = "contract:scores_dtype"; }), "none");

  EXPECT_EQ(id(c, "sglang-0.5.12", {{"threshold_bin", 8192}, {"rows", 4}}), "none");
  EXPECT_EQ(id(c, "sglang-0.5.12", {{"threshold_bin", 1LL << 60}, {"rows", -5}}), "overflow");
  EXPECT_EQ(id(c, "sglang-0.5.12", {{"threshold_bin", 9000}, {"rows", 5}}), "none");
  EXPECT_EQ(id(c, "sglang-0.5.12", {{"threshold_bin", 9000}}), "none");
  EXPECT_EQ(id(c, "sglang-0.5.12", {}), "none");
}

TEST(KnownFaults, CoversNamesAndGlobs) {
  KnownFault fault;
  fault.covers = {"scores", "pos*"};
  EXPECT_TRUE(KnownFaults::covers(fault, "scores"));
  EXPECT_TRUE(KnownFaults::covers(fault, "positions"));
  EXPECT_FALSE(KnownFaults::covers(fault, "guard"));
  EXPECT_FALSE(KnownFaults::covers(fault, "scores2"));
  EXPECT_FALSE(KnownFaults::covers(KnownFault{}, "scores"));
}

TEST(KnownFaults, MalformedFilesAreRefusedWithTheEntry) {
  EXPECT_THAT(load_error("{"), HasSubstr("the file is malformed"));
  EXPECT_THAT(load_error(""), HasSubstr("the file is malformed"));
  EXPECT_THAT(load_error("{}"), AllOf(HasSubstr("the file is malformed"), HasSubstr("known_faults")));
  EXPECT_THAT(load_error("[]"), HasSubstr("the file is malformed"));
  EXPECT_THAT(load_error(R"({"known_faults": {"a": 1}})"), HasSubstr("entry 1"));
  EXPECT_THAT(load_error(R"({"known_faults": [1]})"), HasSubstr("entry 1"));
  for (const char* field : {"id", "op", "sets", "covers", "summary", "evidence", "fix"}) {
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
  EXPECT_THAT(replaced(R"(["sglang-0.5.1?*"])", R"("sglang-0.5.12")"), HasSubstr("entry 1"));
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

TEST(KnownFaults, TheListOfThisRepositoryNamesOpsAndParametersThatExist) {
  const KnownFaults known = KnownFaults::load(testing::source_folder() + "/known_faults.json");
  EXPECT_FALSE(known.all().empty());
  std::set<std::string> ids;
  for (const KnownFault& f : known.all()) {
    EXPECT_TRUE(ids.insert(f.id).second) << f.id;
    EXPECT_NE(find_op(f.op), nullptr) << f.id << ": no op '" << f.op << "'";
    EXPECT_FALSE(f.covers.empty()) << f.id;
    for (const std::string& set : f.sets) {
      for (const char* own : {"reference", "host", "cuda"}) EXPECT_FALSE(glob_match(set, own)) << f.id;
    }
    for (const auto& [param, values] : f.params) {
      const auto& specs = find_op(f.op)->info().space.specs();
      EXPECT_TRUE(std::ranges::any_of(specs, [&, name = param](const ParamSpec& s) { return s.name == name; }))
          << f.id << ": no parameter '" << param << "'";
    }
  }
}

}  // namespace
}  // namespace dsv4
