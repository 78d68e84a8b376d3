#include "harness/report/write.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

class Write : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(::testing::TempDir()) / ("report ä " + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::filesystem::path folder_;
};

TEST_F(Write, WritingReplacesTheWholeFile) {
  write_report(path("a.json"), "one");
  write_report(path("a.json"), "two");
  std::ifstream file(path("a.json"));
  std::string text;
  std::getline(file, text);
  EXPECT_EQ(text, "two");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1) << "a temporary file is left";
}

TEST_F(Write, AnOldReportIsReplacedButADeviceIsNotWrittenTo) {
  write_report(path("a.xml"), "green");
  replace_old_report(path("a.xml"), "unfinished");
  std::ifstream file(path("a.xml"));
  std::string text;
  std::getline(file, text);
  EXPECT_EQ(text, "unfinished");
  replace_old_report("/dev/full", "unfinished");  // writing would throw
  EXPECT_THROW(replace_old_report(path("no/such/folder.json"), "text"), Error);
}

TEST_F(Write, PathsThatCannotBeWrittenAreErrors) {
  EXPECT_THROW(write_report("/dev/full", "text"), Error);
  EXPECT_THROW(write_report(path("no/such/folder.json"), "text"), Error);
  EXPECT_THROW(check_report_path("--json", path("no/such/folder.json")), Error);
  EXPECT_THROW(check_report_path("--json", folder_.string()), Error);
  EXPECT_THROW(check_report_path("--json", ""), Error);
  check_report_path("--json", path("new.json"));
  check_report_path("--json", "/dev/full");
}

TEST_F(Write, TwoNamesOfOneFileAreRecognised) {
  EXPECT_TRUE(same_file(path("new"), path("./new")));
  EXPECT_TRUE(same_file(path("new"), path("no/../new")));
  EXPECT_FALSE(same_file(path("new"), path("other")));
  write_report(path("a"), "text");
  std::filesystem::create_symlink(path("a"), path("link"));
  std::filesystem::create_hard_link(path("a"), path("hard"));
  EXPECT_TRUE(same_file(path("a"), path("link")));
  EXPECT_TRUE(same_file(path("a"), path("hard")));
  EXPECT_FALSE(same_file("/dev/null", "/dev/null")) << "two reports may both be written to /dev/null";
}

}  // namespace
}  // namespace dsv4
