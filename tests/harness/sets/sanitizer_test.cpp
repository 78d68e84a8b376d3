#include "harness/sets/sanitizer.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "harness/core/error.h"
#include "tests/harness/sets/set_folder.h"

namespace dsv4 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::SetFolder;

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Sanitizer, ModulesOfThisBuildHaveThatOfThisProgram) {
  const SetFolder folder;
  EXPECT_EQ(sanitizer_of_module((folder.path() / "faulty.so").string()), sanitizer_of_program());
  EXPECT_EQ(why_other_sanitizer(folder.load()), "");
}

TEST(Sanitizer, AProgramWithAnotherSanitizerCannotUseASet) {
  const SetFolder folder;
  const Manifest set = folder.load();
  const std::string own = sanitizer_of_program().empty() ? "AddressSanitizer" : "";
  EXPECT_THAT(why_other_sanitizer(set, own), AllOf(HasSubstr("set 'faulty' is built with"), HasSubstr("faulty.so"),
                                                   HasSubstr("scripts/setup --with-sanitizers")));
  EXPECT_THAT(why_other_sanitizer(set, "ThreadSanitizer"), HasSubstr("this dsv4diff with ThreadSanitizer"));
}

TEST(Sanitizer, GpuSetsAreNotChecked) {
  SetFolder folder;
  folder.manifest["device"] = "cuda";
  EXPECT_EQ(why_other_sanitizer(folder.load(), "ThreadSanitizer"), "");
}

// The digest of a module is checked later, when the module is used. So the file may hold anything here.
TEST(Sanitizer, DamagedFilesHaveNone) {
  const SetFolder folder;
  const auto module = folder.path() / "faulty.so";
  const std::string whole = bytes_of(module);
  const auto with = [&](const std::string& bytes) {
    std::ofstream(module, std::ios::binary) << bytes;
    return sanitizer_of_module(module.string());
  };
  EXPECT_EQ(sanitizer_of_module("/nowhere/at/all.so"), "");
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, sizeof(Elf64_Ehdr), whole.size() / 2})
    EXPECT_EQ(with(whole.substr(0, size)), "") << size;
  EXPECT_EQ(with("not a library at all, but a text that is longer than the header of a library would be"), "");
  std::string endless = whole;
  Elf64_Ehdr header;
  std::memcpy(&header, endless.data(), sizeof header);
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const std::uint64_t size = ~std::uint64_t{0};
    std::memcpy(endless.data() + header.e_shoff + i * sizeof(Elf64_Shdr) + offsetof(Elf64_Shdr, sh_size), &size,
                sizeof size);
  }
  EXPECT_EQ(with(endless), "");
}

}  // namespace
}  // namespace dsv4
