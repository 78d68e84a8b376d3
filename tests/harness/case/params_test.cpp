#include "harness/case/params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;

template <class F>
std::string error_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Params, KeepOrderAndReplaceInPlace) {
  Params p;
  p.set("k", 512).set("fill", "ties").set("raw", std::int64_t{1}).set("k", 1024);
  EXPECT_EQ(p.str(), "k=1024,fill=ties,raw=1");
  EXPECT_EQ(p.integer("k"), 1024);
  EXPECT_TRUE(p.flag("raw"));
  EXPECT_TRUE(p.is("fill", "ties"));
  EXPECT_FALSE(p.has("page"));
  EXPECT_EQ((Params{{"a", "1"}, {"b", "2"}}), Params().set("a", 1).set("b", 2));
  EXPECT_NE((Params{{"a", "1"}, {"b", "2"}}), (Params{{"b", "2"}, {"a", "1"}}));
}

TEST(Params, ErrorsNameTheParameter) {
  const Params p{{"k", "512"}, {"fill", "ties"}, {"raw", "2"}};
  EXPECT_EQ(error_of([&] { (void)p.text("page"); }), "parameter 'page' is missing from 'k=512,fill=ties,raw=2'");
  EXPECT_EQ(error_of([&] { (void)p.integer("fill"); }), "parameter 'fill': 'ties' is not an integer");
  EXPECT_EQ(error_of([&] { (void)p.flag("raw"); }), "parameter 'raw': '2' is neither 0 nor 1");
  EXPECT_THAT(error_of([&] { (void)p.is("page", "1"); }), HasSubstr("missing"));
}

TEST(Params, IntegersHaveOneSpelling) {
  for (const char* good : {"0", "-1", "9223372036854775807", "-9223372036854775808"}) {
    EXPECT_EQ(std::to_string(Params{{"n", good}}.integer("n")), good);
  }
  for (const char* bad : {"", "+1", "01", "-0", "1 ", " 1", "1.0", "1e3", "0x10", "9223372036854775808", "--1"}) {
    EXPECT_THAT(error_of([&] { (void)Params{{"n", bad}}.integer("n"); }), HasSubstr("is not an integer")) << bad;
  }
}

TEST(ParamSpec, ChoicesAreAClosedList) {
  const ParamSpec spec = ParamSpec::choice("fill", {"ties", "gauss"}, "the scores");
  EXPECT_FALSE(spec.reject("ties"));
  EXPECT_EQ(spec.reject("tie").value(), "'tie' is not a value of 'fill', which is one of ties, gauss");
  EXPECT_TRUE(spec.reject(""));
  EXPECT_TRUE(spec.reject("Ties"));
}

TEST(ParamSpec, RangesAreInclusive) {
  const ParamSpec spec = ParamSpec::integer("rows", -1, 4, "tokens");
  for (const char* good : {"-1", "0", "4"}) EXPECT_FALSE(spec.reject(good)) << good;
  EXPECT_EQ(spec.reject("5").value(), "rows=5 is out of range [-1, 4]");
  EXPECT_EQ(spec.reject("-2").value(), "rows=-2 is out of range [-1, 4]");
  for (const char* bad : {"", "x", "04", "1.5", "99999999999999999999"}) {
    EXPECT_THAT(spec.reject(bad).value_or("accepted"),
                HasSubstr("is not a value of 'rows', which is an integer in [-1, 4]"))
        << bad;
  }
}

}  // namespace
}  // namespace dsv4
