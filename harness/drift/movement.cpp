#include "harness/drift/movement.h"

#include <algorithm>

namespace dsv4 {
namespace {

/// The square of a smaller sum could be 0, although the sum is not.
constexpr double kLeastMovement = 1e-100;

}  // namespace

void add_movement(OutputDrift& output, const PairedErrors& paired) {
  const ErrorSums& d = paired.difference;
  if (d.sum_abs < kLeastMovement) return;
  output.up_cases.push_back({d.sum.up, d.sum_abs, std::max(d.row_squares.up, d.sum_squares)});
  output.away_cases.push_back({d.sum.away, d.sum_abs, std::max(d.row_squares.away, d.sum_squares)});
}

void add_movement(OutputDrift& output, const ErrorStatistics& a, const ErrorStatistics& b) {
  const ErrorSums &x = a.sums, &y = b.sums;
  const double sum_abs = x.sum_abs + y.sum_abs;
  if (sum_abs < kLeastMovement) return;
  const auto rows = static_cast<double>(std::max<std::int64_t>({x.rows, y.rows, 1}));
  const auto movement = [&](double sum, double row_squares_x, double row_squares_y) {
    // The rows of each side are relative to its mean, so the share of the mean movement is added again.
    const double of_rows = 2 * (row_squares_x + row_squares_y) + sum * sum / rows;
    return CaseMovement{sum, sum_abs, std::max(of_rows, 2 * (x.sum_squares + y.sum_squares))};
  };
  output.up_cases.push_back(movement(y.sum.up - x.sum.up, x.row_squares.up, y.row_squares.up));
  output.away_cases.push_back(movement(y.sum.away - x.sum.away, x.row_squares.away, y.row_squares.away));
}

}  // namespace dsv4
