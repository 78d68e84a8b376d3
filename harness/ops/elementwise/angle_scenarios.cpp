#include "harness/ops/elementwise/angle_scenarios.h"

#include <algorithm>
#include <utility>

#include "harness/generate/rotary.h"
#include "harness/op/define.h"

namespace dsv4 {

HostTensor positions_outside(const Call& call) {
  std::vector<std::int64_t> outside = numbers_of(call, "positions");
  const std::int64_t rows = call.tensor("freqs_cis").size(0);
  for (std::int64_t& position : outside) position = position < 0 || position >= rows ? 1 : 0;
  return numbers(outside);
}

std::vector<std::string> idle_angles(const Params& p) {
  const bool one = p.integer("table") == 1;
  std::vector<std::string> names;
  if (one) names.emplace_back("at");
  if ((one || p.is("at", "zero")) && !p.is("angles", "wild")) names.emplace_back("angles");
  return names;
}

PositionsOf positions_argument() {
  return {[](const Call& call) { return numbers_of(call, "positions"); },
          [](Call& call, const std::vector<std::int64_t>& values) {
            HostTensor& positions = call.arg("positions").tensor();
            positions = numbers(values, positions.dtype);
          }};
}

Scenario angles_further_down(PositionsOf positions) {
  return call_relation("far_rows",
                       "the outputs stay the same if the same angles are 65536 rows further down in the table",
                       kFirstSmokePoint, [positions = std::move(positions)](Case&, Call& call, Observation&) {
                         constexpr std::int64_t kRows = 1 << 16;
                         const HostTensor table = call.tensor("freqs_cis");
                         HostTensor& longer = call.arg("freqs_cis").tensor();
                         longer = HostTensor::make(DType::kF32, {kRows + table.size(0), kRotaryDim});
                         poison(longer);
                         std::ranges::copy(table.storage, longer.element(kRows * kRotaryDim));
                         std::vector<std::int64_t> moved = positions.read(call);
                         for (std::int64_t& position : moved) position += kRows;
                         positions.write(call, moved);
                       });
}

Scenario far_angles(Points points, PositionsOf positions) {
  return far_relation("freqs_cis", "angles at offsets beyond 2^32 elements", std::move(points),
                      [positions = std::move(positions)](Call& call) {
                        const std::vector<std::int64_t> rows = positions.read(call);
                        Arg& table = call.arg("freqs_cis");
                        table.tensor() = rows_of(table.tensor(), rows);  // one row for each token
                        table.far_layout =
                            far_pool(table.tensor(), far_rows(std::ssize(rows), kRotaryDim, far_edges(DType::kF32)));
                        positions.write(call, table.far_layout->rows);
                      });
}

}  // namespace dsv4
