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

/// Compares the entries of a V1 prefill op.
void compare_prefill(const std::string& op, std::int64_t ratio) {
  for_each_quick_case(op, [ratio](const Specimen& s) {
    const at::Tensor state = as_double(s.call.tensor("kv_buffer")), input = as_double(s.call.tensor("kv_input"));
    const std::int64_t page_rows = state.size(1), state_rows = page_rows * state.size(0);
    const std::int64_t window = windows_of(ratio) * ratio;
    const bool pages = s.call.arg("extra").is_tensor();
    std::vector<std::int64_t> places, entries;
    for (const auto& plan : records_of<layout::TokenPlan>(s.call.tensor("compress_plan"))) {
      if (plan.ragged_id == layout::kNoEntry) continue;
      entries.push_back(plan.ragged_id);
      for (std::int64_t i = 0; i < window; ++i) {
        const std::int64_t position = std::int64_t{plan.position} - (window - 1) + i;
        // Old tokens end at the newest one. At ratio 4, its group is in the page of the second number of extra.
        const std::int64_t newest_old = std::int64_t{plan.position} - window + plan.window_len;
        const auto page = [&] {
          if (!pages || ratio == 128) return number(s, pages ? "extra" : "indices", plan.batch_id);
          return number(s, "extra", 4 * std::int64_t{plan.batch_id} + (position / 4 == newest_old / 4 ? 1 : 0));
        };
        places.push_back(position < 0             ? kAbsent
                         : position <= newest_old ? page_rows * page() + position % page_rows
                                                  : state_rows + plan.ragged_id - (window - 1) + i);
      }
    }
    expect_entries_of(s, entries, rows_of(state, input), places, kAbsentScoreV1, ratio);
  });
}

/// Compares the state and the entries of a V1 decode op.
void compare_decode(const std::string& op, std::int64_t ratio) {
  for_each_quick_case(op, [ratio](const Specimen& s) {
    const at::Tensor input = as_double(s.call.tensor("kv_input")), state = as_double(s.call.tensor("kv_buffer"));
    const std::int64_t page_rows = state.size(1);
    const bool page_before = ratio == 4 && s.call.arg("extra").is_tensor();
    std::vector<std::int64_t> places, entries;
    for (std::int64_t b = 0; b < input.size(0); ++b) {
      const std::int64_t length = number(s, "seq_lens", b), page = number(s, "indices", b);
      state[page][(length - 1) % page_rows] = input[b];
      if (length % ratio != 0) continue;
      entries.push_back(b);
      for (std::int64_t position = length - windows_of(ratio) * ratio; position < length; ++position) {
        const bool before = page_before && position < length - ratio;
        places.push_back(position < 0 ? kAbsent
                                      : page_rows * (before ? number(s, "extra", b) : page) + position % page_rows);
      }
    }
    expect_equal(as_double(s.result.tensor("kv_buffer")), state, "kv_buffer");
    expect_entries_of(s, entries, rows_of(state, input), places, kAbsentScoreV1, ratio);
  });
}

TEST(QuickInputsAgainstTorch, CompressC4PrefillV1) { compare_prefill("compress_c4_prefill_v1", 4); }
TEST(QuickInputsAgainstTorch, CompressC4DecodeV1) { compare_decode("compress_c4_decode_v1", 4); }
TEST(QuickInputsAgainstTorch, CompressC128PrefillV1) { compare_prefill("compress_c128_prefill_v1", 128); }
TEST(QuickInputsAgainstTorch, CompressC128DecodeV1) { compare_decode("compress_c128_decode_v1", 128); }

}  // namespace
}  // namespace dsv4::testing
