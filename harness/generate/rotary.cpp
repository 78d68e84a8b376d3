#include "harness/generate/rotary.h"

#include <algorithm>
#include <cstring>

#include "harness/core/poison.h"
#include "harness/generate/fills.h"

namespace dsv4 {
namespace {

/// Fills of the bf16 heads of a token that is rotated by `angles`. With the fill "cancel", the two products of each
/// real part nearly cancel.
Fills head_fills(const float* angles, bool inverse) {
  const auto cancel = [angles, inverse](Random& r, Elements x) {
    for (std::int64_t d = 0; d < kRotaryDim; d += 2) {
      const float m = r.wide(-3, 3);
      x.set(d, (inverse ? -m : m) * angles[d + 1]);
      x.set(d + 1, m * angles[d]);
    }
  };
  const auto any_bits = [](Random& r, Elements x) {
    for (std::int64_t d = 0; d < kRotaryDim; ++d) x.set_bits(d, r.u32() << 16);
  };
  return {fills::gauss(),   fills::integers(-128, 128), {"bits", any_bits},
          fills::special(), {"cancel", cancel},         fills::wide(-130, 120)};
}

}  // namespace

const std::vector<std::string>& head_layouts() {
  static const std::vector<std::string> kNames{"packed", "gaps", "tail"};
  return kNames;
}

const std::vector<std::string>& mixed_layouts() {
  static const std::vector<std::string> kNames{"q_tail", "k_tail"};
  return kNames;
}

std::string layout_of(const std::string& layout, bool keys) {
  if (layout != "q_tail" && layout != "k_tail") return layout;
  return (layout == "k_tail") == keys ? "tail" : "packed";
}

std::vector<std::string> head_fills() { return head_fills(nullptr, false).names(); }

const std::vector<std::string>& angle_tables() {
  static const std::vector<std::string> kNames{"circle", "axes", "wild"};
  return kNames;
}

const std::vector<std::string>& position_places() {
  static const std::vector<std::string> kNames{"random", "zero", "last", "ramp", "same"};
  return kNames;
}

HostTensor heads_tensor(const std::string& layout, std::int64_t tokens, std::int64_t heads) {
  const Shape shape{tokens, heads, kRotaryDim};
  HostTensor t = HostTensor::make(DType::kBF16, shape);
  if (layout == "gaps") {
    const std::int64_t head = kRotaryDim + 6, token = heads * head + 10;
    t = HostTensor::strided(DType::kBF16, shape, {token, head, 1}, 2, tokens * token + 4);
  } else if (layout == "tail") {
    t = HostTensor::strided(DType::kBF16, shape, {heads * 512, 512, 1}, 448,
                            std::max<std::int64_t>(tokens * heads * 512, 448));
  }
  poison(t);
  return t;
}

HostTensor angle_table(const std::string& kind, std::int64_t positions, std::uint64_t seed) {
  HostTensor table = HostTensor::make(DType::kF32, {positions, kRotaryDim});
  Random random(seed, "freqs_cis");
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t i = 0; i < kRotaryDim; i += 2) {
      float c = 1.0f, s = 0.0f;
      if (kind == "axes") {
        // With quarter turns, the products of integer elements are integers.
        const std::int64_t turn = p == 0 ? 0 : random.below(4);
        c = turn == 0 ? 1.0f : (turn == 2 ? -1.0f : 0.0f);
        s = turn == 1 ? 1.0f : (turn == 3 ? -1.0f : 0.0f);
      } else if (kind == "wild") {
        // Magnitudes are below 1/2, so that the product with a finite element does not overflow. After an overflow, the
        // fused and the unfused sums could differ by any amount.
        c = random.wide(-20, -2);
        s = random.wide(-20, -2);
      } else if (p != 0) {
        const float t = random.wide(-12, 6);
        c = (1.0f - t * t) / (1.0f + t * t);
        s = 2.0f * t / (1.0f + t * t);
      }
      table.at<float>(p, i) = c;
      table.at<float>(p, i + 1) = s;
    }
  }
  return table;
}

HostTensor positions_tensor(const Params& p, std::uint64_t seed) {
  const std::int64_t tokens = p.integer("tokens"), rows = p.integer("table");
  HostTensor out = HostTensor::make(p.is("index", "i64") ? DType::kI64 : DType::kI32, {tokens});
  Random random(seed, "positions");
  const std::int64_t same = random.below(rows);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::string& at = p.text("at");
    const std::int64_t position = at == "zero"   ? 0
                                  : at == "last" ? rows - 1
                                  : at == "ramp" ? t % rows
                                  : at == "same" ? same
                                                 : random.below(rows);
    set_integer(out, t, position);
  }
  return out;
}

void fill_heads(HostTensor& x, const std::string& fill, const HostTensor& table, const HostTensor& positions,
                bool inverse, Random& random) {
  for (std::int64_t t = 0; t < x.size(0); ++t) {
    const Fills fills = head_fills(&table.at<float>(integer_at(positions, t), 0), inverse);
    for (std::int64_t h = 0; h < x.size(1); ++h)
      fills.apply(fill, random, Elements(x, (t * x.size(1) + h) * kRotaryDim, kRotaryDim));
  }
}

}  // namespace dsv4
