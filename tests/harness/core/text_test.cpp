#include "harness/core/text.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace dsv4 {
namespace {

TEST(Text, ControlCharactersArePrintedAsEscapes) {
  EXPECT_EQ(printable("a\x1b[2Jb\x7f\n"), "a\\x1b[2Jb\\x7f\n");
  EXPECT_EQ(one_line("a\nb\tc\r"), "a b c\\x0d");
  EXPECT_EQ(printable("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae") << "a direction override must be escaped";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate must be escaped";
}

TEST(Text, LongNamesAreShortened) {
  EXPECT_EQ(shortened("topk_v1"), "topk_v1");
  EXPECT_EQ(shortened("abcdef", 6), "abcdef");
  EXPECT_EQ(shortened("abcdefg", 6), "abcdef... (7 characters)");
  EXPECT_LT(shortened(std::string(100000, 'x')).size(), 250u);
}

TEST(Text, EmptyPartsAreLeftOut) {
  using Parts = std::vector<std::string>;
  EXPECT_EQ(split("128|512", '|'), (Parts{"128", "512"}));
  EXPECT_EQ(split("pages*page", '|'), (Parts{"pages*page"}));
  EXPECT_EQ(split(" a  b ", ' '), (Parts{"a", "b"}));
  EXPECT_EQ(split("", ':'), Parts{});
}

TEST(Text, LimitsOfTheShellAreNamed) {
  EXPECT_EQ(describe_errno(ENOSPC), "No space left on device");
  EXPECT_NE(describe_errno(EFBIG).find("ulimit -f"), std::string::npos);
  EXPECT_NE(describe_errno(EMFILE).find("ulimit -n"), std::string::npos);
}

TEST(Text, ColumnsAlign) {
  EXPECT_EQ(align({{"op", "n"}, {"ä", "100"}, {"longer", "1"}}, {false, true}),
            "op        n\nä       100\nlonger    1\n");
}

TEST(Text, LinesAreBrokenBetweenWords) {
  EXPECT_EQ(wrap("one two three", 80, 2), "one two three");
  EXPECT_EQ(wrap("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(wrap("one two three", 3, 2), "one\n  two\n  three");
  EXPECT_EQ(wrap("a longer_than_a_line b", 8, 2), "a\n  longer_than_a_line\n  b");
  EXPECT_EQ(wrap("ää ää", 5, 0), "ää ää") << "characters count, not bytes";
  EXPECT_EQ(wrap("", 5, 2), "");
}

TEST(Text, OneThingHasNoPlural) {
  EXPECT_EQ(count_of(1, "case"), "1 case");
  EXPECT_EQ(count_of(0, "case"), "0 cases");
  EXPECT_EQ(count_of(2, "case is", "cases are"), "2 cases are");
}

}  // namespace
}  // namespace dsv4
