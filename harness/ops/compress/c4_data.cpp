#include "harness/ops/compress/c4_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "harness/generate/random.h"
#include "harness/op/certificates.h"
#include "harness/op/far.h"

namespace dsv4 {
namespace {

/// Footprint of a dense f32 tensor in which only these rows of `width` elements may change.
std::vector<std::uint8_t> footprint_of_rows(const HostTensor& tensor, const std::vector<std::int64_t>& rows,
                                            std::int64_t width) {
  std::vector<std::uint8_t> footprint(tensor.storage.size(), 0);
  const auto bytes = static_cast<std::ptrdiff_t>(sizeof(float)) * width;
  for (const std::int64_t row : rows) std::fill_n(footprint.begin() + row * bytes, bytes, std::uint8_t{1});
  return footprint;
}

}  // namespace

const char* const kC4BoundReason =
    "float softmax over eight entries: rounding of the biased scores, fast exponential (2 + 1.173 |x| ulp, weighted), "
    "eight products, division of 2 ulp; computed per element beside the value";

const std::vector<std::string>& c4_fills() {
  static const std::vector<std::string> kFills{"gauss", "equal", "steps", "large", "cleared", "wide", "nan"};
  return kFills;
}

Params c4_compile(const Params& p) { return Params().set("head_dim", p.integer("head_dim")).set("dtype", "f32"); }

Space c4_space() {
  return {word("head_dim", {"128", "512"}, "columns of an entry"),
          word("ring", {"8", "16"}, "state rows per cache page"),
          word("fill", c4_fills(), "values of kv, scores and bias")};
}

std::optional<std::string> c4_too_large(const Params& p) {
  constexpr std::int64_t kMostBytes = std::int64_t{256} << 20;
  const std::int64_t batch = p.integer("batch"), row_bytes = 16 * p.integer("head_dim");
  const std::int64_t extend = p.has("extend") ? p.integer("extend") + 1 : 1;
  const std::int64_t longest = std::max(p.integer("len") + (p.is("spread", "stagger") ? batch : 0), extend);
  const std::int64_t state_rows = batch * (longest / kC4CachePage + 1) * p.integer("ring");
  if (std::max(state_rows, batch * extend) * row_bytes > kMostBytes) {
    return fmt::format("the state or the batch exceeds {} MiB", kMostBytes >> 20);
  }
  return too_many_slots(p);
}

void add_c4_state_contract(Contracts& contracts) {
  contracts.reshaped("state_page_8", "state pages of eight rows are those of an older kernel", "kv_buffer",
                     [](Shape& s) { s[1] = 8; });
}

C4Case::C4Case(const Case& c)
    : batch(make_batch(c.params, c.seed)), maps(make_maps(batch, c.params, c.seed)), tokens(c.params, c.seed) {}

RowOf C4Case::row() const {
  return [this](std::int64_t id, std::int64_t position) { return maps.row(id, position); };
}

HostTensor C4Case::state_after(const std::vector<std::int64_t>& lengths) const {
  HostTensor state = tokens.unwritten_state(maps.rows());
  tokens.put_live(state, batch.request_ids, lengths, row());
  return state;
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
  constexpr std::int64_t kElsewhere = std::int64_t{1} << 40;  // no request is that long: a token of nobody
  HostTensor t = HostTensor::make(DType::kF32, {batch.tokens(), 4 * head_dim_});
  const auto tokens = tokens_of(batch);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto b = static_cast<std::size_t>(tokens[i].request);
    const bool rejected = !rejected_from.empty() && tokens[i].position >= rejected_from[b];
    fill_row(&t.at<float>(i, 0), batch.request_ids[b], tokens[i].position + (rejected ? kElsewhere : 0));
  }
  return t;
}

HostTensor C4Tokens::unwritten_state(std::int64_t rows) const {
  HostTensor t = HostTensor::make(DType::kF32, {rows / 4, 4, 4 * head_dim_});
  // A NaN with a payload of its own: a row that should not have been read shows in every sum, a moved one in its bits.
  for (std::int64_t i = 0; i < t.numel(); ++i) {
    const std::uint32_t bits = 0x7fc00000u | static_cast<std::uint32_t>(i & 0xffff) | 1u;
    std::memcpy(t.element(i), &bits, sizeof bits);
  }
  return t;
}

void C4Tokens::put_live(HostTensor& state, const std::vector<std::int64_t>& request_ids,
                        const std::vector<std::int64_t>& lengths, const RowOf& row) const {
  for (std::size_t b = 0; b < lengths.size(); ++b) {
    for (std::int64_t p = first_live(lengths[b], 4); p < lengths[b]; ++p) {
      fill_row(state.data<float>() + row(request_ids[b], p) * 4 * head_dim_, request_ids[b], p);
    }
  }
}

HostTensor gather_rows(const HostTensor& tensor, const std::vector<std::int64_t>& rows, std::int64_t width) {
  HostTensor out = HostTensor::make(DType::kF32, {std::ssize(rows), width});
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(&out.at<float>(i, 0), tensor.data<float>() + rows[i] * width,
                sizeof(float) * static_cast<std::size_t>(width));
  }
  return out;
}

HostTensor bound_of(const Call& call, Caller& reference) {
  Call bound = call;
  bound.arg("kv_buffer").role = Role::kIn;
  bound.arg("kv_buffer").footprint.clear();
  bound.arg("kv_output") = out("kv_output", HostTensor::make(DType::kF32, call.tensor("kv_output").shape));
  return auxiliary(bound, "bound", reference).tensor("kv_output");
}

void set_c4_footprints(Call& call, const C4Written& written) {
  const std::int64_t head_dim = call.tensor("ape").size(1);
  Arg& entries = call.arg("kv_output");
  entries.footprint = footprint_of_rows(entries.tensor(), written.entries, head_dim);
  Arg& state = call.arg("kv_buffer");
  state.footprint = footprint_of_rows(state.tensor(), written.kept, 4 * head_dim);
}

std::vector<std::int64_t> spread_state(Call& call) {
  Arg& state = call.arg("kv_buffer");
  const HostTensor& t = state.tensor();
  state.placement = far_pool(t, far_rows(t.size(0), t.strides[0], far_edges(t.dtype)));
  return state.placement->rows;
}

std::int32_t far_state_page(const std::vector<std::int64_t>& far, std::int32_t page) {
  return page < 0 ? page : static_cast<std::int32_t>(far.at(static_cast<std::size_t>(page)));
}

std::int32_t far_state_row(const std::vector<std::int64_t>& far, std::int32_t row) {
  return row < 0 ? row : far_state_page(far, row / 4) * 4 + row % 4;
}

Observation observe_c4(const CallResult& result, const C4Written& written) {
  const std::int64_t head_dim = result.tensor("ape").size(1);
  return Observation()
      .add("kv_output", gather_rows(result.tensor("kv_output"), written.entries, head_dim))
      .add("kept_rows", gather_rows(result.tensor("kv_buffer"), written.kept, 4 * head_dim));
}

Tolerances c4_tolerances(const Call& call, const C4Written& written, Caller& reference) {
  const HostTensor bound = bound_of(call, reference);
  return {{"kv_output", Tolerance::within(gather_rows(bound, written.entries, bound.size(1)), kC4BoundReason)},
          {"kept_rows", Tolerance::exact("kept rows are copies")}};
}

}  // namespace dsv4
