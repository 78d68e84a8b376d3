#include "harness/op/far.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/core/error.h"
#include "harness/op/scenarios.h"
#include "tests/harness/op/recorder.h"

namespace dsv4::testing {
namespace {

constexpr std::int64_t kTwo31 = std::int64_t{1} << 31;

TEST(Far, EdgesAreWhereOffsetsOf32BitsEnd) {
  EXPECT_EQ(far_edges(DType::kF32), (std::vector<std::int64_t>{2 * kTwo31, kTwo31, kTwo31 / 4}));
  EXPECT_EQ(far_edges(DType::kBF16), (std::vector<std::int64_t>{2 * kTwo31, kTwo31, kTwo31 / 2}));
  EXPECT_EQ(far_edges(DType::kU8), (std::vector<std::int64_t>{2 * kTwo31, kTwo31}));  // an element is one byte
}

TEST(Far, RowsLieOnBothSidesOfEveryEdge) {
  // 2^31 is a multiple of 64. So if a row has 64 elements, a row begins exactly at each edge.
  const std::int64_t low = kTwo31 / 64, high = kTwo31 / 32;
  EXPECT_EQ(far_rows(8, 64, {2 * kTwo31, kTwo31}),
            (std::vector<std::int64_t>{0, high, low, high - 1, low - 1, high + 1, low + 1, high - 2}));
  // 2^31 is not a multiple of 100. So if a row has 100 elements, the edge is inside a row.
  const auto rows = far_rows(3, 100, {kTwo31});
  EXPECT_GE(rows[1] * 100, kTwo31);
  EXPECT_LT(rows[2] * 100, kTwo31);
  EXPECT_GT(rows[2] * 100 + 100, kTwo31);
  const auto many = far_rows(200, 2048, far_edges(DType::kF32));
  EXPECT_EQ(std::set<std::int64_t>(many.begin(), many.end()).size(), many.size());
  EXPECT_TRUE(far_rows(0, 64, {kTwo31}).empty());
}

TEST(Far, APoolEndsWithItsLastRow) {
  const FarLayout p = far_pool(HostTensor::make(DType::kF32, {3, 2, 5}), {7, 1000, 0});
  EXPECT_EQ(p.shape, (Shape{1001, 2, 5}));
  EXPECT_EQ(p.strides, (Shape{10, 5, 1}));
  EXPECT_EQ(p.rows, (std::vector<std::int64_t>{7, 1000, 0}));
  EXPECT_THROW((void)far_pool(HostTensor::strided(DType::kF32, {3, 5}, {7, 1}), {0, 1, 2}), Error);
}

TEST(Far, RowsFarApartPassEveryEdgeAndWrapIntoTheFirst) {
  const FarLayout p = far_apart(HostTensor::make(DType::kF32, {3, 50}));
  EXPECT_EQ(p.shape, (Shape{3, 50}));
  EXPECT_GT(p.strides[0], kTwo31);
  EXPECT_GT(2 * p.strides[0], 2 * kTwo31);
  EXPECT_LT(static_cast<std::uint32_t>(2 * p.strides[0]), 50u);
  EXPECT_EQ(p.rows, (std::vector<std::int64_t>{0, 1, 2}));
  const FarLayout heads = far_apart(HostTensor::make(DType::kBF16, {3, 4, 64}), 1);
  EXPECT_EQ(heads.strides, (Shape{4 * 64, p.strides[0], 1}));
}

/// The calls that the scenario made on the set under test, and the pairs of observations that it compared.
struct Stated {
  std::vector<Call> calls;
  std::vector<std::pair<Observation, Observation>> pairs;
};

Stated run(const std::function<void(const Call&, HostTensor& y)>& plus) {
  const Scenario far =
      far_relation("x", "rows of x", kFirstSmokePoint, [](Call& call) { call.arg("x").far_layout = FarLayout{}; });
  EXPECT_EQ(far.label(), "relation:far_x");
  EXPECT_EQ(far.meaning, "rows of x give the same outputs as the same data in a small tensor");
  Stated stated;
  const auto add = [](Call& call) {
    HostTensor y = call.tensor("x");
    for (std::int64_t i = 0; i < y.numel(); ++i) y.data<std::int32_t>()[i] += 3;
    call.arg("y").tensor() = y;
  };
  FunctionCaller reference([&](Call& call) {
    EXPECT_FALSE(call.arg("x").far_layout) << "the reference must not get a far tensor";
    add(call);
  });
  FunctionCaller subject([&](Call& call) {
    stated.calls.push_back(call);
    add(call);
    plus(call, call.arg("y").tensor());
  });
  const PlusOp op;
  const Case c{"plus", far.label(), op.points(Tier::kSmoke).front(), 1};
  Recorder recorder(op, c, subject, reference);
  far.run(recorder);
  stated.pairs = recorder.pairs;
  return stated;
}

bool agrees(const std::pair<Observation, Observation>& pair) {
  return pair.first.output("y").storage == pair.second.output("y").storage;
}

TEST(Far, TheNearCallIsComparedWithTheReferenceAndTheFarCallWithTheNearOne) {
  const Stated right = run([](const Call&, HostTensor&) {});
  ASSERT_EQ(right.calls.size(), 2u);
  EXPECT_TRUE(right.calls[0].arg("x").far_layout)
      << "the far call must come first, so that a lack of memory ends the case early";
  EXPECT_FALSE(right.calls[1].arg("x").far_layout);
  ASSERT_EQ(right.pairs.size(), 2u);
  EXPECT_TRUE(agrees(right.pairs[0]));
  EXPECT_TRUE(agrees(right.pairs[1]));

  const Stated far_wrong = run([](const Call& call, HostTensor& y) {
    if (call.arg("x").far_layout) y.data<std::int32_t>()[3] += 1;
  });
  EXPECT_TRUE(agrees(far_wrong.pairs[0]));
  EXPECT_FALSE(agrees(far_wrong.pairs[1]));

  const Stated both_wrong = run([](const Call&, HostTensor& y) { y.data<std::int32_t>()[3] += 1; });
  EXPECT_FALSE(agrees(both_wrong.pairs[0]));
  EXPECT_TRUE(agrees(both_wrong.pairs[1]));
}

}  // namespace
}  // namespace dsv4::testing
