/// A call that normalises rows of compressed entries, for the tests of compress_norm_rope_prefill_v1 and
/// compress_norm_rope_decode_v1.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "harness/generate/random.h"
#include "tests/reference/common/module.h"
#include "tests/reference/elementwise/norm.h"

namespace dsv4::testing {

/// Some rows, with a ratio of 4. Row p of the table multiplies every pair by p. `records` is the argument that names
/// the rows.
struct CompressedRowsCall {
  std::string op;
  std::int64_t dim;
  HostTensor input, weight, records;
  HostTensor freqs = HostTensor::make(DType::kF32, {12, 64});
  std::int64_t mode, ratio = 4;
  double eps = 0.0;

  CompressedRowsCall(std::string name, std::int64_t rows, std::int64_t elements, HostTensor named, std::int64_t number)
      : op(std::move(name)),
        dim(elements),
        input(HostTensor::make(DType::kF32, {rows, elements})),
        weight(HostTensor::make(DType::kF32, {elements})),
        records(std::move(named)),
        mode(number) {
    for (std::int64_t p = 0; p < freqs.size(0); ++p) {
      for (std::int64_t i = 0; i < 64; i += 2) freqs.at<float>(p, i) = static_cast<float>(p);
    }
    for (std::int64_t d = 0; d < dim; ++d) weight.at<float>(d) = 1.0f;
  }
  CompressedRowsCall& all(float value) {
    for (std::int64_t i = 0; i < input.numel(); ++i) set_float(input, i, value);
    return *this;
  }
  CompressedRowsCall& call() {
    call_reference(op, "forward", {&input, &weight, &records, &freqs, mode, eps, ratio});
    return *this;
  }
  void interval(CompressedRowsCall& low, CompressedRowsCall& high) {
    call_reference(op, "forward_interval",
                   {&input, &weight, &records, &freqs, mode, eps, ratio, &low.input, &high.input});
  }
  [[nodiscard]] std::string message() {
    return refusal(op, "forward", {&input, &weight, &records, &freqs, mode, eps, ratio});
  }
  [[nodiscard]] float at(std::int64_t row, std::int64_t d) const { return input.at<float>(row, d); }
  [[nodiscard]] std::vector<float> row(std::int64_t r) const {
    std::vector<float> values;
    for (std::int64_t d = 0; d < dim; ++d) values.push_back(at(r, d));
    return values;
  }
  /// What the row multiplied its rotated elements by, if all elements of the input are equal.
  [[nodiscard]] float turned(std::int64_t r) const { return at(r, dim - 2) / at(r, 0); }
};

/// Fills a call with random numbers. The intervals must contain the results of all float factors and of all ways to
/// fuse a product. `position` is that of each row.
inline void expect_interval_contains_float_results(CompressedRowsCall c, std::int64_t position) {
  c.eps = 1e-6;
  Random random(11, "input");
  for (HostTensor* t : {&c.input, &c.weight}) fill_floats(*t, [&] { return random.gauss(); });
  fill_floats(c.freqs, [&] { return 2.0f * random.unit() - 1.0f; });
  CompressedRowsCall low = c, high = c;
  c.interval(low, high);
  const CompressedRowsCall before = c;
  c.call();
  const auto expect_inside = [&](std::int64_t r, std::int64_t d, float value) {
    EXPECT_LE(low.at(r, d), value) << r << ' ' << d;
    EXPECT_GE(high.at(r, d), value) << r << ' ' << d;
  };
  for (std::int64_t r = 0; r < c.input.size(0); ++r) {
    const std::vector<float> x = before.row(r);
    for (std::int64_t d = 0; d < c.dim; ++d) {
      expect_inside(r, d, c.at(r, d));
      if (d < c.dim - 64) {
        EXPECT_LE(high.at(r, d) - low.at(r, d), std::abs(c.at(r, d)) * 0x1p-18f);
        EXPECT_GT(high.at(r, d) - low.at(r, d), std::abs(c.at(r, d)) * 0x1p-22f);
      }
    }
    for (const float factor : float_factors(x, static_cast<float>(c.eps))) {
      const auto y = [&](std::int64_t d) { return x[static_cast<std::size_t>(d)] * factor * c.weight.at<float>(d); };
      for (std::int64_t d = 0; d < c.dim - 64; ++d) expect_inside(r, d, y(d));
      for (std::int64_t d = c.dim - 64, i = 0; d < c.dim; d += 2, i += 2) {
        const float cos = c.freqs.at<float>(position, i), sin = c.freqs.at<float>(position, i + 1);
        expect_inside(r, d, std::fma(y(d), cos, -(y(d + 1) * sin)));
        expect_inside(r, d, y(d) * cos - y(d + 1) * sin);
        expect_inside(r, d + 1, std::fma(y(d), sin, y(d + 1) * cos));
        expect_inside(r, d + 1, std::fma(y(d + 1), cos, y(d) * sin));
      }
    }
  }
}

}  // namespace dsv4::testing
