/// Compares the references of the V1 compressors with LibTorch, on the inputs of every case of the quick tier.
#include "interface/compress_plan.h"
#include "tests/reference/torch/quick_entries.h"

namespace dsv4::testing {
namespace {

constexpr double kAbsentScoreV1 = -1e9;

/// A number of an argument i32 [n] or [n, columns].
std::int64_t number(const Specimen& s, const char* argument, std::int64_t i) {
  return as_torch(s.call.tensor(argument)).reshape({-1})[i].item<std::int32_t>();
}

TEST(QuickInputsAgainstTorch, CompressPrefillV1) {
  for_each_quick_case("compress_c4_prefill_v1", [](const Specimen& s) {
    const at::Tensor state = as_double(s.call.tensor("kv_buffer")), input = as_double(s.call.tensor("kv_input"));
    const std::int64_t page_rows = state.size(1), state_rows = page_rows * state.size(0);
    const bool pages = s.call.arg("extra").is_tensor();
    std::vector<std::int64_t> places, entries;
    for (const auto& plan : records_of<layout::TokenPlan>(s.call.tensor("compress_plan"))) {
      if (plan.ragged_id == layout::kNoEntry) continue;
      entries.push_back(plan.ragged_id);
      for (std::int64_t i = 0; i < 8; ++i) {
        const std::int64_t position = std::int64_t{plan.position} - 7 + i;
        // Old tokens end at the newest one. Its group is in the page of the second number of extra.
        const std::int64_t newest_old = std::int64_t{plan.position} - 8 + plan.window_len;
        const auto page = [&] {
          if (!pages) return number(s, "indices", plan.batch_id);
          return number(s, "extra", 4 * std::int64_t{plan.batch_id} + (position / 4 == newest_old / 4 ? 1 : 0));
        };
        places.push_back(position < 0             ? kAbsent
                         : position <= newest_old ? page_rows * page() + position % page_rows
                                                  : state_rows + plan.ragged_id - 7 + i);
      }
    }
    expect_entries_of(s, entries, rows_of(state, input), places, kAbsentScoreV1, 4);
  });
}

TEST(QuickInputsAgainstTorch, CompressDecodeV1) {
  for_each_quick_case("compress_c4_decode_v1", [](const Specimen& s) {
    const at::Tensor input = as_double(s.call.tensor("kv_input")), state = as_double(s.call.tensor("kv_buffer"));
    const std::int64_t page_rows = state.size(1);
    const bool pages = s.call.arg("extra").is_tensor();
    std::vector<std::int64_t> places, entries;
    for (std::int64_t b = 0; b < input.size(0); ++b) {
      const std::int64_t length = number(s, "seq_lens", b), page = number(s, "indices", b);
      state[page][(length - 1) % page_rows] = input[b];
      if (length % 4 != 0) continue;
      entries.push_back(b);
      for (std::int64_t position = length - 8; position < length; ++position) {
        const bool before = pages && position < length - 4;
        places.push_back(position < 0 ? kAbsent
                                      : page_rows * (before ? number(s, "extra", b) : page) + position % page_rows);
      }
    }
    expect_equal(as_double(s.result.tensor("kv_buffer")), state, "kv_buffer");
    expect_entries_of(s, entries, rows_of(state, input), places, kAbsentScoreV1, 4);
  });
}

}  // namespace
}  // namespace dsv4::testing
