/// A normalised key in a slot of the FlashMLA cache, and the interval of every byte that a kernel may store. The first
/// 448 elements are quantised. The last 64 are rotated and stored as bfloat16; they are not rounded before.
///
/// reference/attn/cache_slot.h quantises. rotation.h says which results a rotation may have.
#pragma once

#include <array>
#include <cstdint>

#include "interface/kv_cache.h"
#include "reference/attn/cache_slot.h"
#include "reference/common/number.h"
#include "reference/common/rows.h"
#include "reference/elementwise/rotation.h"
#include "reference/elementwise/token_angles.h"

namespace dsv4::reference {

/// Calls `each(d, pair)` for each pair of rotated elements, of which `d` is the first.
template <class Each>
void for_each_tail_pair(Each each) {
  using layout::FlashMlaCache;
  for (std::int64_t d = FlashMlaCache::kQuantized; d < FlashMlaCache::kDim; d += 2)
    each(d, (d - FlashMlaCache::kQuantized) / 2);
}

/// Stores the last 64 elements of `y`. They are rotated by the angles at `position`, if the table has this position.
inline void store_tail(const FlashMlaRow& stored, const Eigen::ArrayXf& y, const AngleTable& angles,
                       std::int64_t position) {
  for_each_tail_pair([&](std::int64_t d, std::int64_t pair) {
    float re = y(d), im = y(d + 1);
    if (angles.has(position)) {
      const Product product = rotated({re, im}, angles.angle(position, pair));
      re = left_exact(product.re);
      im = left_exact(product.im);
    }
    stored.set_tail(d, to_bf16(re));
    stored.set_tail(d + 1, to_bf16(im));
  });
}

/// The key of a row for each end of the interval of the row's factor.
using KeyEnds = std::array<Eigen::ArrayXf, 2>;

/// The interval of each rotated element. Each part of a rotated pair grows or shrinks with each of the two elements.
inline void tail_interval(const FlashMlaRow& low, const FlashMlaRow& high, const KeyEnds& ends,
                          const AngleTable& angles, std::int64_t position) {
  for_each_tail_pair([&](std::int64_t d, std::int64_t pair) {
    Bracket re, im;
    for (const Eigen::ArrayXf& a : ends) {
      for (const Eigen::ArrayXf& b : ends) {
        if (angles.has(position)) {
          const Product product = rotated({a(d), b(d + 1)}, angles.angle(position, pair));
          re.include(product.re);
          im.include(product.im);
        } else {
          re.include(to_bf16(a(d)));
          im.include(to_bf16(b(d + 1)));
        }
      }
    }
    low.set_tail(d, re.low());
    high.set_tail(d, re.high());
    low.set_tail(d + 1, im.low());
    high.set_tail(d + 1, im.high());
  });
}

/// The order of E4M3 codes by their values. -0 is below +0.
inline int order_of_code(std::uint8_t code) {
  return (code & 0x80) != 0 ? ~static_cast<int>(code & 0x7f) : static_cast<int>(code);
}

/// The least and the greatest code of each element of a group.
struct CodeInterval {
  Eigen::ArrayX<std::uint8_t> low;
  Eigen::ArrayX<std::uint8_t> high;

  void include(const Eigen::ArrayX<std::uint8_t>& codes) {
    if (low.size() == 0) low = high = codes;
    for (Eigen::Index i = 0; i < codes.size(); ++i) {
      if (order_of_code(codes(i)) < order_of_code(low(i))) low(i) = codes(i);
      if (order_of_code(codes(i)) > order_of_code(high(i))) high(i) = codes(i);
    }
  }
};

/// The interval of each scale byte, and the interval of each code. A code grows or shrinks with its element. For nearly
/// every element both ends have the same code. `inverses(g, bytes)` lists the inverse scales of group g for which the
/// interval of a code is computed; `bytes` are the ends of its scale byte.
template <class Inverses>
void quantised_interval(const FlashMlaRow& low, const FlashMlaRow& high, const KeyEnds& ends, Inverses inverses) {
  for (std::int64_t g = 0; g < layout::FlashMlaCache::kGroups; ++g) {
    const std::array bytes{ue8m0_above(scale_of(FlashMlaRow::group(ends[0], g))),
                           ue8m0_above(scale_of(FlashMlaRow::group(ends[1], g)))};
    low.set_scale(g, bytes[0]);  // the greatest magnitude of a group grows with the factor, and its byte too
    high.set_scale(g, bytes[1]);
    CodeInterval codes;
    for (const float inverse : inverses(g, bytes)) {
      for (const Eigen::ArrayXf& y : ends) codes.include(codes_of(FlashMlaRow::group(y, g), inverse));
    }
    low.set_codes(g, codes.low);
    high.set_codes(g, codes.high);
  }
}

/// The same for the scale bytes in `given`, those of the implementation under test.
inline void quantised_interval(const FlashMlaRow& given, const FlashMlaRow& low, const FlashMlaRow& high,
                               const KeyEnds& ends) {
  quantised_interval(low, high, ends,
                     [&](std::int64_t g, const auto&) { return std::array{ue8m0_inverse(given.scale(g))}; });
}

}  // namespace dsv4::reference
