#include "harness/op/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

using ::testing::HasSubstr;
using enum DType;

const Signature kSignature{
    {inout("ids", {kI32}, "rows k:columns", {.called = "i", .gap_of = "gap"}),
     in("slots", {kI32, kI64}, "rows", {.dtype_of = "index"}), in("table", {kF32}, "entries 64"),
     in("extra", {kF32}, "k", {.optional = true}), in("count", {kI32}, "1:size", {.place = Place::kHost}),
     integer("page"), real("factor"), truth("inverse")},
    "rows"};

Call sample() {
  Call call = kSignature.allocate("op", {}, {{"index", "i64"}, {"gap", "2"}}, {{"rows", 3}, {"k", 5}, {"entries", 9}});
  call.arg("extra").value = None{};
  return call;
}

std::string error_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Signature, AllocatesTensorsOfTheGivenSizes) {
  const Call call = sample();
  ASSERT_EQ(call.args.size(), 8u);
  EXPECT_EQ(call.tensor("ids").shape, (Shape{3, 5}));
  EXPECT_EQ(call.tensor("ids").strides, (Shape{7, 1}));
  EXPECT_EQ(call.tensor("ids").storage.size(), 3u * 7 * 4);
  EXPECT_EQ(call.tensor("slots").dtype, kI64);
  EXPECT_EQ(call.tensor("table").shape, (Shape{9, 64}));
  EXPECT_EQ(call.arg("count").place, Place::kHost);
  EXPECT_EQ(call.arg("ids").role, Role::kInOut);
  EXPECT_EQ(std::get<bool>(call.arg("inverse").value), false);
  EXPECT_EQ(std::get<double>(call.arg("factor").value), 0.0);
}

TEST(Signature, AnOptionalTensorOfUnknownSizeIsAbsent) {
  const Call call =
      kSignature.allocate("op", {}, {{"index", "i32"}, {"gap", "0"}}, {{"rows", 3}, {"entries", 9}, {"k", 1}});
  EXPECT_TRUE(call.arg("extra").is_tensor());
  const Signature optional{{in("a", {kF32}, "n", {.optional = true})}};
  EXPECT_FALSE(optional.allocate("op", {}, {}, {}).arg("a").is_tensor());
  const Signature needed{{in("a", {kF32}, "n")}};
  EXPECT_THAT(error_of([&] { (void)needed.allocate("op", {}, {}, {}); }), HasSubstr("argument 'a' is of another kind"));
}

TEST(Signature, FindsCallsThatDoNotMatchTheDeclaration) {
  EXPECT_EQ(kSignature.sizes_of(sample()), (Sizes{{"rows", 3}, {"k", 5}, {"entries", 9}}));
  const auto wrong = [](const std::function<void(Call&)>& change) {
    Call call = sample();
    change(call);
    return error_of([&] { (void)kSignature.sizes_of(call); });
  };
  EXPECT_THAT(wrong([](Call& c) { c.arg("slots").value = HostTensor::make(kI64, {4}); }),
              HasSubstr("'rows' is 4 here but 3 elsewhere"));
  EXPECT_THAT(wrong([](Call& c) {
                c.arg("table").value = HostTensor::make(kF32, {9, 32});
              }),
              HasSubstr("'64' is 32 here but 64 elsewhere"));
  EXPECT_THAT(wrong([](Call& c) { c.arg("table").value = HostTensor::make(kF64, {9, 64}); }), HasSubstr("its dtype"));
  EXPECT_THAT(wrong([](Call& c) { c.arg("table").value = HostTensor::make(kF32, {9}); }), HasSubstr("its rank"));
  EXPECT_THAT(wrong([](Call& c) { c.arg("table").value = None{}; }), HasSubstr("it is absent"));
  EXPECT_THAT(wrong([](Call& c) { c.arg("table").role = Role::kOut; }), HasSubstr("its role"));
  EXPECT_THAT(wrong([](Call& c) { c.arg("count").place = Place::kDevice; }), HasSubstr("the wrong memory"));
}

TEST(Signature, CallsTakeValuesInOrder) {
  const Signature two{{in("x", {kF32}, "n"), integer("page")}};
  const Call call = two.call("op", {{"k", "4"}}, {HostTensor::make(kF32, {3}), std::int64_t{64}});
  EXPECT_EQ(call.arg("page").place, Place::kHost);
  EXPECT_EQ(call.compile.text("k"), "4");
  EXPECT_THAT(error_of([&] { (void)two.call("op", {}, {HostTensor::make(kF32, {3})}); }),
              HasSubstr("1 values for 2 arguments"));
  EXPECT_THAT(error_of([&] {
                (void)two.call("op", {}, {HostTensor::make(kF32, {3}), 1.5});
              }),
              HasSubstr("argument 'page' is of another kind"));
}

TEST(Signature, AnArgumentThatAnotherOneReachesIsNotPassed) {
  const Signature reached{
      {in("addresses", {kU64}, "n"), in("rows", {kU8}, "n 16", {.reached_by = "addresses"}), integer("page")}};
  EXPECT_EQ(reached.arguments().size(), 3u);
  EXPECT_EQ(reached.arity(), 2u);
}

TEST(Signature, ASizeIsTiedByANumberOrByASecondUse) {
  const auto tied = [](const char* name, std::size_t dim) {
    return kSignature.is_tied(kSignature.argument(name), dim);
  };
  EXPECT_TRUE(tied("ids", 0));     // size `rows`: 'slots' has it too
  EXPECT_FALSE(tied("ids", 1));    // size `k`: only an optional argument has it too
  EXPECT_TRUE(tied("extra", 0));   // size `k`: it must be the `k` of 'ids'
  EXPECT_FALSE(tied("table", 0));  // size `entries`: no other argument has it
  EXPECT_TRUE(tied("table", 1));   // the fixed size 64
  const Signature free{{in("x", {kF32}, "64? n"), in("y", {kF32}, "n")}};
  EXPECT_FALSE(free.is_tied(free.argument("x"), 0));
  const Signature fixed{{in("x", {kF32}, "n!:dim m")}};
  EXPECT_TRUE(fixed.is_tied(fixed.argument("x"), 0));
  EXPECT_FALSE(fixed.is_tied(fixed.argument("x"), 1));
  EXPECT_EQ(fixed.argument("x").dims[0].label, "dim");
}

TEST(Signature, ContractsAreNamedAfterArgumentsAndSizes) {
  EXPECT_EQ(kSignature.argument("ids").contract("rank"), "i_rank");
  EXPECT_EQ(kSignature.argument("ids").dims[1].label, "columns");
  EXPECT_EQ(kSignature.argument("table").dims[1].label, "dim");
  EXPECT_EQ(kSignature.argument("count").dims[0].label, "size");
  const Argument named = in("x", {kF32}, "n", {.names = {{"rank", "old_name"}}});
  EXPECT_EQ(named.contract("rank"), "old_name");
  EXPECT_EQ(named.contract("dtype"), "x_dtype");
}

}  // namespace
}  // namespace dsv4
