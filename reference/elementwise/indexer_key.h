/// A normalised key in a slot of the indexer's cache, and the interval of every byte that a kernel may store. The last
/// 64 elements are rotated. Then the row goes through the Hadamard transform, and is quantised. Nothing is rounded
/// before (sglang 0.5.13, jit_kernel/csrc/deepseek_v4/fused_norm_rope_v2.cuh:111-218 and 265-362; below, "line" means a
/// line of this file).
///
/// The ends of the factor give an interval of each normalised element, and rotation.h one of each rotated element.
/// interval.h carries them through the transform, whose stages are in upstream's order (lines 157-187).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "interface/kv_cache.h"
#include "reference/attn/cache_slot.h"
#include "reference/common/e2m1.h"
#include "reference/common/hadamard.h"
#include "reference/common/interval.h"
#include "reference/common/number.h"
#include "reference/elementwise/flashmla_key.h"
#include "reference/elementwise/rotation.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {

/// The elements of a normalised row after the rotation and the transform.
inline std::vector<float> transformed(const Eigen::ArrayXf& y, const AngleTable& angles, std::int64_t position) {
  std::vector<float> x(y.begin(), y.end());
  for (std::int64_t pair = 0; angles.has(position) && pair < kRotaryDim / 2; ++pair) {
    const auto d = x.size() - static_cast<std::size_t>(kRotaryDim - 2 * pair);
    const Product product = rotated({x[d], x[d + 1]}, angles.angle(position, pair));
    x[d] = left_exact(product.re);
    x[d + 1] = left_exact(product.im);
  }
  return hadamard(std::move(x));
}

/// The interval of each of these elements. `ends` are the normalised row for both ends of its factor.
inline std::vector<Interval> transformed(const KeyEnds& ends, const AngleTable& angles, std::int64_t position) {
  std::vector<Interval> x;
  for (Eigen::Index d = 0; d < ends[0].size(); ++d) x.push_back(hull(std::array{ends[0](d), ends[1](d)}));
  for (std::int64_t pair = 0; angles.has(position) && pair < kRotaryDim / 2; ++pair) {
    const auto d = static_cast<Eigen::Index>(x.size()) - (kRotaryDim - 2 * pair);
    std::vector<float> re, im;
    for (const Eigen::ArrayXf& a : ends) {
      for (const Eigen::ArrayXf& b : ends) {
        const Product product = rotated({a(d), b(d + 1)}, angles.angle(position, pair));
        for (const auto& [results, part] : {std::pair{results_of(product.re), &re}, {results_of(product.im), &im}})
          part->insert(part->end(), {results.low, results.high});
      }
    }
    x[static_cast<std::size_t>(d)] = hull(re);
    x[static_cast<std::size_t>(d) + 1] = hull(im);
  }
  return hadamard(std::move(x));
}

/// A row of 128 E4M3 codes with one float scale. Elements are multiplied by the rounded reciprocal of the scale (lines
/// 199-218).
class IndexerRow {
 public:
  using Layout = layout::IndexerCache;
  IndexerRow(const Slot& slot, std::int64_t page_size)
      : slot_(slot), data_(Layout::data_offset(slot.row())), scale_(Layout::scale_offset(page_size, slot.row())) {}

  void quantise(const std::vector<float>& y) const {
    const auto row = Eigen::Map<const Eigen::ArrayXf>(y.data(), static_cast<Eigen::Index>(y.size()));
    const float scale = scale_of(row);
    set_scale(scale);
    slot_.write(data_, codes_of(row, 1.0f / scale));
  }
  /// Stores the ends of the bytes in `low` and `high`. Codes are judged for the scale in this row.
  void interval(const std::vector<Interval>& y, const IndexerRow& low, const IndexerRow& high) const {
    const Interval greatest = greatest_magnitude(y);
    low.set_scale(scale_of(Eigen::ArrayXf::Constant(1, greatest.low)));
    high.set_scale(scale_of(Eigen::ArrayXf::Constant(1, greatest.high)));
    const float inverse = 1.0f / scale();
    Eigen::ArrayXf least(y.size()), most(y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      least(static_cast<Eigen::Index>(i)) = y[i].low;
      most(static_cast<Eigen::Index>(i)) = y[i].high;
    }
    CodeInterval codes;
    for (const Eigen::ArrayXf& end : {least, most}) codes.include(codes_of(end, inverse));
    low.slot_.write(low.data_, codes.low);
    high.slot_.write(high.data_, codes.high);
  }

 private:
  [[nodiscard]] float scale() const {
    std::uint32_t bits = 0;
    for (int i = 0; i < 4; ++i) bits |= static_cast<std::uint32_t>(slot_.read(scale_ + i)) << (8 * i);
    return float_of(bits);
  }
  void set_scale(float scale) const { slot_.write(scale_, bits_of(scale), 4); }

  const Slot& slot_;
  std::int64_t data_;
  std::int64_t scale_;
};

/// A row of 128 E2M1 codes with a scale byte for each 32 of them (lines 339-362).
class Fp4IndexerRow {
 public:
  using Layout = layout::Fp4IndexerCache;
  Fp4IndexerRow(const Slot& slot, std::int64_t page_size)
      : slot_(slot), data_(Layout::data_offset(slot.row())), scales_(Layout::scale_offset(page_size, slot.row())) {}

  void quantise(const std::vector<float>& y) const {
    for (std::int64_t g = 0; g < Layout::kGroups; ++g) {
      const auto group = Eigen::Map<const Eigen::ArrayXf>(y.data() + g * Layout::kGroup, Layout::kGroup);
      const std::uint8_t byte = e2m1_scale_byte(greatest_magnitude(group));
      slot_.write(scales_ + g, byte);
      for (std::int64_t i = 0; i < Layout::kGroup; ++i)
        set_code(g * Layout::kGroup + i, to_e2m1_ties_to_zero(group(i) * ue8m0_inverse(byte)));
    }
  }
  /// Stores the ends of the bytes in `low` and `high`. Codes are judged for the scales in this row. Both codes of a
  /// byte have their own ends.
  void interval(const std::vector<Interval>& y, const Fp4IndexerRow& low, const Fp4IndexerRow& high) const {
    for (std::int64_t g = 0; g < Layout::kGroups; ++g) {
      const auto first = y.begin() + g * Layout::kGroup;
      const Interval greatest = greatest_magnitude(std::vector<Interval>(first, first + Layout::kGroup));
      low.slot_.write(low.scales_ + g, e2m1_scale_byte(greatest.low));
      high.slot_.write(high.scales_ + g, e2m1_scale_byte(greatest.high));
      const float inverse = ue8m0_inverse(slot_.read(scales_ + g));
      for (std::int64_t i = 0; i < Layout::kGroup; ++i) {
        const std::uint8_t a = to_e2m1_ties_to_zero(first[i].low * inverse);
        const std::uint8_t b = to_e2m1_ties_to_zero(first[i].high * inverse);
        const bool in_order = order(a) <= order(b);
        low.set_code(g * Layout::kGroup + i, in_order ? a : b);
        high.set_code(g * Layout::kGroup + i, in_order ? b : a);
      }
    }
  }

 private:
  static int order(std::uint8_t code) { return (code & 8) != 0 ? -(code & 7) : code; }
  /// An even element is in the low half of its byte.
  void set_code(std::int64_t d, std::uint8_t code) const {
    const std::uint8_t byte = slot_.read(data_ + d / 2);
    slot_.write(data_ + d / 2,
                static_cast<std::uint8_t>(d % 2 == 0 ? (byte & 0xf0) | code : (byte & 0x0f) | code << 4));
  }

  const Slot& slot_;
  std::int64_t data_;
  std::int64_t scales_;
};

}  // namespace dsv4::reference
