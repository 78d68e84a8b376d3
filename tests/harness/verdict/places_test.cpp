#include "harness/verdict/places.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/core/error.h"

namespace dsv4 {
namespace {

using nlohmann::json;

std::int64_t total(const DifferencePlaces& places) {
  std::int64_t sum = 0;
  for (const std::int64_t count : places.counts) sum += count;
  return sum;
}

TEST(DifferencePlaces, HasOneCellForEachElementOfASmallTensor) {
  DifferencePlaces places({2, 3});
  EXPECT_EQ(places.grid_rows(), 2);
  EXPECT_EQ(places.grid_columns(), 3);
  places.add(0);
  places.add(5);
  EXPECT_EQ(places.counts, (std::vector<std::int64_t>{1, 0, 0, 0, 0, 1}));
}

TEST(DifferencePlaces, KeepsASingleElementOfALargeTensor) {
  DifferencePlaces places({3, 100, 1000});  // 300 rows in cells of 5, 1000 columns in cells of 16
  EXPECT_EQ(places.rows, 300);
  EXPECT_EQ(places.cell_rows, 5);
  EXPECT_EQ(places.cell_columns, 16);
  EXPECT_EQ(places.grid_rows(), 60);
  EXPECT_EQ(places.grid_columns(), 63);
  places.add((2 * 100 + 99) * 1000 + 999);  // the last element
  places.add((1 * 100 + 3) * 1000 + 16);    // row 103, the first column of the second cell
  places.add((1 * 100 + 4) * 1000 + 31);    // row 104, the last column of the same cell
  EXPECT_EQ(places.counts.back(), 1);
  EXPECT_EQ(places.counts[20 * 63 + 1], 2);
  EXPECT_EQ(total(places), 3);
}

TEST(DifferencePlaces, NeverHasMoreThan64By64Cells) {
  for (const std::int64_t n : {1, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097, 1000003}) {
    DifferencePlaces places({n, n});
    EXPECT_LE(places.grid_rows(), 64) << n;
    EXPECT_GE(places.grid_rows(), std::min<std::int64_t>(n, 32)) << n;
    places.add(n * n - 1);
    EXPECT_EQ(places.counts.back(), 1) << n;
  }
}

TEST(DifferencePlaces, ReadsAScalarAndARowAsAMatrixOfOneRow) {
  DifferencePlaces scalar(Shape{});
  scalar.add(0);
  EXPECT_EQ(scalar.counts, std::vector<std::int64_t>{1});
  DifferencePlaces row({200});
  EXPECT_EQ(row.grid_rows(), 1);
  EXPECT_EQ(row.grid_columns(), 50);
}

TEST(DifferencePlaces, TakesNoElementOfAnEmptyTensor) {
  const DifferencePlaces places({0, 7});
  EXPECT_TRUE(places.counts.empty());
  EXPECT_EQ(json(places).get<DifferencePlaces>(), places);
}

TEST(DifferencePlaces, IsWrittenAsRunsAndReadBack) {
  DifferencePlaces places({2, 4});
  for (const std::int64_t element : {4, 5, 6}) places.add(element);
  const json j = places;
  EXPECT_EQ(j.at("runs"), json({0, 4, 1, 3, 0, 1}));
  EXPECT_EQ(j.at("grid"), json({2, 4}));
  EXPECT_EQ(j.at("cell"), json({1, 1}));
  EXPECT_EQ(j.get<DifferencePlaces>(), places);
}

TEST(DifferencePlaces, RefusesRunsThatDoNotFillTheGrid) {
  json j = DifferencePlaces({2, 4});
  for (const char* runs : {"[]", "[1, 7]", "[1, 9]", "[1, 8, 0]", "[1, 8, 0, 1]", "[1, -1, 0, 9]"}) {
    j["runs"] = json::parse(runs);
    EXPECT_THROW((void)j.get<DifferencePlaces>(), Error) << runs;
  }
  j["runs"] = {0, 8};
  EXPECT_NO_THROW((void)j.get<DifferencePlaces>());
  for (const char* shape : {"[-2, 4]", "[-2, -4]", "[4611686018427387904, 4]", "[9223372036854775807]"}) {
    j["shape"] = json::parse(shape);
    EXPECT_THROW((void)j.get<DifferencePlaces>(), Error) << shape;
  }
}

}  // namespace
}  // namespace dsv4
