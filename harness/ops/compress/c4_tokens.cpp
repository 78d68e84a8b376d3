#include "harness/ops/compress/c4_tokens.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "harness/ops/compress/plan_model.h"

namespace dsv4 {

const std::vector<std::string>& c4_fills() {
  static const std::vector<std::string> kFills{"gauss", "equal", "steps", "large", "cleared", "wide", "nan"};
  return kFills;
}

C4Tokens::C4Tokens(const Params& p, std::uint64_t seed)
    : fill_(p.text("fill")), head_dim_(p.integer("head_dim")), seed_(seed) {}

HostTensor C4Tokens::ape() const {
  HostTensor t = HostTensor::make(DType::kF32, {8, head_dim_});
  Random random(seed_, "ape");
  fill_floats(t, [&]() -> double {
    if (fill_ == "equal") return 0;
    if (fill_ == "steps") return 16.0 * static_cast<double>(random.between(-1, 1));
    return 0.5 * random.gauss();
  });
  return t;
}

void C4Tokens::fill_row(float* row, std::int64_t request_id, std::int64_t position) const {
  Random random(seed_, fmt::format("row {} {}", request_id, position));
  // The last token of a group is never reset: an entry whose scores are all minus infinity has no mean.
  const bool cleared = fill_ == "cleared" && position % 4 != 3 && random.chance(3);
  const bool integers = fill_ == "equal" || fill_ == "steps";
  for (std::int64_t k = 0; k < 4 * head_dim_; ++k) {
    const bool score = k >= 2 * head_dim_;
    float value = 0;
    if (cleared) {
      value = score ? -std::numeric_limits<float>::infinity() : 0.0f;
    } else if (!score) {
      value = integers          ? static_cast<float>(random.between(-8, 8))
              : fill_ == "wide" ? random.wide(-40, 40)
                                : random.gauss();
    } else if (fill_ == "equal") {
      value = 1.0f;
    } else if (fill_ == "steps") {
      value = 16.0f * static_cast<float>(random.between(-6, 6));
    } else {
      value = random.gauss() * (fill_ == "large" ? 3000.0f : 1.0f);
    }
    if (fill_ == "nan" && random.chance(64)) value = std::numeric_limits<float>::quiet_NaN();
    row[k] = value;
  }
}

HostTensor C4Tokens::input(const Batch& batch, const std::vector<std::int64_t>& rejected_from) const {
  constexpr std::int64_t kElsewhere = std::int64_t{1} << 40;  // no request is that long: these positions have no token
  HostTensor t = HostTensor::make(DType::kF32, {batch.tokens(), 4 * head_dim_});
  for (const BatchToken& token : tokens_of(batch)) {
    const bool rejected =
        !rejected_from.empty() && token.position >= rejected_from[static_cast<std::size_t>(token.request)];
    fill_row(&t.at<float>(token.row, 0), token.id, token.position + (rejected ? kElsewhere : 0));
  }
  return t;
}

HostTensor C4Tokens::state(const CacheMaps& maps, const std::vector<std::int64_t>& request_ids,
                           const std::vector<std::int64_t>& lengths) const {
  HostTensor t = HostTensor::make(DType::kF32, {maps.rows() / 4, 4, 4 * head_dim_});
  // NaN with a payload of its own in each element: a row that should not have been read shows in every sum, and a row
  // that was moved shows in its bits.
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    const std::uint32_t bits = 0x7fc00000u | static_cast<std::uint32_t>(i & 0xffff) | 1u;
    std::memcpy(t.data<std::uint32_t>() + i, &bits, sizeof bits);
  }
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    for (std::int64_t p = first_live(lengths[b], 4); p < lengths[b]; ++p) {
      fill_row(t.data<float>() + maps.row(request_ids[b], p) * 4 * head_dim_, request_ids[b], p);
    }
  }
  return t;
}

}  // namespace dsv4
