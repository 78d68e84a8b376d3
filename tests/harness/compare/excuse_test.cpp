#include "harness/compare/excuse.h"

#include <gtest/gtest.h>

#include "harness/compare/compare.h"
#include "harness/op/records.h"

namespace dsv4 {
namespace {

using Rows = std::vector<std::vector<std::int32_t>>;

/// A tensor i32 [n, 2].
HostTensor table(const Rows& rows) {
  HostTensor t = HostTensor::make(DType::kI32, {std::ssize(rows), 2});
  for (std::int64_t i = 0; i < t.size(0); ++i) {
    for (std::int64_t c = 0; c < 2; ++c)
      t.at<std::int32_t>(i, c) = rows[static_cast<std::size_t>(i)][static_cast<std::size_t>(c)];
  }
  return t;
}

Output output(const Rows& rows) { return {"out", table(rows)}; }
Output records(const Rows& rows) { return {"out", table(rows), true}; }

HostTensor i64(Shape shape, const std::vector<std::int64_t>& values) {
  HostTensor t = HostTensor::make(DType::kI64, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) t.data<std::int64_t>()[i] = values[i];
  return t;
}

/// An excuse for the elements whose fact is at least 1.
Excuse where(HostTensor fact) { return {"fault", "out", {{std::move(fact), 1, 1000}}}; }

OutputReport compared(const Output& got, const Output& want, const std::vector<Excuse>& excuses) {
  return compare_records(got, want, Tolerance{}, 1.0, excuses);
}

TEST(Excuse, AFactOfRowsExcusesWholeRows) {
  const Output got = output({{1, 2}, {9, 9}, {5, 6}}), want = output({{1, 2}, {3, 4}, {5, 6}});
  const OutputReport known = compared(got, want, {where(i64({3}, {0, 1, 0}))});
  EXPECT_EQ(known.violations, 0);
  EXPECT_EQ(known.excused, 2);
  EXPECT_EQ(known.excused_by, "fault");
  EXPECT_EQ(known.different, 2);
  EXPECT_FALSE(known.first.has_value());
  const OutputReport other = compared(got, want, {where(i64({3}, {1, 0, 1}))});
  EXPECT_EQ(other.violations, 2);
  EXPECT_EQ(other.excused, 0);
  EXPECT_EQ(other.excused_by, "");
}

TEST(Excuse, AFactOfElementsExcusesElements) {
  const OutputReport r = compared(output({{9, 9}}), output({{1, 2}}), {where(i64({1, 2}, {0, 1}))});
  EXPECT_EQ(r.excused, 1);
  EXPECT_EQ(r.violations, 1);
  EXPECT_EQ(r.first->at, (Shape{0, 0}));
}

TEST(Excuse, AFactThatDoesNotFitExcusesNothing) {
  for (const Shape& shape : {Shape{2}, Shape{1, 3}, Shape{1, 2, 1}, Shape{}}) {
    HostTensor fact = HostTensor::make(DType::kI64, shape);
    for (std::int64_t i = 0; i < fact.numel(); ++i) fact.data<std::int64_t>()[i] = 1;
    EXPECT_EQ(compared(output({{9, 9}}), output({{1, 2}}), {where(fact)}).violations, 2) << format_shape(shape);
  }
  Excuse other = where(i64({1}, {1}));
  other.output = "another";
  EXPECT_EQ(compared(output({{9, 9}}), output({{1, 2}}), {other}).violations, 2);
}

TEST(Excuse, EveryFactMustHoldAndTheFirstExcuseIsNamed) {
  Excuse both = where(i64({2}, {1, 1}));
  both.facts.push_back({i64({2}, {0, 5}), 1, 5});
  Excuse second = where(i64({2}, {1, 1}));
  second.id = "second";
  const Output got = output({{9, 9}, {8, 8}}), want = output({{1, 2}, {3, 4}});
  EXPECT_EQ(compared(got, want, {both}).excused, 2);
  const OutputReport r = compared(got, want, {both, second});
  EXPECT_EQ(r.excused, 4);
  EXPECT_EQ(r.excused_by, "second") << "only the second excuses the first element";
}

TEST(Excuse, RecordsAreJoinedByTheirKeys) {
  // Record 5 is missing, record 7 is too much, record 9 has another value. Records 1 and 8 agree.
  const Output got = records({{1, 10}, {7, 70}, {8, 80}, {9, 91}}),
               want = records({{1, 10}, {5, 50}, {8, 80}, {9, 90}});
  const OutputReport r = compared(got, want, {});
  EXPECT_EQ(r.compared, 10);
  EXPECT_EQ(r.violations, 5);
  EXPECT_EQ(r.first->at, (Shape{1, 0}));
  EXPECT_EQ(r.first->got, "no such record");
  EXPECT_NE(r.first->want, "no such record");
  // The facts of records are by key.
  std::vector<std::int64_t> missing(10), surplus(10), wrong(10);
  missing[5] = surplus[7] = wrong[9] = 1;
  EXPECT_EQ(compared(got, want, {where(i64({10}, missing))}).violations, 3);
  EXPECT_EQ(compared(got, want, {where(i64({10}, surplus))}).violations, 3);
  EXPECT_EQ(compared(got, want, {where(i64({10}, wrong))}).violations, 4);
  const OutputReport all =
      compared(got, want, {where(i64({10}, missing)), where(i64({10}, surplus)), where(i64({10}, wrong))});
  EXPECT_EQ(all.violations, 0);
  EXPECT_EQ(all.excused, 5);
  // A key beyond the fact, and a negative key.
  EXPECT_EQ(compared(records({{12, 1}}), records({}), {where(i64({10}, missing))}).violations, 2);
  EXPECT_EQ(compared(records({{-1, 1}}), records({}), {where(i64({10}, missing))}).violations, 2);
}

TEST(Excuse, RepeatedKeysAreJoinedInOrder) {
  const OutputReport r = compared(records({{3, 1}, {3, 2}, {4, 0}}), records({{3, 1}, {4, 0}}), {});
  EXPECT_EQ(r.compared, 6);
  EXPECT_EQ(r.violations, 2);
  EXPECT_EQ(r.first->want, "no such record");
}

TEST(Excuse, ListsWithEqualKeysOrOtherFormsAreNotJoined) {
  EXPECT_FALSE(join_records(records({{1, 2}}), records({{1, 3}})).has_value());
  EXPECT_FALSE(join_records(output({{1, 2}}), records({{2, 3}})).has_value()) << "not keyed";
  EXPECT_FALSE(join_records(records({{1, 2}}), {"out", HostTensor::make(DType::kI32, {1, 3})}).has_value());
  EXPECT_FALSE(join_records(records({{1, 2}}), {"out", HostTensor::make(DType::kF32, {1, 2})}).has_value());
  const OutputReport r = compared(records({{1, 2}}), {"out", HostTensor::make(DType::kI32, {1, 3})}, {});
  EXPECT_EQ(r.violations, 1);
  EXPECT_EQ(r.compared, 0);
}

/// An excuse for the values of an alternative.
Excuse variant(const Output& output, bool of_other_side = false) {
  return {"variant", "out", {}, Alternative{{output}, {}}, of_other_side};
}

TEST(Excuse, AnAlternativeExcusesItsValuesOnly) {
  const Output want = output({{1, 2}, {3, 4}}), alternative = output({{1, 20}, {3, 40}});
  const OutputReport r = compared(output({{1, 20}, {3, 41}}), want, {variant(alternative)});
  EXPECT_EQ(r.excused, 1);
  EXPECT_EQ(r.violations, 1);
  EXPECT_EQ(r.first->at, (Shape{1, 1}));
  Excuse limited = variant(alternative);
  limited.facts = {{i64({2}, {0, 1}), 1, 1}};
  EXPECT_EQ(compared(output({{1, 20}, {3, 40}}), want, {limited}).violations, 1);
  EXPECT_EQ(compared(want, output({{1, 20}, {3, 40}}), {variant(alternative, true)}).excused, 2);
  EXPECT_EQ(compared(want, output({{1, 20}, {3, 40}}), {variant(alternative)}).excused, 0);
}

TEST(Excuse, AnAlternativeHasItsOwnTolerance) {
  const auto f32 = [](float x) { return Output{"out", HostTensor::of<float>(DType::kF32, {x})}; };
  Excuse excuse{"variant", "out", {}, Alternative{{f32(2.0f)}, {}}};
  excuse.alternative->tolerances["out"] = Tolerance::within(HostTensor::of<double>(DType::kF64, {0.5}), "half");
  EXPECT_EQ(compared(f32(2.5f), f32(1.0f), {excuse}).excused, 1);
  EXPECT_EQ(compared(f32(2.6f), f32(1.0f), {excuse}).violations, 1);
  EXPECT_EQ(compare_records(f32(2.6f), f32(1.0f), Tolerance{}, 2.0, {excuse}).excused, 1)
      << "the scale counts here too";
}

TEST(Excuse, RecordsOfAnAlternativeAreFoundByTheirKeys) {
  // The alternative has a further record, 4, and another value in record 5.
  const Output want = records({{1, 10}, {5, 50}}), alternative = records({{1, 10}, {4, 40}, {5, 55}});
  EXPECT_EQ(compared(records({{1, 10}, {4, 40}, {5, 55}}), want, {variant(alternative)}).violations, 0);
  EXPECT_EQ(compared(records({{1, 10}, {4, 41}, {5, 55}}), want, {variant(alternative)}).violations, 1);
  EXPECT_EQ(compared(records({{1, 10}, {5, 55}}), want, {variant(alternative)}).violations, 0);
  EXPECT_EQ(compared(records({{5, 55}}), want, {variant(alternative)}).violations, 2) << "record 1 is missing";
  EXPECT_EQ(compared(records({{1, 10}, {3, 30}, {5, 50}}), want, {variant(alternative)}).violations, 2);
}

}  // namespace
}  // namespace dsv4
