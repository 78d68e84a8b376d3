#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "harness/core/error.h"
#include "harness/run/trial.h"
#include "harness/sets/set.h"
#include "tests/faulty/test_ops.h"
#include "tests/harness/sets/set_folder.h"

namespace dsv4 {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::SetFolder;

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

std::string load_error(const SetFolder& folder) {
  return error_of([&] { (void)folder.load(); });
}

const std::string kDigest = std::string(32, '0') + std::string(32, 'a');

json source_json(const char* path, const std::string& sha256, const json& releases) {
  return {{"path", path}, {"sha256", sha256}, {"releases", releases}};
}

/// Runs a case on this set. Returns its verdict and reason, or the error that ends the run.
std::string outcome(const SetFolder& folder, const std::string& op = "copy") {
  return error_of([&] {
    const auto set = open_set(folder.load(), known_abis());
    const auto right = testing::open_right();
    const CaseResult r = try_case(checked_case(testing::test_case_id(op, "none")), {*set, *right, *right});
    throw Error(std::string(name_of(r.verdict)) + ": " + r.reason);
  });
}

TEST(Manifest, AGoodManifestIsRead) {
  const SetFolder folder;
  const Manifest m = folder.load();
  EXPECT_EQ(m.name, "faulty");
  EXPECT_EQ(m.device, DeviceKind::kSimt);
  EXPECT_TRUE(m.errors_name_arguments);
  EXPECT_EQ(m.entries.size(), 3u);
  EXPECT_TRUE(m.has_op("test_copy"));
  EXPECT_FALSE(m.has_op("topk_v1"));
  EXPECT_EQ(m.modules.at("faulty.so").sha256, sha256_of_file((folder.path() / "faulty.so").string()));
  EXPECT_EQ(outcome(folder), "passed: ");
}

TEST(Manifest, SourcesAndBehaviourAreRead) {
  SetFolder folder;
  folder.manifest["modules"]["faulty.so"]["sources"] = {source_json("csrc/a.cuh", kDigest, {"0.5.13", "0.5.14"}),
                                                        source_json("include/b.h", kDigest, json::array())};
  folder.manifest["ops"][0]["behaviour"] = {"other_addresses"};
  folder.manifest["absent"] = {{{"op", "topk_v1"}, {"reason", "left out"}, {"left_out", true}},
                               {{"op", "hash_topk"}, {"reason", "does not build"}, {"params", {{"k", "512"}}}}};
  folder.manifest["uncovered"] = {source_json("csrc/c.cuh", kDigest, json::array()),
                                  source_json("csrc/d.cuh", kDigest, {"0.5.13"})};
  folder.manifest["uncovered"][0]["changed"] = true;
  folder.manifest["uncovered"][1]["changed"] = false;
  folder.manifest["uncovered"][1]["unmapped"] = true;
  folder.manifest["uncovered"][1]["functions"] = {"DKernel::run", "plan"};
  folder.manifest["uncalled"] = {{{"path", "csrc/a.cuh"}, {"functions", {"AKernel::plan"}}}};
  const Manifest m = folder.load();
  const std::vector<SourceFile>& sources = m.modules.at("faulty.so").sources;
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0].path, "csrc/a.cuh");
  EXPECT_EQ(sources[0].sha256, kDigest);
  EXPECT_THAT(sources[0].releases, ElementsAre("0.5.13", "0.5.14"));
  EXPECT_THAT(sources[1].releases, IsEmpty());
  EXPECT_THAT(m.entries[0].behaviour, ElementsAre("other_addresses"));
  EXPECT_THAT(m.entries[1].behaviour, IsEmpty());
  EXPECT_TRUE(m.absent.at(0).left_out);
  EXPECT_THAT(m.absent.at(0).params, IsEmpty());
  EXPECT_FALSE(m.absent.at(1).left_out);
  EXPECT_THAT(m.absent.at(1).params, ElementsAre(Pair("k", "512")));
  ASSERT_EQ(m.uncovered.size(), 2u);
  EXPECT_EQ(m.uncovered[0].path, "csrc/c.cuh");
  EXPECT_TRUE(m.uncovered[0].changed);
  EXPECT_FALSE(m.uncovered[1].changed);
  EXPECT_THAT(m.uncovered[1].releases, ElementsAre("0.5.13"));
  EXPECT_FALSE(m.uncovered[0].unmapped);
  EXPECT_THAT(m.uncovered[0].functions, IsEmpty());
  EXPECT_TRUE(m.uncovered[1].unmapped);
  EXPECT_THAT(m.uncovered[1].functions, ElementsAre("DKernel::run", "plan"));
  ASSERT_EQ(m.uncalled.size(), 1u);
  EXPECT_EQ(m.uncalled[0].path, "csrc/a.cuh");
  EXPECT_THAT(m.uncalled[0].functions, ElementsAre("AKernel::plan"));
}

TEST(Manifest, AnOlderManifestNamesNoSources) {
  SetFolder folder;
  folder.manifest["modules"]["faulty.so"].erase("sources");
  const Manifest m = folder.load();
  EXPECT_THAT(m.modules.at("faulty.so").sources, IsEmpty());
  EXPECT_THAT(m.uncovered, IsEmpty());
  EXPECT_THAT(m.uncalled, IsEmpty());
}

TEST(Manifest, InTreeModulesNameTheirSource) {
  const SetFolder folder;
  const Manifest m = folder.load();
  const std::vector<SourceFile>& sources = m.modules.at("faulty.so").sources;
  ASSERT_EQ(sources.size(), 1u);
  EXPECT_EQ(sources[0].path, m.modules.at("faulty.so").source);
  EXPECT_EQ(sources[0].sha256, folder.manifest["modules"]["faulty.so"]["source_sha256"].get<std::string>());
  EXPECT_THAT(sources[0].releases, IsEmpty());
}

TEST(Manifest, MissingAndUnreadableFilesAreRefused) {
  const SetFolder folder;
  EXPECT_THAT(error_of([&] { (void)Manifest::load(folder.path().string()); }),
              AllOf(HasSubstr("there is no manifest"), HasSubstr("manifest.json")));
  EXPECT_THAT(error_of([] { (void)Manifest::load("/nowhere/at/all"); }), HasSubstr("/nowhere/at/all/manifest.json"));
  for (const char* text : {"", "{", "not json", "{\"schema\": 1,}", "\xff\xfe"}) {
    folder.write(text);
    EXPECT_THAT(error_of([&] { (void)Manifest::load(folder.path().string()); }), HasSubstr("not JSON")) << text;
  }
  for (const char* text : {"[]", "1", "null", "\"manifest\"", "{}"}) {
    folder.write(text);
    EXPECT_THAT(error_of([&] { (void)Manifest::load(folder.path().string()); }),
                HasSubstr("the manifest has no field 'schema'"))
        << text;
  }
  folder.write(std::string(17u << 20, ' '));
  EXPECT_THAT(error_of([&] { (void)Manifest::load(folder.path().string()); }), HasSubstr("too large for a manifest"));
}

TEST(Manifest, OtherSchemasAreRefused) {
  SetFolder folder;
  for (const json& newer : {json(2), json(4294967297), json(18446744073709551615ull)}) {
    folder.manifest["schema"] = newer;
    EXPECT_THAT(load_error(folder), AllOf(HasSubstr("is newer than this tool"), HasSubstr("Update dsv4diff")));
  }
  for (const json& unknown : {json(0), json(-1), json(-4294967295)}) {
    folder.manifest["schema"] = unknown;
    EXPECT_THAT(load_error(folder), HasSubstr("is unknown"));
  }
  for (const json& wrong : {json("1"), json(1.0), json(true), json(nullptr)}) {
    folder.manifest["schema"] = wrong;
    EXPECT_THAT(load_error(folder), HasSubstr("field 'schema' is not an integer"));
  }
}

/// Each row of `wrong` has a field, a wrong value for this field, and the expected message.
TEST(Manifest, FieldsOfTheWrongTypeAreRefused) {
  const json good = SetFolder().manifest;
  const std::vector<std::tuple<std::string, json, const char*>> wrong{
      {"/name", 7, "field 'name' of the manifest is not a string"},
      {"/device", 7, "field 'device' of the manifest is not a string"},
      {"/device", "gpu", "device 'gpu' is not cpu, simt or cuda"},
      {"/errors_name_arguments", "yes", "field 'errors_name_arguments' of the manifest is not true or false"},
      {"/provenance", "me", "field 'provenance' of the manifest is not an object"},
      {"/modules", json::array(), "field 'modules' is not an object"},
      {"/modules/faulty.so", 1, "module 'faulty.so' has no field 'sha256'"},
      {"/modules/faulty.so/sha256", nullptr, "field 'sha256' of module 'faulty.so' is not a string"},
      {"/modules/faulty.so/source", 1, "field 'source' of module 'faulty.so' is not a string"},
      {"/modules/faulty.so/flags", "-O2", "field 'flags' of module 'faulty.so' is not a list"},
      {"/modules/faulty.so/edits", {1}, "field 'edits' of module 'faulty.so' contains something that is not a string"},
      {"/ops", json::object(), "field 'ops' is not a list"},
      {"/ops/0", "copy", "ops[0] has no field 'op'"},
      {"/ops/0/op", 1, "field 'op' of ops[0] is not a string"},
      {"/ops/1/aux", 1, "field 'aux' of ops[1] is not a string"},
      {"/ops/0/module", 1, "field 'module' of ops[0] is not a string"},
      {"/ops/0/module", "other.so", "ops[0] names module 'other.so', which is missing from 'modules'"},
      {"/ops/0/function", nullptr, "field 'function' of ops[0] is not a string"},
      {"/ops/0/abi", 1, "field 'abi' of ops[0] is not a string"},
      {"/ops/0/params", {"k"}, "field 'params' of ops[0] is not an object"},
      {"/ops/0/arity", "3", "field 'arity' of ops[0] is not a number of arguments"},
      {"/ops/0/arity", 4294967299, "field 'arity' of ops[0] is not a number of arguments"},
      {"/ops/0/arity", -1, "field 'arity' of ops[0] is not a number of arguments"},
      {"/absent", 1, "field 'absent' of the manifest is not a list"},
      {"/absent/0", "topk_v1", "absent[0] of the manifest has no field 'op'"},
      {"/absent/0",
       {{"op", "a"}, {"reason", "b"}, {"left_out", "yes"}},
       "'left_out' of absent[0] of the manifest is not"},
      {"/absent/0",
       {{"op", "a"}, {"reason", "b"}, {"params", 1}},
       "'params' of absent[0] of the manifest is not an object"},
      {"/ops/0/behaviour", "other", "field 'behaviour' of ops[0] is not a list"},
      {"/ops/0/behaviour", {1}, "field 'behaviour' of ops[0] contains something that is not a string"},
      {"/modules/faulty.so/sources", 1, "field 'sources' of module 'faulty.so' is not a list"},
      {"/modules/faulty.so/sources/0", "a.cuh", "sources[0] of module 'faulty.so' has no field 'path'"},
      {"/modules/faulty.so/sources/0", source_json("", kDigest, {}), "field 'path' of sources[0] of module"},
      {"/modules/faulty.so/sources/0", source_json("a.cuh", "12ab", {}),
       "'sha256' of sources[0] of module 'faulty.so' is"},
      {"/modules/faulty.so/sources/0", source_json("a.cuh", "X" + kDigest.substr(1), {}), "is not a SHA-256"},
      {"/modules/faulty.so/sources/0", source_json("a.cuh", kDigest, "0.5.13"),
       "field 'releases' of sources[0] of module"},
      {"/uncovered", json::object(), "field 'uncovered' of the manifest is not a list"},
      {"/uncovered/0", {{"path", "a.cuh"}}, "uncovered[0] of the manifest has no field 'sha256'"},
      {"/uncovered/0/changed", 1, "uncovered[0] of the manifest has no field 'path'"},
  };
  for (const auto& [path, value, text] : wrong) {
    SetFolder folder;
    folder.manifest = good;
    folder.manifest[json::json_pointer(path)] = value;
    EXPECT_THAT(load_error(folder), AllOf(HasSubstr(text), HasSubstr("manifest.json: "), HasSubstr("docs/sets.md")))
        << path;
  }
}

TEST(Manifest, MissingFieldsAreRefused) {
  const json good = SetFolder().manifest;
  for (const auto& [path, field] : std::vector<std::pair<std::string, std::string>>{{"", "name"},
                                                                                    {"", "device"},
                                                                                    {"", "modules"},
                                                                                    {"", "ops"},
                                                                                    {"/modules/faulty.so", "sha256"},
                                                                                    {"/ops/0", "op"},
                                                                                    {"/ops/0", "module"},
                                                                                    {"/ops/0", "function"},
                                                                                    {"/ops/0", "abi"},
                                                                                    {"/ops/0", "arity"}}) {
    SetFolder folder;
    folder.manifest = good;
    folder.manifest[json::json_pointer(path)].erase(field);
    EXPECT_THAT(load_error(folder), HasSubstr("has no field '" + field + "'")) << path;
  }
}

TEST(Manifest, ModulesOutsideTheFolderAreRefused) {
  for (const char* name : {"../faulty.so", "/lib/x86_64-linux-gnu/libc.so.6", "sub/faulty.so", "..", ".", ""}) {
    SetFolder folder;
    folder.manifest["modules"][name] = folder.manifest["modules"]["faulty.so"];
    EXPECT_THAT(load_error(folder), HasSubstr("is not a file name in the set's folder")) << name;
  }
}

TEST(SetErrors, AlteredModuleIsNotLoaded) {
  const SetFolder folder;
  std::ofstream(folder.path() / "faulty.so", std::ios::app) << "x";
  EXPECT_THAT(outcome(folder), AllOf(HasSubstr("set 'faulty', op 'test_copy', function 'copy' of faulty.so"),
                                     HasSubstr("SHA-256"), HasSubstr("build it again")));
}

TEST(SetErrors, AMissingModuleFileIsAnError) {
  const SetFolder folder;
  std::filesystem::remove(folder.path() / "faulty.so");
  EXPECT_THAT(outcome(folder), AllOf(HasSubstr("set 'faulty', op 'test_copy', function 'copy' of faulty.so"),
                                     HasSubstr("the module file is missing"), HasSubstr("Build the set again")));
}

TEST(SetErrors, AModuleThatIsNotALibraryIsAnError) {
  SetFolder folder;
  std::ofstream(folder.path() / "faulty.so") << "no library";
  folder.manifest["modules"]["faulty.so"]["sha256"] = sha256_of_file((folder.path() / "faulty.so").string());
  EXPECT_THAT(outcome(folder), AllOf(HasSubstr("op 'test_copy'"), HasSubstr("cannot be loaded")));
}

TEST(SetErrors, AMissingFunctionIsAnError) {
  SetFolder folder;
  for (json& entry : folder.manifest["ops"]) entry["function"] = "copy_that";
  EXPECT_THAT(outcome(folder), AllOf(HasSubstr("set 'faulty', op 'test_copy', function 'copy_that' of faulty.so"),
                                     HasSubstr("exports no such function"), HasSubstr("Build the set again")));
}

TEST(SetErrors, AWrongArityIsAnError) {
  SetFolder folder;
  for (json& entry : folder.manifest["ops"]) entry["arity"] = 5;
  EXPECT_THAT(outcome(folder),
              AllOf(HasSubstr("op 'test_copy', function 'copy'"), HasSubstr("takes 5 arguments, but the op passes 3"),
                    HasSubstr("build the set again")));
}

TEST(SetErrors, UnknownAbiVariantIsUnsupported) {
  SetFolder folder;
  for (json& entry : folder.manifest["ops"]) entry["abi"] = "test_copy/9";
  EXPECT_THAT(outcome(folder), AllOf(HasSubstr("unsupported: set 'faulty', op 'test_copy', function 'copy'"),
                                     HasSubstr("'test_copy/9' is unknown to this tool, which can call test_copy/1")));
}

TEST(SetErrors, AbsentOpsAndVariantsAreUnsupported) {
  SetFolder folder;
  folder.manifest["ops"] = json::array();
  folder.manifest["absent"] = {{{"op", "test_copy"}, {"reason", "not mapped yet"}}};
  EXPECT_EQ(outcome(folder), "unsupported: set 'faulty' has no op 'test_copy': not mapped yet");
  EXPECT_EQ(outcome(folder, "plan"), "unsupported: set 'faulty' has no op 'test_plan'");
  SetFolder other;
  for (json& entry : other.manifest["ops"]) entry["params"] = {{"k", "512"}};
  EXPECT_THAT(outcome(other), HasSubstr("unsupported: set 'faulty' has no variant of 'test_copy'"));
  EXPECT_THAT(outcome(other), HasSubstr("it has k=512"));
}

TEST(Manifest, TwoFunctionsForOneVariantAreRefused) {
  SetFolder folder;
  folder.manifest["ops"].push_back(folder.manifest["ops"].front());
  EXPECT_THAT(load_error(folder), HasSubstr("is a second function for the same op, parameters and ABI"));
  folder.manifest["ops"].back()["params"] = {{"k", "512"}};
  EXPECT_NO_THROW((void)folder.load());
}

TEST(Manifest, AFunctionMayServeSeveralValuesOfAParameter) {
  SetFolder folder;
  for (json& entry : folder.manifest["ops"]) entry["params"] = {{"head_dim", "128|512"}, {"dtype", "f32"}};
  const Manifest m = folder.load();
  const auto serves = [&](const std::string& head_dim) {
    Call call;
    call.op = "test_copy";
    call.compile.set("head_dim", head_dim);
    call.compile.set("dtype", "f32");
    return m.find(call) != nullptr;
  };
  EXPECT_TRUE(serves("128"));
  EXPECT_TRUE(serves("512"));
  for (const char* other : {"12", "256", "28", "128|512", ""}) EXPECT_FALSE(serves(other)) << other;
}

TEST(SetErrors, ACudaSetNeedsAGpu) {
  if (device_available(DeviceKind::kCuda)) GTEST_SKIP() << "this machine has a GPU";
  SetFolder folder;
  folder.manifest["device"] = "cuda";
  EXPECT_THAT(outcome(folder), AllOf(HasSubstr("set 'faulty' needs a GPU"), HasSubstr("--set host")));
  std::string why;
  EXPECT_FALSE(device_available(DeviceKind::kCuda, &why));
  EXPECT_THAT(why, HasSubstr("CUDA driver"));
}

TEST(FindSet, SetsAreFoundByNameAndByPathOrSuggested) {
  const SetFolder folder;
  folder.write(folder.manifest.dump());
  EXPECT_EQ(find_set(folder.path().string()).name, "faulty");
  EXPECT_EQ(find_set((folder.path() / ".").string()).name, "faulty");

  const auto root = folder.path() / "roots";
  std::filesystem::create_directories(root / "mine");
  std::filesystem::copy_file(folder.path() / "manifest.json", root / "mine" / "manifest.json");
  ::setenv("DSV4DIFF_SETS", (":" + root.string() + ":").c_str(), 1);
  EXPECT_EQ(find_set("mine").folder, (root / "mine").string());
  const auto names = installed_sets();
  EXPECT_NE(std::ranges::find(names, "mine"), names.end());
  EXPECT_THAT(error_of([] { (void)find_set("mime"); }),
              AllOf(HasSubstr("unknown set 'mime', did you mean 'mine'?"), HasSubstr("Installed: ")));
  ::unsetenv("DSV4DIFF_SETS");
  EXPECT_THAT(error_of([] { (void)find_set("no/such/folder"); }), HasSubstr("unknown set 'no/such/folder'"));
  EXPECT_THAT(error_of([] { (void)find_set(""); }), HasSubstr("unknown set ''"));
  EXPECT_THAT(error_of([] { (void)find_set(std::string(100000, 'x')); }), ::testing::SizeIs(::testing::Lt(2000u)));
}

}  // namespace
}  // namespace dsv4
