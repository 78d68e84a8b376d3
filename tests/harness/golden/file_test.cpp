#include "harness/golden/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <random>

#include "harness/golden/files.h"
#include "harness/golden/hdf5.h"
#include "harness/golden/index.h"
#include "tests/harness/golden/support.h"

namespace dsv4 {
namespace {

using namespace golden_test;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr const char* kOp = "golden_probe";

std::string json_of(const Golden& g) {
  return nlohmann::json{{"op", g.op}, {"set", g.set}, {"provenance", g.provenance}, {"entries", g.entries}}.dump();
}

/// A temporary folder, and the paths of the two files of a golden in it.
struct GoldenFileTest : testing::Test {
  TempFolder folder;
  std::string path = golden_path(folder.str(), kOp, "good");
  std::string index = index_path(path);

  void record(const Golden& g = sample_golden()) const { write_golden(path, g); }
  [[nodiscard]] std::string refusal(const std::string& op = kOp) const {
    return error_of([&] { read_golden(path, op); });
  }
  /// Writes both files of a golden: `image` as the HDF5 file, and an index whose checksums match `image`.
  void spill_pair(const Bytes& image, std::int64_t schema = kGoldenSchema) const {
    Golden g = sample_golden();
    normalize(g);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    spill(path, std::string(image.begin(), image.end()));
    spill(index, format_index(g, image, schema));
  }
};

TEST_F(GoldenFileTest, RoundTrip) {
  Golden g = sample_golden();
  EXPECT_EQ(write_golden(path, g).change, GoldenChange::kNew);
  normalize(g);
  EXPECT_EQ(json_of(read_golden(path, kOp)), json_of(g));
}

TEST_F(GoldenFileTest, RoundTripWithoutCasesAndWithoutOutputs) {
  Golden g{kOp, "good", {}, {}};
  record(g);
  EXPECT_EQ(json_of(read_golden(path, kOp)), json_of(g));
  GoldenEntry bare;
  bare.id = "golden_probe/n=1,judge=exact/seed=1";
  bare.set = "good";
  g.entries = {bare};
  EXPECT_EQ(write_golden(path, g).change, GoldenChange::kChanged);
  EXPECT_EQ(json_of(read_golden(path, kOp)), json_of(g));
}

TEST_F(GoldenFileTest, FilesDoNotDependOnUninitialisedMemory) {
  record();
  const std::string other = golden_path(folder / "other", kOp, "good");
  mallopt(M_PERTURB, 0x5a);  // malloc() now fills memory with this byte, so bytes that nothing wrote would differ
  write_golden(other, sample_golden());
  mallopt(M_PERTURB, 0);
  EXPECT_EQ(slurp(path), slurp(other));
  EXPECT_EQ(slurp(index), slurp(index_path(other)));
}

TEST_F(GoldenFileTest, OrderOfRecordingDoesNotMatter) {
  record();
  Golden g = sample_golden();
  std::mt19937 random(7);
  std::ranges::shuffle(g.entries, random);
  const std::string other = golden_path(folder / "other", kOp, "good");
  write_golden(other, g);
  EXPECT_EQ(slurp(path), slurp(other));
  EXPECT_EQ(slurp(index), slurp(index_path(other)));
}

TEST_F(GoldenFileTest, AnUnchangedRecordingDoesNotWriteTheFiles) {
  record();
  const auto before = std::filesystem::last_write_time(path);
  std::filesystem::last_write_time(path, before - std::chrono::hours(1));
  EXPECT_EQ(write_golden(path, sample_golden()).change, GoldenChange::kUnchanged);
  EXPECT_EQ(std::filesystem::last_write_time(path), before - std::chrono::hours(1));
  Golden g = sample_golden();
  g.provenance["driver"] = "580";
  EXPECT_EQ(write_golden(path, g).change, GoldenChange::kChanged);
  spill(index, "junk");
  EXPECT_EQ(write_golden(path, g).change, GoldenChange::kChanged);
  EXPECT_EQ(json_of(read_golden(path, kOp)).find("580") != std::string::npos, true);
}

TEST_F(GoldenFileTest, WritingCountsAddedChangedAndRemovedCases) {
  record();
  Golden g = sample_golden();
  g.entries.erase(g.entries.begin(), g.entries.begin() + 3);
  g.entries.back().inputs[0] ^= 1;
  const GoldenWriting less = write_golden(path, g);
  EXPECT_EQ(less.difference, (GoldenDifference{.added = 0, .changed = 1, .removed = 3, .origin = false}));
  EXPECT_EQ(less.damage, "");
  EXPECT_EQ(write_golden(path, g).difference, GoldenDifference{});
  g = sample_golden();
  g.provenance["driver"] = "580";
  EXPECT_EQ(write_golden(path, g).difference,
            (GoldenDifference{.added = 3, .changed = 1, .removed = 0, .origin = true}));

  spill(index, "junk");
  const GoldenWriting repaired = write_golden(path, g);
  EXPECT_EQ(repaired.change, GoldenChange::kChanged);
  EXPECT_EQ(repaired.difference, GoldenDifference{});
  EXPECT_THAT(repaired.damage, AllOf(HasSubstr(index), HasSubstr("is not the index of a golden")));
}

TEST(GoldenDifferences, AreCountedCaseByCase) {
  Golden none = sample_golden(0), some = sample_golden(5), more = sample_golden(12);
  for (Golden* g : {&none, &some, &more}) normalize(*g);
  EXPECT_EQ(difference(more, more), GoldenDifference{});
  EXPECT_EQ(difference(none, more), (GoldenDifference{.added = 12}));
  EXPECT_EQ(difference(more, none), (GoldenDifference{.removed = 12}));
  EXPECT_EQ(difference(some, more), (GoldenDifference{.added = 7}));
  EXPECT_EQ(difference(more, some), (GoldenDifference{.removed = 7}));
  Golden other = more;
  other.entries.front().id += "0";  // still sorted; counts as one case removed and one added
  other.entries.back().inputs[0] ^= 1;
  EXPECT_EQ(difference(more, other), (GoldenDifference{.added = 1, .changed = 1, .removed = 1}));
  other = more;
  other.set = "bad";
  EXPECT_EQ(difference(more, other), (GoldenDifference{.origin = true}));
}

TEST_F(GoldenFileTest, RefusesToWriteInvalidGoldens) {
  Golden twice = sample_golden();
  twice.entries.push_back(twice.entries[0]);
  EXPECT_THAT(error_of([&] { write_golden(path, twice); }), HasSubstr("occurs twice"));
  Golden foreign = sample_golden();
  foreign.op = "other";
  EXPECT_THAT(error_of([&] { write_golden(path, foreign); }), HasSubstr("does not belong to op 'other'"));
  Golden mixed = sample_golden();
  mixed.entries[1].set = "cuda";
  EXPECT_THAT(error_of([&] { write_golden(path, mixed); }), HasSubstr("recorded from set 'cuda'"));
  Golden multiline = sample_golden();
  multiline.provenance["compiler"] = "g++\n12";
  EXPECT_THAT(error_of([&] { write_golden(path, multiline); }), HasSubstr("control characters"));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_THROW(golden_path("golden", "../etc", "good"), Error);
  EXPECT_THROW(golden_path("golden", "op", "a/b"), Error);
}

TEST_F(GoldenFileTest, ErrorsOfMissingFilesSayHowToRecord) {
  EXPECT_THAT(refusal(), AllOf(HasSubstr(path), HasSubstr("no such golden"),
                               HasSubstr("dsv4diff record --op golden_probe --set good")));
  record();
  std::filesystem::remove(index);
  EXPECT_THAT(refusal(), AllOf(HasSubstr(index), HasSubstr("missing")));
}

TEST_F(GoldenFileTest, FilesThatAreNotGoldensAreRefused) {
  record();
  const std::string good = slurp(path);
  spill(path, "these are not the bytes you are looking for\n");
  EXPECT_THAT(refusal(), HasSubstr("is not an HDF5 file"));
  spill(path, "");
  EXPECT_THAT(refusal(), HasSubstr("is not an HDF5 file"));
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_THAT(refusal(), HasSubstr("is not a regular file"));
  std::filesystem::remove(path);
  spill(path, good + "more");
  EXPECT_THAT(refusal(), HasSubstr("checksum"));
  spill(path, good);
  EXPECT_EQ(refusal(), "");
}

TEST_F(GoldenFileTest, EveryTruncationIsRefused) {
  record();
  const std::string h5 = slurp(path);
  const std::string text = slurp(index);
  for (std::size_t n = 0; n < h5.size(); n += 1 + h5.size() / 97) {
    spill(path, h5.substr(0, n));
    EXPECT_NE(refusal(), "") << n;
  }
  spill(path, h5);
  for (std::size_t n = 0; n < text.size(); n += 1 + text.size() / 97) {
    spill(index, text.substr(0, n));
    EXPECT_NE(refusal(), "") << n;
  }
}

TEST_F(GoldenFileTest, EveryFlippedBitIsRefused) {
  record();
  std::mt19937 random(1);
  for (const std::string& file : {path, index}) {
    const std::string good = slurp(file);
    for (int i = 0; i < 400; ++i) {
      std::string bad = good;
      bad[random() % bad.size()] ^= static_cast<char>(1U << (random() % 8));
      spill(file, bad);
      EXPECT_NE(refusal(), "") << file << " flip " << i;
    }
    spill(file, good);
  }
  EXPECT_EQ(refusal(), "");
}

TEST_F(GoldenFileTest, OtherOpAndOtherSetAreRefused) {
  record();
  EXPECT_THAT(refusal("topk_v1"), HasSubstr("holds goldens of op 'golden_probe', 'topk_v1' was expected"));
  const std::string renamed = golden_path(folder.str(), kOp, "cuda");
  std::filesystem::copy(path, renamed);
  std::filesystem::copy(index, index_path(renamed));
  EXPECT_THAT(error_of([&] { read_golden(renamed, kOp); }), HasSubstr("recorded from set 'good', but is named"));
}

TEST_F(GoldenFileTest, OtherSchemasAreRefusedInBothFiles) {
  Golden g = sample_golden();
  normalize(g);
  spill_pair(encode_golden(g, kGoldenSchema + 1), kGoldenSchema + 1);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("schema 2"), HasSubstr("newer")));
  spill_pair(encode_golden(g, 0), 0);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("schema 0"), HasSubstr("older"), HasSubstr("record it again")));
  spill_pair(encode_golden(g, kGoldenSchema + 1));
  EXPECT_THAT(refusal(), HasSubstr("has schema 2, this dsv4diff reads schema 1"));
}

TEST_F(GoldenFileTest, AnHdf5FileOfOtherContentIsRefused) {
  Hdf5Writer empty;
  spill_pair(empty.finish());
  EXPECT_THAT(refusal(), HasSubstr("attribute 'schema' is missing"));
  Hdf5Writer text;
  text.attribute("schema", "one");
  spill_pair(text.finish());
  EXPECT_THAT(refusal(), HasSubstr("attribute 'schema' is not one 64-bit integer"));
  Hdf5Writer bare;
  bare.attribute("schema", kGoldenSchema);
  bare.attribute("op", kOp);
  bare.attribute("set", "good");
  bare.attribute("provenance", "{}");
  bare.strings("case_id", {"golden_probe/n=1,judge=exact/seed=1"});
  const std::vector<std::uint8_t> digest(16);
  bare.numbers<std::uint8_t>("case_inputs", digest, Hdf5Packing::kPlain, 16);
  spill_pair(bare.finish());
  EXPECT_THAT(refusal(), HasSubstr("data set 'case_verdict' is missing"));
}

TEST_F(GoldenFileTest, TheTwoFilesMustBelongTogether) {
  record();
  const std::string old_text = slurp(index);
  const std::string old_h5 = slurp(path);
  record(sample_golden(6));
  const std::string new_text = slurp(index);
  spill(index, old_text);
  EXPECT_THAT(refusal(), HasSubstr("checksum"));
  spill(index, new_text);
  spill(path, old_h5);
  EXPECT_THAT(refusal(), HasSubstr("checksum"));
}

TEST_F(GoldenFileTest, ARecordingStoppedBetweenItsRenamesCanBeRead) {
  record();
  const std::string old_text = slurp(index);
  record(sample_golden(6));
  std::filesystem::rename(index, temporary_name(index));
  spill(index, old_text);
  EXPECT_EQ(read_golden(path, kOp).entries.size(), 6U);
  EXPECT_EQ(write_golden(path, sample_golden(6)).change, GoldenChange::kChanged);
  EXPECT_FALSE(std::filesystem::exists(temporary_name(index)));
  EXPECT_EQ(read_golden(path, kOp).entries.size(), 6U);
}

TEST_F(GoldenFileTest, AFullDiskKeepsTheOldGolden) {
  record();
  const std::string before = slurp(path) + slurp(index);
  // The limit on file sizes makes write() fail partway, as it does on a full disk.
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t limit : {rlim_t{0}, rlim_t{1000}, static_cast<rlim_t>(std::filesystem::file_size(path) - 1)}) {
    rlimit tight = old;
    tight.rlim_cur = limit;
    setrlimit(RLIMIT_FSIZE, &tight);
    Golden g = sample_golden();
    g.provenance["driver"] = "580";
    const std::string message = error_of([&] { write_golden(path, g); });
    setrlimit(RLIMIT_FSIZE, &old);
    EXPECT_THAT(message, HasSubstr("is unchanged"));
    EXPECT_EQ(slurp(path) + slurp(index), before);
    EXPECT_FALSE(std::filesystem::exists(temporary_name(path)));
    EXPECT_FALSE(std::filesystem::exists(temporary_name(index)));
  }
  std::signal(SIGXFSZ, old_handler);
  EXPECT_EQ(refusal(), "");
}

TEST_F(GoldenFileTest, AFolderThatCannotBeWrittenIsAnError) {
  EXPECT_THAT(error_of([&] { write_golden(golden_path("/proc", kOp, "good"), sample_golden()); }),
              StartsWith("/proc/golden_probe: the folder cannot be made"));
  spill(folder / "file", "x");
  EXPECT_THAT(error_of([&] { write_golden(golden_path(folder / "file", kOp, "good"), sample_golden()); }),
              HasSubstr("cannot be made"));
  // A folder has the path of the golden's HDF5 file.
  std::filesystem::create_directories(path + "/inside");
  EXPECT_THAT(error_of([&] { record(); }), HasSubstr("cannot be replaced"));
}

TEST_F(GoldenFileTest, ASecondWriterIsRefused) {
  record();
  const std::string before = slurp(path);
  const int other = ::open(temporary_name(path).c_str(), O_RDWR | O_CREAT, 0644);
  ASSERT_GE(other, 0);
  ASSERT_EQ(::flock(other, LOCK_EX), 0);
  Golden g = sample_golden();
  g.provenance["driver"] = "580";
  EXPECT_THAT(error_of([&] { write_golden(path, g); }), HasSubstr("another process is writing it"));
  EXPECT_TRUE(std::filesystem::exists(temporary_name(path)));
  ::close(other);
  EXPECT_EQ(slurp(path), before);
  EXPECT_EQ(write_golden(path, g).change, GoldenChange::kChanged);
}

TEST_F(GoldenFileTest, ListsRecordedOpsAndSets) {
  EXPECT_TRUE(recorded_ops(folder.str(), "good").empty());
  EXPECT_TRUE(recorded_ops(folder / "nothing", "good").empty());
  record();
  EXPECT_EQ(recorded_ops(folder.str(), "good"), std::vector<std::string>{kOp});
  EXPECT_TRUE(recorded_ops(folder.str(), "cuda").empty());
  EXPECT_EQ(recorded_sets(folder.str()), std::vector<std::string>{"good"});
  std::filesystem::remove(path);  // the index still lists the op, so that the loss is noticed
  EXPECT_EQ(recorded_ops(folder.str(), "good"), std::vector<std::string>{kOp});
  EXPECT_THAT(refusal(), HasSubstr("there is no such golden"));
}

TEST_F(GoldenFileTest, ACaseTakesFewBytes) {
  // Each case has two outputs, one of which is large. Its id is as long as the ids of real cases. The repository holds
  // thousands of cases of this kind.
  Golden g = sample_golden(12);
  Golden many{g.op, g.set, g.provenance, {}};
  for (int i = 0; i < 240; ++i) {
    const auto u = static_cast<std::size_t>(i);
    GoldenEntry e = g.entries[u % g.entries.size()];
    e.id = "golden_probe/ratio=4,batch=" + std::to_string(i) +
           ",len=8193,page=64,layout=flashmla,fill=wide_exponents/seed=1";
    std::mt19937_64 random(u);
    for (std::uint8_t& b : e.inputs) b = static_cast<std::uint8_t>(random());
    for (GoldenOutput& o : e.outputs) {
      for (std::uint8_t& b : o.kept) b = static_cast<std::uint8_t>(random());  // cannot be compressed, like floats
      for (std::uint64_t& b : o.blocks) b = random();
      for (double* x : {&o.statistics.min, &o.statistics.max, &o.statistics.sum, &o.tightness})
        *x = static_cast<double>(random()) / 3;
      o.digest = o.full() ? digest_of(o.kept) : digest_of(e.inputs);
    }
    many.entries.push_back(e);
  }
  record(many);
  const auto h5 = static_cast<double>(std::filesystem::file_size(path)) / 240;
  const auto text = static_cast<double>(std::filesystem::file_size(index)) / 240;
  RecordProperty("h5_bytes_per_case", static_cast<int>(h5));
  RecordProperty("index_bytes_per_case", static_cast<int>(text));
  EXPECT_LE(h5, 700);
  EXPECT_LE(text, 320);
}

TEST(GoldenIndex, ALineShowsVerdictDigestsAndStatistics) {
  const Golden g = sample_golden(6);
  EXPECT_EQ(index_line(g.entries[1]),
            "golden_probe/n=8,judge=exact/seed=1 in=" + hex(g.entries[1].inputs).substr(0, 12) +
                " passed t=0 | y f32[8] " + hex(g.entries[1].outputs[0].digest).substr(0, 12) +
                " 0.25..12.5 sum=51 | first f32[1] " + hex(g.entries[1].outputs[1].digest).substr(0, 12) +
                " 0..0 sum=0 zero=1");
  GoldenEntry known = g.entries[5];
  known.verdict = Verdict::kKnown;
  known.known_fault = "probe-fault";
  EXPECT_THAT(index_line(known), AllOf(HasSubstr(" known(probe-fault) t="), HasSubstr("nan=1"), HasSubstr("inf=1")));
  EXPECT_THAT(index_line(known), Not(HasSubstr("!"))) << "without a finding, a line has no further field";
  known.findings = "guard: 4 bytes after 'scores' changed (and 2 more)";
  EXPECT_THAT(index_line(known), EndsWith(" ! guard: 4 bytes after 'scores' changed (and 2 more)"));
}

}  // namespace
}  // namespace dsv4
