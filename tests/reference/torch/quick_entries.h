/// Compares compressed entries with LibTorch.
#pragma once

#include <cstring>
#include <limits>
#include <vector>

#include "tests/reference/torch/quick_cases.h"

namespace dsv4::testing {

/// A place of a window that is before the first token of the request.
inline constexpr std::int64_t kAbsent = -1;

/// The score of such a place in V2, before the bias.
inline constexpr double kAbsentScore = -double{std::numeric_limits<float>::max()};

/// The number of windows that a token is in at this ratio.
inline std::int64_t windows_of(std::int64_t ratio) { return ratio == 4 ? 2 : 1; }

/// Expects that the entries `got`, [entries, H], are those that at::softmax gives. `tokens` has the rows of all tokens;
/// `places` has an index into them for each place of each entry's window.
inline void expect_entries(const at::Tensor& got, const at::Tensor& tokens, const std::vector<std::int64_t>& places,
                           const at::Tensor& ape, double absent_score, std::int64_t ratio) {
  const std::int64_t h = ape.size(1), windows = windows_of(ratio);
  const at::Tensor all = at::tensor(places, at::kLong).reshape({-1, windows * ratio});
  constexpr std::int64_t kAtOnce = 64;  // so that the windows need little memory
  for (std::int64_t first = 0; first < all.size(0); first += kAtOnce) {
    const at::Tensor some = all.slice(0, first, first + kAtOnce);
    const at::Tensor rows =
        at::index_select(tokens, 0, some.clamp_min(0).reshape({-1})).reshape({-1, windows, ratio, 2 * windows, h});
    // At ratio 4, the first group of a window takes blocks 0 and 2 of a row, the second takes blocks 1 and 3.
    const auto of_groups = [&](std::int64_t block) {
      std::vector<at::Tensor> groups;
      for (std::int64_t g = 0; g < windows; ++g) groups.push_back(rows.select(1, g).select(2, block + g));
      return at::cat(groups, 1);
    };
    const at::Tensor absent = some.eq(kAbsent).unsqueeze(2);
    const at::Tensor kv = at::where(absent, 0.0, of_groups(0));
    const at::Tensor z = at::where(absent, absent_score, of_groups(windows)) + ape;
    const at::Tensor weights = at::softmax(z, 1), want = overflow((weights * kv).sum(1));
    const at::Tensor magnitude = (weights * at::abs(kv)).sum(1);
    expect_near(got.slice(0, first, first + kAtOnce), want, half_float_step(want) * 1.001 + magnitude * 0x1p-48,
                "kv_output");
  }
}

template <class Record>
std::vector<Record> records_of(const HostTensor& plan) {
  const HostTensor packed = plan.packed();
  std::vector<Record> records(packed.storage.size() / sizeof(Record));
  if (!records.empty()) std::memcpy(records.data(), packed.storage.data(), packed.storage.size());
  return records;
}

/// Rows of a state and, after them, of the batch.
inline at::Tensor rows_of(const at::Tensor& state, const at::Tensor& input) {
  return at::cat({state.reshape({-1, input.size(1)}), input});
}

/// Expects that the rows `entries` of kv_output are those that at::softmax gives for the windows in `places`.
inline void expect_entries_of(const Specimen& s, const std::vector<std::int64_t>& entries, const at::Tensor& rows,
                              const std::vector<std::int64_t>& places, double absent_score, std::int64_t ratio) {
  if (entries.empty()) return;
  const at::Tensor got = as_double(s.result.tensor("kv_output"));
  expect_entries(at::index_select(got, 0, at::tensor(entries, at::kLong)), rows, places,
                 as_double(s.call.tensor("ape")), absent_score, ratio);
}

}  // namespace dsv4::testing
